#include "engine/conv_shape.h"

#include <limits.h>

#include "base/memory.h"

enum { LARGEST_KERNEL = 255, MOST_CHANNELS = 1 << 20 };

nnclr_shape nnclr_conv_output(const nnclr_conv *conv, nnclr_shape in) {
    nnclr_shape out = in;
    out.h = (in.h + 2 * conv->pad - conv->kernel) / conv->stride + 1;
    out.w = (in.w + 2 * conv->pad - conv->kernel) / conv->stride + 1;
    out.c = conv->co;
    return out;
}

bool nnclr_conv_check(const nnclr_conv *conv, nnclr_shape in, nnclr_error *e) {
    bool sound = in.groups >= 1 && in.n >= 1 && in.h >= 1 && in.w >= 1 && in.c == conv->ci &&
                 conv->ci >= 1 && conv->ci <= MOST_CHANNELS && conv->co >= 1 &&
                 conv->co <= MOST_CHANNELS && conv->kernel >= 1 && conv->kernel <= LARGEST_KERNEL &&
                 conv->stride >= 1 && conv->stride <= LARGEST_KERNEL && conv->pad >= 0 &&
                 conv->pad < conv->kernel;
    size_t size = 1;
    const int factors[] = {in.groups, in.n, in.h, in.w};
    for (int i = 0; sound && i < 4; i++)
        sound = nnclr_size_mul(size, (size_t)factors[i], &size) && size <= INT_MAX;
    int widest = conv->ci > conv->co ? conv->ci : conv->co;
    if (!sound || (int64_t)widest * conv->kernel * conv->kernel > INT_MAX / 8)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT,
                          "a %dx%d convolution of %d to %d channels with stride %d and padding %d "
                          "on %d x %d pictures of %dx%dx%d cannot be planned",
                          conv->kernel, conv->kernel, conv->ci, conv->co, conv->stride, conv->pad,
                          in.groups, in.n, in.h, in.w, in.c);
    if (in.h + 2 * conv->pad < conv->kernel || in.w + 2 * conv->pad < conv->kernel)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "a map of %dx%d pixels with padding %d is smaller than a %dx%d kernel",
                          in.h, in.w, conv->pad, conv->kernel, conv->kernel);
    return true;
}
