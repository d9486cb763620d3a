#include "eval/prediction.h"

#include <math.h>

int64_t nnclr_prediction_place(const double *scores, int64_t classes, int64_t label) {
    int64_t place = 0;
    for (int64_t c = 0; c < classes; c++)
        place += scores[c] > scores[label] || (scores[c] == scores[label] && c < label);
    return place;
}

nnclr_prediction nnclr_predict(const double *scores, int64_t classes, int64_t truth) {
    nnclr_prediction p = {.label = 0, .place = -1};
    double sum = 0;
    for (int64_t c = 0; c < classes; c++) {
        sum += scores[c];
        if (scores[c] > scores[p.label])
            p.label = c;
    }
    p.score = sum > 0 ? scores[p.label] / sum : 0;
    if (truth >= 0)
        p.place = nnclr_prediction_place(scores, classes, truth);
    return p;
}

double nnclr_accuracy_error(const nnclr_accuracy *accuracy) {
    return sqrt(accuracy->top1 * (1 - accuracy->top1) / (double)accuracy->n);
}

nnclr_accuracy nnclr_prediction_accuracy(const nnclr_prediction *predictions, int64_t n) {
    int64_t labelled = 0, first = 0, five = 0;
    for (int64_t i = 0; i < n; i++) {
        labelled += predictions[i].place >= 0;
        first += predictions[i].place == 0;
        five += predictions[i].place >= 0 && predictions[i].place < 5;
    }
    if (labelled == 0)
        return (nnclr_accuracy){.n = 0, .top1 = NAN, .top5 = NAN};
    return (nnclr_accuracy){.n = labelled,
                            .top1 = (double)first / (double)labelled,
                            .top5 = (double)five / (double)labelled};
}
