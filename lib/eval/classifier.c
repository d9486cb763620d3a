#include "eval/classifier.h"

#include "base/memory.h"
#include "io/tensor_file.h"

bool nnclr_classifier_create(nnclr_classifier *x, int classes, int d, nnclr_error *e) {
    *x = (nnclr_classifier){.classes = classes, .d = d};
    x->weight = nnclr_alloc_zero((size_t)classes, (size_t)d * sizeof *x->weight, e);
    x->bias = nnclr_alloc_zero((size_t)classes, sizeof *x->bias, e);
    x->mean = nnclr_alloc_zero((size_t)d, sizeof *x->mean, e);
    x->scale = nnclr_alloc((size_t)d, sizeof *x->scale, e);
    if (!x->weight || !x->bias || !x->mean || !x->scale) {
        nnclr_classifier_free(x);
        return false;
    }
    for (int j = 0; j < d; j++)
        x->scale[j] = 1;
    return true;
}

void nnclr_classifier_free(nnclr_classifier *x) {
    nnclr_free(x->scale);
    nnclr_free(x->mean);
    nnclr_free(x->bias);
    nnclr_free(x->weight);
    *x = (nnclr_classifier){0};
}

void nnclr_classifier_prepare(const nnclr_classifier *x, const float *row, float *out) {
    for (int j = 0; j < x->d; j++)
        out[j] = (row[j] - x->mean[j]) / x->scale[j];
    out[x->d] = 1;
}

static nnclr_json *make_metadata(const nnclr_classifier *x, const char *const *names,
                                 const nnclr_json *config, nnclr_error *e) {
    nnclr_json *metadata = nnclr_json_object(e);
    nnclr_json *classes = metadata ? nnclr_json_array(e) : NULL;
    bool ok = classes;
    for (int c = 0; ok && c < x->classes; c++)
        ok = nnclr_json_push_string(classes, names[c], e);
    ok = ok && nnclr_json_put_text(metadata, "nnclr.classes", classes, e) &&
         nnclr_json_put_text(metadata, "nnclr.config", config, e);
    nnclr_json_free(classes);
    if (ok)
        return metadata;
    nnclr_json_free(metadata);
    return NULL;
}

bool nnclr_classifier_write(const nnclr_classifier *x, const char *path, const char *program,
                            const char *const *names, const nnclr_json *config, nnclr_error *e) {
    const nnclr_tensor_info infos[] = {
        {.name = "weight", .dtype = NNCLR_F32, .rank = 2, .dims = {x->classes, x->d}},
        {.name = "bias", .dtype = NNCLR_F32, .rank = 1, .dims = {x->classes}},
        {.name = "mean", .dtype = NNCLR_F32, .rank = 1, .dims = {x->d}},
        {.name = "scale", .dtype = NNCLR_F32, .rank = 1, .dims = {x->d}},
    };
    const float *const data[] = {x->weight, x->bias, x->mean, x->scale};
    enum { COUNT = sizeof infos / sizeof *infos };
    nnclr_json *metadata = make_metadata(x, names, config, e);
    if (!metadata)
        return false;
    nnclr_tensor_writer *writer =
        nnclr_tensor_writer_open(path, "classifier", program, metadata, infos, COUNT, e);
    nnclr_json_free(metadata);
    bool ok = writer;
    for (int i = 0; ok && i < COUNT; i++)
        ok = nnclr_tensor_writer_put(writer, data[i], nnclr_tensor_bytes(&infos[i]), e);
    if (ok)
        return nnclr_tensor_writer_commit(writer, e);
    nnclr_tensor_writer_abandon(writer);
    return false;
}
