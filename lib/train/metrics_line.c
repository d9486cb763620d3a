#include "train/metrics_line.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/sorted.h"
#include "io/json.h"

typedef struct named_real {
    const char *key;
    double value;
} named_real;

static bool print(int64_t step, int64_t epoch, const named_real *reals, size_t count,
                  nnclr_buffer *out, nnclr_error *e) {
    nnclr_json *object = nnclr_json_object(e);
    bool ok = object && nnclr_json_put_int(object, "step", step, e) &&
              nnclr_json_put_int(object, "epoch", epoch, e);
    for (size_t i = 0; ok && i < count; i++)
        ok = nnclr_json_put_real(object, reals[i].key, reals[i].value, e);
    out->size = 0;
    ok = ok && nnclr_json_print(object, false, out, e) && nnclr_buffer_append(out, "\n", 1, e);
    nnclr_json_free(object);
    return ok;
}

static bool print_finetune(const nnclr_metrics_line *line, nnclr_buffer *out, nnclr_error *e) {
    const named_real reals[] = {
        {"loss", line->loss},           {"lr", line->lr},
        {"head_lr", line->head_lr},     {"grad_norm", line->grad_norm},
        {"batch_acc", line->batch_acc}, {"images_per_s", line->images_per_s},
    };
    return print(line->step, line->epoch, reals, sizeof reals / sizeof *reals, out, e);
}

bool nnclr_metrics_print(const nnclr_metrics_line *line, nnclr_buffer *out, nnclr_error *e) {
    if (line->finetune)
        return print_finetune(line, out, e);
    const nnclr_method_metrics *m = &line->method;
    const named_real reals[] = {
        {"loss", line->loss},
        {"lr", line->lr},
        {"grad_norm", line->grad_norm},
        {"images_per_s", line->images_per_s},
        {"contrast_acc", m->contrast_acc},
        {"nn_sim", m->nn_sim},
        {"nn_initial", m->nn_initial},
        {"nn_self", m->nn_self},
        {"self_present", m->self_present},
        {"nn_age", m->nn_age},
        {"nn_distinct", m->nn_distinct},
        {"nn_acc", m->nn_acc},
        {"nn_chance", m->nn_chance},
        {"z_rank", m->z_rank},
        {"z_spread", m->z_spread},
        {"h_std", m->h_std},
        {"p_std", m->p_std},
        {"batch_spread", line->batch_spread},
    };
    return print(line->step, line->epoch, reals, sizeof reals / sizeof *reals, out, e);
}

bool nnclr_test_print(const nnclr_probe_line *line, nnclr_buffer *out, nnclr_error *e) {
    nnclr_json *object = nnclr_json_object(e);
    out->size = 0;
    bool ok = object && nnclr_json_put_int(object, "step", line->step, e) &&
              nnclr_json_put_int(object, "epoch", line->epoch, e) &&
              nnclr_json_put_real(object, NNCLR_TEST_KEY, line->top1, e) &&
              nnclr_json_put_real(object, "test_top5", line->top5, e) &&
              nnclr_json_put_real(object, "test_loss", line->loss, e) &&
              nnclr_json_put_int(object, "test_n", line->n, e) &&
              nnclr_json_print(object, false, out, e) && nnclr_buffer_append(out, "\n", 1, e);
    nnclr_json_free(object);
    return ok;
}

bool nnclr_probe_print(const nnclr_probe_line *line, nnclr_buffer *out, nnclr_error *e) {
    nnclr_json *object = nnclr_json_object(e);
    out->size = 0;
    bool ok = object && nnclr_json_put_int(object, "step", line->step, e) &&
              (line->epoch < 0 ? nnclr_json_put_null(object, "epoch", e)
                               : nnclr_json_put_int(object, "epoch", line->epoch, e)) &&
              nnclr_json_put_real(object, NNCLR_PROBE_KEY, line->top1, e) &&
              nnclr_json_put_real(object, "probe_top5", line->top5, e) &&
              nnclr_json_put_int(object, "probe_n", line->n, e) &&
              nnclr_json_print(object, false, out, e) && nnclr_buffer_append(out, "\n", 1, e);
    nnclr_json_free(object);
    return ok;
}

bool nnclr_batch_spread(const int64_t *record, int n, int64_t records, double *spread,
                        nnclr_buffer *scratch, nnclr_error *e) {
    *spread = NAN;
    if (n < 2)
        return true;
    scratch->size = 0;
    if (!nnclr_buffer_append(scratch, record, (size_t)n * sizeof *record, e))
        return false;
    int64_t *sorted = (void *)scratch->data;
    nnclr_sort(sorted, (size_t)n);
    /* The i-th smallest is the larger one in i pairs and the smaller one in n - 1 - i. */
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)sorted[i] * (2 * i - n + 1);
    *spread = sum / (0.5 * n * (n - 1)) / (double)records;
    return true;
}
