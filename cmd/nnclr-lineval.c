/* nnclr-lineval: how well the classes can be read off embeddings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/threads.h"
#include "cmd/cli.h"
#include "eval/embedding.h"
#include "eval/knn.h"

typedef struct settings {
    const char *methods, *predictions;
    int64_t k;
    double temperature;
    bool confusion, json;
} settings;

typedef struct evaluation {
    nnclr_embedding train, test;
    int64_t *label; /* of TEST, as labels of TRAIN */
    nnclr_knn_prediction *predictions;
    double seconds;
} evaluation;

/* ---- the work ---- */

static bool open_files(nnclr_cli *cli, evaluation *v, nnclr_error *e) {
    const char *train = cli->operands[0], *test = cli->operands[1];
    if (!nnclr_embedding_open(&v->train, train, e) || !nnclr_embedding_open(&v->test, test, e))
        return false;
    if (v->train.rows.d != v->test.rows.d)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "%s has rows of %d numbers, but %s of %d: both must be made by one "
                          "network at one --output",
                          test, v->test.rows.d, train, v->train.rows.d);
    const char *a = v->train.config, *b = v->test.config;
    if (a && b && strcmp(a, b) != 0)
        nnclr_cli_error(cli, "%s and %s were made in different ways (their nnclr.config differs)",
                        train, test);
    v->label = nnclr_alloc((size_t)v->test.rows.n, sizeof *v->label, e);
    return v->label && nnclr_embedding_map_labels(&v->train, &v->test, v->label, e);
}

static bool predict(nnclr_cli *cli, const settings *s, evaluation *v, nnclr_error *e) {
    nnclr_engine engine = {0};
    bool ok = false;
    const double start = nnclr_now();
    v->predictions = nnclr_alloc((size_t)v->test.rows.n, sizeof *v->predictions, e);
    nnclr_pool *pool = nnclr_pool_create(cli->threads, e);
    if (!v->predictions || !pool ||
        !nnclr_engine_open(&engine, NNCLR_ENGINE_CPU, NNCLR_PRECISION_F32, pool, e))
        goto done;
    const nnclr_knn_options options = {.k = (int)s->k, .temperature = s->temperature};
    ok = nnclr_knn_predict(&engine, &v->train.rows, v->train.label, &v->test.rows, v->label,
                           (int64_t)v->train.class_count, &options, v->predictions, e);
    v->seconds = nnclr_now() - start;
done:
    nnclr_engine_close(&engine);
    nnclr_pool_free(pool);
    return ok;
}

static void close_files(evaluation *v) {
    nnclr_free(v->predictions);
    nnclr_free(v->label);
    nnclr_embedding_close(&v->test);
    nnclr_embedding_close(&v->train);
}

/* ---- what is told ---- */

static const char *class_name(const evaluation *v, int64_t label) {
    return label < 0 ? NULL : v->train.classes[label];
}

static void print_accuracy(nnclr_cli *cli, const settings *s, const evaluation *v) {
    static const char *const columns[] = {"method", "top1", "top5", "n", "seconds", "settings"};
    const nnclr_accuracy accuracy = nnclr_knn_accuracy(v->predictions, v->test.rows.n);
    char text[200];
    snprintf(text, sizeof text, "k=%lld temperature=%g train=%lld d=%d classes=%zu",
             (long long)s->k, s->temperature, (long long)v->train.rows.n, v->train.rows.d,
             v->train.class_count);
    nnclr_table *table =
        nnclr_table_begin(cli, s->json, columns, (int)(sizeof columns / sizeof *columns));
    nnclr_table_text(table, "knn");
    nnclr_table_real(table, accuracy.top1, 6);
    nnclr_table_real(table, accuracy.top5, 6);
    nnclr_table_int(table, accuracy.n);
    nnclr_table_real(table, v->seconds, 3);
    nnclr_table_text(table, text);
    nnclr_table_row_end(table);
    nnclr_table_end(table);
}

static int by_number(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* pair [rows]: label * classes + predicted of every labelled row, sorted; returns how many. */
static size_t sort_pairs(const evaluation *v, int64_t *pair) {
    const int64_t classes = (int64_t)v->train.class_count;
    size_t count = 0;
    for (int64_t i = 0; i < v->test.rows.n; i++)
        if (v->label[i] >= 0)
            pair[count++] = v->label[i] * classes + v->predictions[i].label;
    qsort(pair, count, sizeof *pair, by_number);
    return count;
}

/* How often each (label, predicted) occurs, those that do, in label order. */
static void print_confusion(nnclr_cli *cli, const settings *s, const evaluation *v) {
    static const char *const columns[] = {"method", "label", "predicted", "n"};
    const int64_t classes = (int64_t)v->train.class_count;
    nnclr_error e = NNCLR_NO_ERROR;
    int64_t *pair = nnclr_alloc((size_t)v->test.rows.n, sizeof *pair, &e);
    if (!pair)
        nnclr_cli_die(cli, &e);
    const size_t count = sort_pairs(v, pair);
    nnclr_table *table =
        nnclr_table_begin(cli, s->json, columns, (int)(sizeof columns / sizeof *columns));
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && pair[end] == pair[i];)
            end++;
        nnclr_table_text(table, "knn");
        nnclr_table_text(table, class_name(v, pair[i] / classes));
        nnclr_table_text(table, class_name(v, pair[i] % classes));
        nnclr_table_int(table, (int64_t)(end - i));
        nnclr_table_row_end(table);
    }
    nnclr_table_end(table);
    nnclr_free(pair);
}

