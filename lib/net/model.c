#include "net/model.h"

#include <stdio.h>
#include <string.h>

enum { MAX_SIZE = 8192 };

static bool check_layers(const nnclr_layers *layers, const char *what, nnclr_error *e) {
    if (layers->count < 0 || layers->count > NNCLR_MLP_LAYERS)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: %d layers, must be 0 to %d", what,
                          layers->count, NNCLR_MLP_LAYERS);
    for (int i = 0; i < layers->count; i++)
        if (layers->width[i] < 1 || layers->width[i] > NNCLR_MLP_WIDEST)
            return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: a layer %d wide, must be 1 to %d", what,
                              layers->width[i], NNCLR_MLP_WIDEST);
    return true;
}

static bool check_spec(const nnclr_model_spec *spec, nnclr_error *e) {
    if ((unsigned)spec->arch > NNCLR_RESNET152 || (unsigned)spec->stem > NNCLR_STEM_CIFAR)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "unknown architecture or stem");
    if (spec->size < 1 || spec->size > MAX_SIZE)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "size %d: must be 1 to %d", spec->size, MAX_SIZE);
    if (spec->predictor.count > 0 && spec->projector.count == 0)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "a predictor needs a projector in front of it");
    if (spec->classes < 0 || spec->classes > NNCLR_MLP_WIDEST)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "%d classes: must be 0 to %d", spec->classes,
                          NNCLR_MLP_WIDEST);
    return check_layers(&spec->projector, "projector", e) &&
           check_layers(&spec->predictor, "predictor", e);
}

/* ---- heads: numbered as in torch's Sequential of Linear, BatchNorm1d, ReLU, Linear, ... ---- */

int nnclr_mlp_build(nnclr_network *net, int x, const char *prefix, const int *widths, int count,
                    bool norm_last, nnclr_error *e) {
    int y = x;
    for (int i = 0; i < count; i++) {
        bool last = i == count - 1, norm = !last || norm_last;
        char name[64];
        snprintf(name, sizeof name, "%.40s.%d", prefix, 3 * i);
        y = nnclr_add_linear(net, y, name, widths[i], !norm, e);
        if (!norm)
            break;
        snprintf(name, sizeof name, "%.40s.%d", prefix, 3 * i + 1);
        y = nnclr_add_batchnorm(net, y, name, !last, -1, -1, NULL, e);
    }
    return y;
}

/* Marks `value`, and after it its normalised form. */
static bool mark_with_unit(nnclr_network *net, int value, const char *name, const char *unit_name,
                           nnclr_error *e) {
    int unit = nnclr_add_l2norm(net, value, unit_name, e);
    return unit >= 0 && nnclr_network_mark(net, name, value, e) &&
           nnclr_network_mark(net, unit_name, unit, e);
}

static bool build_heads(nnclr_network *net, int features, const nnclr_model_spec *spec,
                        nnclr_error *e) {
    const nnclr_layers *projector = &spec->projector, *predictor = &spec->predictor;
    if (projector->count == 0)
        return true;
    int z =
        nnclr_mlp_build(net, features, "projector", projector->width, projector->count, true, e);
    if (!mark_with_unit(net, z, "projection", "projection_unit", e))
        return false;
    if (predictor->count == 0)
        return true;
    int widths[NNCLR_MLP_LAYERS + 1];
    memcpy(widths, predictor->width, sizeof predictor->width);
    widths[predictor->count] = projector->width[projector->count - 1];
    int p = nnclr_mlp_build(net, z, "predictor", widths, predictor->count + 1, false, e);
    return mark_with_unit(net, p, "prediction", "prediction_unit", e);
}

static bool build_classifier(nnclr_network *net, int features, int classes, nnclr_error *e) {
    if (classes == 0)
        return true;
    int logits = nnclr_add_linear(net, features, "fc", classes, true, e);
    return logits >= 0 && nnclr_network_mark(net, "logits", logits, e);
}

nnclr_network *nnclr_model_build(const nnclr_model_spec *spec, nnclr_error *e) {
    if (!check_spec(spec, e))
        return NULL;
    nnclr_network *net = nnclr_network_create(spec->size, spec->size, 3, e);
    if (!net)
        return NULL;
    int features = nnclr_resnet_build(net, 0, spec->arch, spec->width, spec->stem, e);
    if (features < 0 || !nnclr_network_mark(net, "features", features, e) ||
        !build_heads(net, features, spec, e) ||
        !build_classifier(net, features, spec->classes, e)) {
        nnclr_network_free(net);
        return NULL;
    }
    return net;
}
