/* What nnclr-lineval reports: the tables of accuracy and of confusion, and the file of predictions.
 */
#ifndef NNCLR_CMD_LINEVAL_REPORT_H
#define NNCLR_CMD_LINEVAL_REPORT_H

#include "cmd/cli.h"
#include "cmd/lineval_settings.h"
#include "eval/classifier.h"
#include "eval/linear.h"
#include "io/json.h"

/* What one method said about the rows of TEST. */
typedef struct method_result {
    const char *method;
    nnclr_prediction *predictions; /* [test rows], owned by whoever made it */
    double seconds;
    nnclr_json *settings; /* an object, owned by whoever made it, until report_accuracy takes it */
} method_result;

/* Adds the settings of SGD, and says in messages how it went. */
bool report_tell_sgd(nnclr_cli *cli, const settings *s, const nnclr_linear_fit *fit,
                     method_result *result, nnclr_error *e);
/* Adds what was learned from: `rows` rows of TRAIN, of d numbers each. */
bool report_tell_rows(const settings *s, int64_t rows, int64_t d, int64_t classes,
                      method_result *result, nnclr_error *e);
/* What a reader of the classifier may want to know; the caller frees it. */
nnclr_json *report_describe(const settings *s, const nnclr_linear_fit *fit, nnclr_error *e);

typedef struct report {
    const char *const *classes; /* of TRAIN, in label order */
    size_t class_count;
    int64_t rows;             /* of TEST */
    const char *const *names; /* [rows] */
    const int64_t *label;     /* [rows], as labels of TRAIN; -1: none */
    method_result *results;
    int count;
    bool json;
} report;

void report_accuracy(nnclr_cli *cli, const report *r);
/* How often each class was taken for which. */
void report_confusion(nnclr_cli *cli, const report *r);
/* Every row of TEST as the first method predicts it. */
bool report_predictions(const report *r, const char *path, nnclr_error *e);

#endif
