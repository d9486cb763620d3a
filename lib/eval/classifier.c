#include "eval/classifier.h"

#include <math.h>

#include "base/memory.h"

bool nnclr_classifier_create(nnclr_classifier *classifier, int classes, int d, nnclr_error *e) {
    *classifier = (nnclr_classifier){.classes = classes, .d = d};
    classifier->weight =
        nnclr_alloc_zero((size_t)classes, (size_t)d * sizeof *classifier->weight, e);
    classifier->bias = nnclr_alloc_zero((size_t)classes, sizeof *classifier->bias, e);
    classifier->mean = nnclr_alloc_zero((size_t)d, sizeof *classifier->mean, e);
    classifier->scale = nnclr_alloc((size_t)d, sizeof *classifier->scale, e);
    if (!classifier->weight || !classifier->bias || !classifier->mean || !classifier->scale) {
        nnclr_classifier_free(classifier);
        return false;
    }
    for (int j = 0; j < d; j++)
        classifier->scale[j] = 1;
    return true;
}

void nnclr_classifier_free(nnclr_classifier *classifier) {
    nnclr_free(classifier->scale);
    nnclr_free(classifier->mean);
    nnclr_free(classifier->bias);
    nnclr_free(classifier->weight);
    *classifier = (nnclr_classifier){0};
}

void nnclr_classifier_prepare(const nnclr_classifier *classifier, const float *row, float *out) {
    for (int j = 0; j < classifier->d; j++)
        out[j] = (row[j] - classifier->mean[j]) / classifier->scale[j];
    out[classifier->d] = 1;
}

void nnclr_classifier_score(const nnclr_classifier *k, const float *row, double *scores) {
    for (int c = 0; c < k->classes; c++) {
        const float *weight = k->weight + (size_t)c * (size_t)k->d;
        scores[c] = (double)k->bias[c];
        for (int j = 0; j < k->d; j++)
            scores[c] += (double)weight[j] * ((double)row[j] - k->mean[j]) / k->scale[j];
    }
}

static bool all_finite(const float *numbers, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(numbers[i]))
            return false;
    return true;
}

bool nnclr_classifier_read(nnclr_tensor_reader *reader, nnclr_classifier *k, nnclr_error *e) {
    const int64_t any[] = {-1, -1};
    nnclr_tensor_info info;
    *k = (nnclr_classifier){0};
    k->weight = nnclr_tensor_reader_load(reader, "weight", NNCLR_F32, 2, any, &info, e);
    if (!k->weight)
        return false;
    const int64_t classes = info.dims[0], d = info.dims[1];
    if (classes < 1 || d < 1 || classes > INT32_MAX || d > INT32_MAX)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: weight is of shape [%lld,%lld]",
                          nnclr_tensor_reader_path(reader), (long long)classes, (long long)d);
    k->bias = nnclr_tensor_reader_load(reader, "bias", NNCLR_F32, 1, &classes, NULL, e);
    k->mean = k->bias ? nnclr_tensor_reader_load(reader, "mean", NNCLR_F32, 1, &d, NULL, e) : NULL;
    k->scale =
        k->mean ? nnclr_tensor_reader_load(reader, "scale", NNCLR_F32, 1, &d, NULL, e) : NULL;
    if (!k->scale)
        return false;
    k->classes = (int)classes;
    k->d = (int)d;
    bool sound = all_finite(k->weight, classes * d) && all_finite(k->bias, classes) &&
                 all_finite(k->mean, d) && all_finite(k->scale, d);
    for (int64_t j = 0; sound && j < d; j++)
        sound = k->scale[j] > 0;
    return sound || nnclr_fail(e, NNCLR_ERROR_INPUT,
                               "%s: a weight, mean or scale is not a number that it can have",
                               nnclr_tensor_reader_path(reader));
}

bool nnclr_classifier_write(const nnclr_classifier *classifier, const char *path,
                            const char *program, const char *const *names, const nnclr_json *config,
                            nnclr_error *e) {
    const nnclr_tensor_info infos[] = {
        {.name = "weight",
         .dtype = NNCLR_F32,
         .rank = 2,
         .dims = {classifier->classes, classifier->d}},
        {.name = "bias", .dtype = NNCLR_F32, .rank = 1, .dims = {classifier->classes}},
        {.name = "mean", .dtype = NNCLR_F32, .rank = 1, .dims = {classifier->d}},
        {.name = "scale", .dtype = NNCLR_F32, .rank = 1, .dims = {classifier->d}},
    };
    const float *const data[] = {classifier->weight, classifier->bias, classifier->mean,
                                 classifier->scale};
    enum { COUNT = sizeof infos / sizeof *infos };
    nnclr_json *metadata = nnclr_json_object(e);
    nnclr_tensor_writer *writer = NULL;
    if (metadata &&
        nnclr_json_put_texts(metadata, "nnclr.classes", names, (size_t)classifier->classes, e) &&
        nnclr_json_put_text(metadata, "nnclr.config", config, e))
        writer = nnclr_tensor_writer_open(path, "classifier", program, metadata, infos, COUNT, e);
    nnclr_json_free(metadata);
    bool ok = writer;
    for (int i = 0; ok && i < COUNT; i++)
        ok = nnclr_tensor_writer_put(writer, data[i], nnclr_tensor_bytes(&infos[i]), e);
    if (ok)
        return nnclr_tensor_writer_commit(writer, e);
    nnclr_tensor_writer_abandon(writer);
    return false;
}

/* ---- what it says ---- */

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
