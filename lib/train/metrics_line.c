#include "train/metrics_line.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/sorted.h"
#include "io/json.h"

#define AT(member) offsetof(nnclr_metrics_line, member)

const nnclr_metric nnclr_method_line[] = {
    {"loss", AT(loss)},
    {"lr", AT(lr)},
    {"grad_norm", AT(grad_norm)},
    {"images_per_s", AT(images_per_s)},
    {"contrast_acc", AT(method.contrast_acc)},
    {"nn_sim", AT(method.nn_sim)},
    {"nn_initial", AT(method.nn_initial)},
    {"nn_self", AT(method.nn_self)},
    {"self_present", AT(method.self_present)},
    {"nn_age", AT(method.nn_age)},
    {"nn_distinct", AT(method.nn_distinct)},
    {"nn_agree", AT(method.nn_agree)},
    {"nn_acc", AT(method.nn_acc)},
    {"nn_chance", AT(method.nn_chance)},
    {"z_rank", AT(method.z_rank)},
    {"z_spread", AT(method.z_spread)},
    {"h_rank", AT(method.h_rank)},
    {"h_std", AT(method.h_std)},
    {"p_std", AT(method.p_std)},
    {"batch_spread", AT(batch_spread)},
    {NULL, 0},
};

const nnclr_metric nnclr_finetune_line[] = {
    {"loss", AT(loss)},
    {"lr", AT(lr)},
    {"head_lr", AT(head_lr)},
    {"grad_norm", AT(grad_norm)},
    {"batch_acc", AT(accuracy)},
    {"images_per_s", AT(images_per_s)},
    {NULL, 0},
};

const nnclr_metrics_line nnclr_metrics_undefined = {
    .loss = NAN,
    .lr = NAN,
    .grad_norm = NAN,
    .images_per_s = NAN,
    .accuracy = NAN,
    .head_lr = NAN,
    .batch_spread = NAN,
    .method = NNCLR_METHOD_UNDEFINED,
};

bool nnclr_metrics_print(const nnclr_metrics_line *line, nnclr_buffer *out, nnclr_error *e) {
    nnclr_json *object = nnclr_json_object(e);
    bool ok = object && nnclr_json_put_int(object, "step", line->step, e) &&
              nnclr_json_put_int(object, "epoch", line->epoch, e);
    for (const nnclr_metric *m = line->metrics; ok && m->key; m++)
        ok = nnclr_json_put_real(object, m->key,
                                 *(const double *)((const unsigned char *)line + m->offset), e);
    out->size = 0;
    ok = ok && nnclr_json_print(object, false, out, e) && nnclr_buffer_append(out, "\n", 1, e);
    nnclr_json_free(object);
    return ok;
}

const nnclr_probe_kind nnclr_knn_probe = {
    .top1 = "probe_top1", .top5 = "probe_top5", .n = "probe_n", .at_start = true};
const nnclr_probe_kind nnclr_class_probe = {
    .top1 = "test_top1", .top5 = "test_top5", .loss = "test_loss", .n = "test_n"};

bool nnclr_probe_print(const nnclr_probe_kind *kind, const nnclr_probe_line *line,
                       nnclr_buffer *out, nnclr_error *e) {
    nnclr_json *object = nnclr_json_object(e);
    out->size = 0;
    bool ok = object && nnclr_json_put_int(object, "step", line->step, e) &&
              (line->epoch < 0 ? nnclr_json_put_null(object, "epoch", e)
                               : nnclr_json_put_int(object, "epoch", line->epoch, e)) &&
              nnclr_json_put_real(object, kind->top1, line->top1, e) &&
              nnclr_json_put_real(object, kind->top5, line->top5, e) &&
              (!kind->loss || nnclr_json_put_real(object, kind->loss, line->loss, e)) &&
              nnclr_json_put_int(object, kind->n, line->n, e) &&
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
