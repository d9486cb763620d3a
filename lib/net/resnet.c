/* ResNet (He et al. 2016) with torchvision's names, and its stride on the 3x3 convolution of a
 * bottleneck. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "net/model.h"

typedef struct resnet_shape {
    bool bottleneck;
    int blocks[NNCLR_STAGES];
} resnet_shape;

static const resnet_shape shapes[] = {
    [NNCLR_RESNET18] = {false, {2, 2, 2, 2}},  [NNCLR_RESNET34] = {false, {3, 4, 6, 3}},
    [NNCLR_RESNET50] = {true, {3, 4, 6, 3}},   [NNCLR_RESNET101] = {true, {3, 4, 23, 3}},
    [NNCLR_RESNET152] = {true, {3, 8, 36, 3}},
};

const char *const nnclr_arch_names[] = {"resnet18",  "resnet34",  "resnet50",
                                        "resnet101", "resnet152", NULL};
const char *const nnclr_stem_names[] = {"imagenet", "cifar", NULL};

bool nnclr_arch_find(bool bottleneck, const int blocks[NNCLR_STAGES], nnclr_arch *arch) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (shapes[i].bottleneck == bottleneck &&
            memcmp(shapes[i].blocks, blocks, sizeof shapes[i].blocks) == 0) {
            *arch = (nnclr_arch)i;
            return true;
        }
    return false;
}

typedef struct op_name {
    char text[64];
} op_name;

__attribute__((format(printf, 1, 2))) static op_name named(const char *format, ...) {
    op_name name;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name.text, sizeof name.text, format, arguments);
    va_end(arguments);
    return name;
}

static int scaled(int channels, double width) {
    int multiple = 8 * (int)(channels * width / 8 + 0.5);
    return multiple < 8 ? 8 : multiple;
}

/* conv1 .. convN with their batch norms, ReLU after each; the last batch norm adds the block's
 * input, or if the shapes differ the downsample branch. */
static int build_block(nnclr_network *net, int x, const char *prefix, bool bottleneck, int inner,
                       int stride, nnclr_error *e) {
    int convs = bottleneck ? 3 : 2, strided = bottleneck ? 2 : 1;
    int out = bottleneck ? 4 * inner : inner;
    int y = x;
    for (int i = 1; i <= convs; i++) {
        int kernel = bottleneck && i != 2 ? 1 : 3;
        y = nnclr_add_conv(net, y, named("%s.conv%d", prefix, i).text, i == convs ? out : inner,
                           kernel, i == strided ? stride : 1, kernel / 2, e);
        if (i < convs)
            y = nnclr_add_batchnorm(net, y, named("%s.bn%d", prefix, i).text, true, -1, -1, NULL,
                                    e);
    }
    if (y < 0)
        return -1;
    op_name last = named("%s.bn%d", prefix, convs);
    if (stride == 1 && nnclr_network_value(net, (size_t)x)->c == out)
        return nnclr_add_batchnorm(net, y, last.text, true, x, -1, NULL, e);
    int down = nnclr_add_conv(net, x, named("%s.downsample.0", prefix).text, out, 1, stride, 0, e);
    if (down < 0)
        return -1;
    return nnclr_add_batchnorm(net, y, last.text, true, -1, down,
                               named("%s.downsample.1", prefix).text, e);
}

static int build_stem(nnclr_network *net, int x, int channels, nnclr_stem stem, nnclr_error *e) {
    bool large = stem == NNCLR_STEM_IMAGENET;
    int y = nnclr_add_conv(net, x, "backbone.conv1", channels, large ? 7 : 3, large ? 2 : 1,
                           large ? 3 : 1, e);
    y = nnclr_add_batchnorm(net, y, "backbone.bn1", true, -1, -1, NULL, e);
    return large ? nnclr_add_maxpool(net, y, "backbone.maxpool", e) : y;
}

int nnclr_resnet_build(nnclr_network *net, int x, nnclr_arch arch, double width, nnclr_stem stem,
                       nnclr_error *e) {
    if (!(width > 0 && width <= 64)) {
        nnclr_fail(e, NNCLR_ERROR_USAGE, "width %g: must be above 0 and at most 64", width);
        return -1;
    }
    const resnet_shape *shape = &shapes[arch];
    int y = build_stem(net, x, scaled(64, width), stem, e);
    for (int stage = 0; stage < NNCLR_STAGES; stage++)
        for (int block = 0; block < shape->blocks[stage] && y >= 0; block++)
            y = build_block(net, y, named("backbone.layer%d.%d", stage + 1, block).text,
                            shape->bottleneck, scaled(64 << stage, width),
                            stage > 0 && block == 0 ? 2 : 1, e);
    return nnclr_add_average(net, y, "backbone.avgpool", e);
}
