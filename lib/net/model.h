/* The network of NNCLR: backbone, projector, predictor, as one list (Dwibedi et al. 2021, sec. 4);
 * or, to be fine-tuned, backbone and classifier.
 *
 * projector: (linear, batch norm, ReLU) x 2, linear, batch norm; no biases. predictor: linear,
 * batch norm, ReLU, linear with bias. Marks: "features" (pooled), "projection" (z),
 * "projection_unit" (z / |z|), "prediction" (p), "prediction_unit"; "logits" of the classifier, a
 * linear layer with bias after the pooled features. If a head is absent, so are its marks.
 */
#ifndef NNCLR_NET_MODEL_H
#define NNCLR_NET_MODEL_H

#include "base/strings.h"
#include "net/network.h"

enum { NNCLR_MLP_LAYERS = 8, NNCLR_MLP_WIDEST = 1 << 17 };

typedef enum nnclr_arch {
    NNCLR_RESNET18,
    NNCLR_RESNET34,
    NNCLR_RESNET50,
    NNCLR_RESNET101,
    NNCLR_RESNET152
} nnclr_arch;
typedef enum nnclr_stem { NNCLR_STEM_IMAGENET, NNCLR_STEM_CIFAR } nnclr_stem;

extern const char *const nnclr_arch_names[]; /* "resnet18", ..., NULL */
extern const char *const nnclr_stem_names[]; /* "imagenet", "cifar", NULL */

enum { NNCLR_STAGES = 4 };
/* The architecture with this many blocks in its stages, bottlenecks or basic ones; false: none. */
bool nnclr_arch_find(bool bottleneck, const int blocks[NNCLR_STAGES], nnclr_arch *arch);

typedef struct nnclr_layers {
    int count; /* 0: no such head */
    int width[NNCLR_MLP_LAYERS];
} nnclr_layers;

typedef struct nnclr_model_spec {
    nnclr_arch arch;
    double width; /* multiplies every channel count, rounded to a multiple of 8 (at least 8) */
    nnclr_stem stem;
    int size;               /* pictures are size x size x 3 */
    nnclr_layers projector; /* widths of its layers, e.g. 2048,2048,256 */
    nnclr_layers predictor; /* hidden widths, e.g. 4096; its output is as wide as z */
    int classes;            /* of the classifier; 0: there is none */
} nnclr_model_spec;

/* Builds everything; parameter names as torchvision's with "backbone.", "projector.<i>.",
 * "predictor.<i>." in front (i as in torch's Sequential); the classifier's are "fc.". */
nnclr_network *nnclr_model_build(const nnclr_model_spec *spec, nnclr_error *e);

/* resnet.c: appends a backbone to `net`; returns the pooled features' value or -1. */
int nnclr_resnet_build(nnclr_network *net, int x, nnclr_arch arch, double width, nnclr_stem stem,
                       nnclr_error *e);
/* Appends linear layers of these widths, each but the last followed by batch norm and ReLU;
 * the last by batch norm alone if `norm_last`, otherwise it has a bias. Value or -1. */
int nnclr_mlp_build(nnclr_network *net, int x, const char *prefix, const int *widths, int count,
                    bool norm_last, nnclr_error *e);

/* A table of the operators: name, output shape, parameters, multiply-accumulates. */
bool nnclr_network_print(const nnclr_network *net, nnclr_buffer *out, nnclr_error *e);

#endif
