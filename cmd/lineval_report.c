#include "cmd/lineval_report.h"

#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/sorted.h"

static const char *class_name(const report *r, int64_t label) {
    return label < 0 ? NULL : r->train->classes[label];
}

void report_accuracy(nnclr_cli *cli, const report *r) {
    static const char *const columns[] = {"method", "top1", "top5", "n", "seconds", "settings"};
    nnclr_table *table =
        nnclr_table_begin(cli, r->json, columns, (int)(sizeof columns / sizeof *columns));
    for (int i = 0; i < r->count; i++) {
        const method_result *result = &r->results[i];
        const nnclr_accuracy accuracy =
            nnclr_prediction_accuracy(result->predictions, r->test->rows.n);
        nnclr_table_text(table, result->method);
        nnclr_table_real(table, accuracy.top1, 6);
        nnclr_table_real(table, accuracy.top5, 6);
        nnclr_table_int(table, accuracy.n);
        nnclr_table_real(table, result->seconds, 3);
        nnclr_table_text(table, result->settings);
        nnclr_table_row_end(table);
    }
    nnclr_table_end(table);
}

/* pair [rows]: label * classes + predicted of every labelled row, sorted; returns how many. */
static size_t sort_pairs(const report *r, const method_result *result, int64_t *pair) {
    const int64_t classes = (int64_t)r->train->class_count;
    size_t count = 0;
    for (int64_t i = 0; i < r->test->rows.n; i++)
        if (r->label[i] >= 0)
            pair[count++] = r->label[i] * classes + result->predictions[i].label;
    nnclr_sort(pair, count);
    return count;
}

/* Each (label, predicted) that occurs, in label order. */
static void put_pairs(nnclr_table *table, const report *r, const method_result *result,
                      int64_t *pair) {
    const int64_t classes = (int64_t)r->train->class_count;
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
    int64_t *pair = nnclr_alloc((size_t)r->test->rows.n, sizeof *pair, &e);
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
    for (int64_t i = 0; ok && i < r->test->rows.n; i++) {
        const nnclr_prediction *p = &r->results[0].predictions[i];
        line.size = 0;
        ok = append_cell(&line, r->test->names[i], e) &&
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
