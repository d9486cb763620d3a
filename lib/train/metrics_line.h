/* One line of metrics.jsonl. */
#ifndef NNCLR_TRAIN_METRICS_LINE_H
#define NNCLR_TRAIN_METRICS_LINE_H

#include "base/strings.h"
#include "ssl/method.h"

typedef struct nnclr_metrics_line {
    int64_t step;   /* steps done, this one included */
    uint32_t epoch; /* that the step's batch belongs to, from 0 */
    double loss, lr, grad_norm, images_per_s, batch_spread;
    nnclr_method_metrics method;
    bool finetune; /* these two instead of batch_spread and the method's: */
    double head_lr, batch_acc;
} nnclr_metrics_line;

/* The accuracy after `step` steps: of kNN on the network's features, or of its classifier. */
typedef struct nnclr_probe_line {
    int64_t step;
    int64_t epoch; /* that the last step belonged to; -1: there was none */
    int64_t n;     /* pictures judged */
    double top1, top5;
    double loss; /* of the classifier */
} nnclr_probe_line;

/* These keys mark a line of a probe, and one of a classifier's test. */
#define NNCLR_PROBE_KEY "probe_top1"
#define NNCLR_TEST_KEY  "test_top1"

/* Each puts the object and a newline into `out` (emptied first); what is not finite becomes null.
 */
bool nnclr_metrics_print(const nnclr_metrics_line *line, nnclr_buffer *out, nnclr_error *e);
bool nnclr_test_print(const nnclr_probe_line *line, nnclr_buffer *out, nnclr_error *e);
bool nnclr_probe_print(const nnclr_probe_line *line, nnclr_buffer *out, nnclr_error *e);

/* Mean distance of two records of the batch over the count of all records: 1/3 when shuffled. NAN
 * for a single record. `scratch` is emptied. */
bool nnclr_batch_spread(const int64_t *record, int n, int64_t records, double *spread,
                        nnclr_buffer *scratch, nnclr_error *e);

#endif
