/* What nnclr-lineval tells: the tables of accuracy and of confusion, and the file of predictions.
 */
#ifndef NNCLR_CMD_LINEVAL_REPORT_H
#define NNCLR_CMD_LINEVAL_REPORT_H

#include "cmd/cli.h"
#include "eval/embedding.h"
#include "eval/prediction.h"

/* What one method said of the rows of TEST. */
typedef struct method_result {
    const char *method;
    nnclr_prediction *predictions; /* [test rows], owned by whoever made it */
    double seconds;
    char settings[300];
} method_result;

typedef struct report {
    const nnclr_embedding *train, *test;
    const int64_t *label; /* of TEST, as labels of TRAIN */
    const method_result *results;
    int count;
    bool json;
} report;

void report_accuracy(nnclr_cli *cli, const report *r);
/* How often each class was taken for which. */
void report_confusion(nnclr_cli *cli, const report *r);
/* Every row of TEST as the first method predicts it. */
bool report_predictions(const report *r, const char *path, nnclr_error *e);

#endif
