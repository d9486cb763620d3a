/* One line of metrics.jsonl. */
#ifndef NNCLR_TRAIN_METRICS_LINE_H
#define NNCLR_TRAIN_METRICS_LINE_H

#include "base/strings.h"
#include "ssl/method.h"

/* A number of a line: its key, and where it is in nnclr_metrics_line. */
typedef struct nnclr_metric {
    const char *key; /* NULL ends a list of these */
    size_t offset;
} nnclr_metric;

/* What follows "step" and "epoch", of a method and in fine-tuning. */
extern const nnclr_metric nnclr_method_line[], nnclr_finetune_line[];

typedef struct nnclr_metrics_line {
    const nnclr_metric *metrics; /* that are printed */
    int64_t step;                /* steps done, this one included */
    uint32_t epoch;              /* that the step's batch belongs to, from 0 */
    double loss, lr, grad_norm, images_per_s;
    double accuracy; /* nn_acc; in fine-tuning batch_acc */
    double head_lr;  /* of the classifier */
    double batch_spread;
    nnclr_method_metrics method;
} nnclr_metrics_line;

extern const nnclr_metrics_line nnclr_metrics_undefined; /* every number NAN */

/* What judges the network during a run. */
typedef struct nnclr_probe_kind {
    const char *top1, *top5, *loss, *n; /* keys, of which top1 marks its lines; loss NULL: none */
    bool at_start;                      /* before the first step too */
} nnclr_probe_kind;

/* kNN on the network's features; its classifier, of which there is nothing to learn at first. */
extern const nnclr_probe_kind nnclr_knn_probe, nnclr_class_probe;

typedef struct nnclr_probe_line {
    int64_t step;  /* steps done */
    int64_t epoch; /* that the last step belonged to; -1: there was none */
    int64_t n;     /* pictures judged */
    double top1, top5;
    double loss;
} nnclr_probe_line;

/* Each puts the object and a newline into `out` (emptied first); what is not finite becomes null.
 */
bool nnclr_metrics_print(const nnclr_metrics_line *line, nnclr_buffer *out, nnclr_error *e);
bool nnclr_probe_print(const nnclr_probe_kind *kind, const nnclr_probe_line *line,
                       nnclr_buffer *out, nnclr_error *e);

/* Mean distance of two records of the batch over the count of all records: 1/3 when shuffled. NAN
 * for a single record. `scratch` is emptied. */
bool nnclr_batch_spread(const int64_t *record, int n, int64_t records, double *spread,
                        nnclr_buffer *scratch, nnclr_error *e);

#endif
