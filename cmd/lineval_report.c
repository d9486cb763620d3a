#include "cmd/lineval_report.h"

#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/sorted.h"

const char *const solver_names[] = {"sgd", "lbfgs", NULL};

bool report_tell_sgd(nnclr_cli *cli, const settings *s, const nnclr_linear_fit *fit,
                     method_result *result, nnclr_error *e) {
    nnclr_cli_detail(cli, "linear: %lld steps, mean cross-entropy %.6f", (long long)fit->steps,
                     fit->loss);
    return nnclr_json_put_string(result->settings, "solver", solver_names[s->solver], e) &&
           nnclr_json_put_int(result->settings, "epochs", s->epochs, e) &&
           nnclr_json_put_real(result->settings, "lr", s->lr, e) &&
           nnclr_json_put_int(result->settings, "batch", s->batch, e) &&
           nnclr_json_put_real(result->settings, "weight_decay", s->weight_decay, e) &&
           nnclr_json_put_bool(result->settings, "standardize", s->standardize, e) &&
           nnclr_json_put_int(result->settings, "seed", s->seed, e);
}

bool report_tell_rows(const settings *s, int64_t rows, int64_t d, int64_t classes,
                      method_result *result, nnclr_error *e) {
    return (s->label_fraction >= 1 ||
            nnclr_json_put_real(result->settings, "label_fraction", s->label_fraction, e)) &&
           nnclr_json_put_int(result->settings, "train", rows, e) &&
           nnclr_json_put_int(result->settings, "d", d, e) &&
           nnclr_json_put_int(result->settings, "classes", classes, e);
}

nnclr_json *report_describe(const settings *s, const nnclr_linear_fit *fit, nnclr_error *e) {
    const bool sgd = s->solver == NNCLR_SOLVER_SGD;
    nnclr_json *config = nnclr_json_object(e);
    return nnclr_json_if(
        config && nnclr_json_put_string(config, "solver", solver_names[s->solver], e) &&
            (sgd ? nnclr_json_put_int(config, "epochs", s->epochs, e) &&
                       nnclr_json_put_real(config, "lr", s->lr, e) &&
                       nnclr_json_put_int(config, "batch", s->batch, e) &&
                       nnclr_json_put_real(config, "weight_decay", s->weight_decay, e)
                 : nnclr_json_put_real(config, "lambda", fit->lambda, e)) &&
            nnclr_json_put_bool(config, "standardize", s->standardize || !sgd, e) &&
            nnclr_json_put_int(config, "seed", s->seed, e) &&
            nnclr_json_put_real(config, "label_fraction", s->label_fraction, e) &&
            nnclr_json_put_int(config, "rows", fit->rows, e) &&
            nnclr_json_put_real(config, "loss", fit->loss, e) &&
            nnclr_json_put_real(config, "objective", fit->objective, e),
        config);
}

static const char *class_name(const report *r, int64_t label) {
    return label < 0 ? NULL : r->classes[label];
}

void report_accuracy(nnclr_cli *cli, const report *r) {
    static const char *const columns[] = {"method", "top1",    "top1_se", "top5",
                                          "n",      "seconds", "settings"};
    nnclr_table *table =
        nnclr_table_begin(cli, r->json, columns, (int)(sizeof columns / sizeof *columns));
    for (int i = 0; i < r->count; i++) {
        method_result *result = &r->results[i];
        const nnclr_accuracy accuracy = nnclr_prediction_accuracy(result->predictions, r->rows);
        nnclr_table_text(table, result->method);
        nnclr_table_real(table, accuracy.top1, 6);
        nnclr_table_real(table, nnclr_accuracy_error(&accuracy), 6);
        nnclr_table_real(table, accuracy.top5, 6);
        nnclr_table_int(table, accuracy.n);
        nnclr_table_real(table, result->seconds, 3);
        nnclr_table_settings(table, result->settings);
        result->settings = NULL;
        nnclr_table_row_end(table);
    }
    nnclr_table_end(table);
}

/* pair [rows]: label * classes + predicted of every labelled row, sorted; returns how many. */
static size_t sort_pairs(const report *r, const method_result *result, int64_t *pair) {
    const int64_t classes = (int64_t)r->class_count;
    size_t count = 0;
    for (int64_t i = 0; i < r->rows; i++)
        if (r->label[i] >= 0)
            pair[count++] = r->label[i] * classes + result->predictions[i].label;
    nnclr_sort(pair, count);
    return count;
}

/* Each (label, predicted) that occurs, in label order. */
static void put_pairs(nnclr_table *table, const report *r, const method_result *result,
                      int64_t *pair) {
    const int64_t classes = (int64_t)r->class_count;
    const size_t count = sort_pairs(r, result, pair);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && pair[end] == pair[i];)
            end++;
        nnclr_table_text(table, result->method);
        nnclr_table_text(table, class_name(r, pair[i] / classes));
        nnclr_table_text(table, class_name(r, pair[i] % classes));
        nnclr_table_int(table, (int64_t)(end - i));
        nnclr_table_row_end(table);
    }
}

void report_confusion(nnclr_cli *cli, const report *r) {
    static const char *const columns[] = {"method", "label", "predicted", "n"};
    nnclr_error e = NNCLR_NO_ERROR;
    int64_t *pair = nnclr_alloc((size_t)r->rows, sizeof *pair, &e);
    if (!pair)
        nnclr_cli_die(cli, &e);
    nnclr_table *table =
        nnclr_table_begin(cli, r->json, columns, (int)(sizeof columns / sizeof *columns));
    for (int i = 0; i < r->count; i++)
        put_pairs(table, r, &r->results[i], pair);
    nnclr_table_end(table);
    nnclr_free(pair);
}

static bool append_cell(nnclr_buffer *line, const char *text, nnclr_error *e) {
    return (!text || nnclr_escape(line, text, strlen(text), e)) &&
           nnclr_buffer_append(line, "\t", 1, e);
}

bool report_predictions(const report *r, const char *path, nnclr_error *e) {
    static const char header[] = "name\tlabel\tpredicted\tscore\n";
    nnclr_buffer line = {0};
    nnclr_output *output = nnclr_output_open(path, e);
    if (!output)
        return false;
    bool ok = nnclr_output_write(output, header, sizeof header - 1, e);
    for (int64_t i = 0; ok && i < r->rows; i++) {
        const nnclr_prediction *p = &r->results[0].predictions[i];
        line.size = 0;
        ok = append_cell(&line, r->names[i], e) &&
             append_cell(&line, class_name(r, r->label[i]), e) &&
             append_cell(&line, class_name(r, p->label), e) &&
             nnclr_buffer_printf(&line, e, "%.6f\n", p->score) &&
             nnclr_output_write(output, line.data, line.size, e);
    }
    nnclr_buffer_free(&line);
    if (ok)
        return nnclr_output_commit(output, e);
    nnclr_output_abandon(output);
    return false;
}