static bool append_cell(nnclr_buffer *line, const char *text, nnclr_error *e) {
    return (!text || nnclr_escape(line, text, strlen(text), e)) &&
           nnclr_buffer_append(line, "\t", 1, e);
}

static bool write_predictions(const char *path, const evaluation *v, nnclr_error *e) {
    static const char header[] = "name\tlabel\tpredicted\tscore\n";
    nnclr_buffer line = {0};
    nnclr_output *output = nnclr_output_open(path, e);
    if (!output)
        return false;
    bool ok = nnclr_output_write(output, header, sizeof header - 1, e);
    for (int64_t i = 0; ok && i < v->test.rows.n; i++) {
        const nnclr_knn_prediction *p = &v->predictions[i];
        line.size = 0;
        ok = append_cell(&line, v->test.names[i], e) &&
             append_cell(&line, class_name(v, v->label[i]), e) &&
             append_cell(&line, class_name(v, p->label), e) &&
             nnclr_buffer_printf(&line, e, "%.6f\n", p->share) &&
             nnclr_output_write(output, line.data, line.size, e);
    }
    nnclr_buffer_free(&line);
    if (ok)
        return nnclr_output_commit(output, e);
    nnclr_output_abandon(output);
    return false;
}

/* ---- the program ---- */

static void check_method(nnclr_cli *cli, const char *name, size_t size) {
    if (size == strlen("linear") && memcmp(name, "linear", size) == 0)
        nnclr_cli_usage(cli, "linear evaluation is not offered yet: give --methods knn");
    if (size != strlen("knn") || memcmp(name, "knn", size) != 0)
        nnclr_cli_usage(cli, "--methods: there is no method \"%.*s\": give --methods knn",
                        (int)(size < 100 ? size : 100), name);
}

static void check(nnclr_cli *cli, const settings *s) {
    const char *name = s->methods;
    for (;;) {
        size_t size = strcspn(name, ",");
        check_method(cli, name, size);
        if (!name[size])
            break;
        name += size + 1;
    }
    if (cli->operand_count != 2)
        nnclr_cli_usage(cli, "two embedding files are needed, TRAIN and TEST, not %d",
                        cli->operand_count);
    if (strcmp(cli->operands[0], "-") == 0 && strcmp(cli->operands[1], "-") == 0)
        nnclr_cli_usage(cli, "only one of TRAIN and TEST can be standard input");
    if (s->predictions && strcmp(s->predictions, "-") == 0)
        nnclr_cli_usage(cli, "--predictions: standard output is the table's: give a file");
}

int main(int argc, char **argv) {
    settings s = {.methods = "linear,knn", .k = 200, .temperature = 0.1};
    const nnclr_option options[] = {
        {"methods", 0, NNCLR_OPTION_TEXT, &s.methods, "LIST",
         .help = "how to evaluate; linear is not offered yet, so give knn"},
        {"k", 0, NNCLR_OPTION_INT, &s.k, "K", .low = 1, .high = 1 << 20,
         .help = "neighbours that vote; at most all labelled rows of TRAIN"},
        {"knn-temperature", 0, NNCLR_OPTION_REAL, &s.temperature, "T", .low = 0.002, .high = 1e6,
         .help = "a neighbour's vote weighs exp(cosine/T)"},
        {"predictions", 0, NNCLR_OPTION_TEXT, &s.predictions, "FILE",
         .help = "write a table of name, label, predicted class and score of every row of TEST"},
        {"confusion", 0, NNCLR_OPTION_FLAG, &s.confusion,
         .help = "print how often each class was taken for which, in place of the accuracy"},
        {"json", 0, NNCLR_OPTION_FLAG, &s.json, .help = "print the table as JSON"},
        {"label-fraction", 0, NNCLR_OPTION_ABSENT,
         .help = "not offered yet; all labels of TRAIN are used"},
        {"epochs", 0, NNCLR_OPTION_ABSENT,
         .help = "linear evaluation is not offered yet: give --methods knn"},
        {"lr", 0, NNCLR_OPTION_ABSENT,
         .help = "linear evaluation is not offered yet: give --methods knn"},
        {"solver", 0, NNCLR_OPTION_ABSENT,
         .help = "linear evaluation is not offered yet: give --methods knn"},
        {"output", 'o', NNCLR_OPTION_ABSENT,
         .help = "kNN has no classifier to keep; give --predictions FILE for its answers"},
    };
    const nnclr_program program = {
        .name = "nnclr-lineval",
        .summary = "Tells how well the classes can be read off embeddings.",
        .usage = "--methods knn [options] TRAIN TEST",
        .notes = "TRAIN and TEST are files of nnclr-embed. Classes are matched by name.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    nnclr_cli cli;
    evaluation v = {0};
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_cli_begin(&cli, &program, argc, argv);
    check(&cli, &s);
    if (!open_files(&cli, &v, &e) || !predict(&cli, &s, &v, &e) ||
        (s.predictions && !write_predictions(s.predictions, &v, &e)))
        nnclr_cli_die(&cli, &e);
    if (s.confusion)
        print_confusion(&cli, &s, &v);
    else
        print_accuracy(&cli, &s, &v);
    close_files(&v);
    nnclr_cli_end(&cli, NNCLR_EXIT_DONE);
}
