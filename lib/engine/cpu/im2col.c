#include "engine/cpu/im2col.h"

#include <string.h>

/* One row: for each line of the rectangle the part inside the picture is one run of memory. */
static void copy_patch(const taps *t, const real *picture, int y, int x, real *to) {
    size_t line = (size_t)t->tap_w * (size_t)t->channels;
    int from = x < 0 ? -x : 0;
    int until = t->source_w - x < t->tap_w ? t->source_w - x : t->tap_w;
    for (int i = 0; i < t->tap_h; i++, to += line) {
        if (y + i < 0 || y + i >= t->source_h || from >= until) {
            memset(to, 0, line * sizeof(real));
            continue;
        }
        size_t before = (size_t)from * (size_t)t->channels;
        size_t run = (size_t)(until - from) * (size_t)t->channels;
        size_t pixel = (size_t)(y + i) * (size_t)t->source_w + (size_t)(x + from);
        if (run < line) {
            memset(to, 0, before * sizeof(real));
            memset(to + before + run, 0, (line - before - run) * sizeof(real));
        }
        memcpy(to + before, picture + pixel * (size_t)t->source_c + t->channel, run * sizeof(real));
    }
}

const real *CPU(im2col)(const taps *t, const real *source, size_t first, size_t count,
                        real *scratch, int *stride) {
    if (taps_are_source(t)) {
        *stride = t->source_c;
        return source + first * (size_t)t->source_c + t->channel;
    }
    size_t grid = (size_t)t->grid_h * (size_t)t->grid_w, depth = (size_t)taps_depth(t);
    size_t picture_reals = (size_t)t->source_h * (size_t)t->source_w * (size_t)t->source_c;
    const real *picture = source + first / grid * picture_reals;
    int y = (int)(first % grid / (size_t)t->grid_w), x = (int)(first % (size_t)t->grid_w);
    real *to = scratch;
    for (size_t i = 0; i < count; i++, to += depth) {
        copy_patch(t, picture, y * t->step + t->top, x * t->step + t->left, to);
        if (++x == t->grid_w) {
            x = 0;
            if (++y == t->grid_h) {
                y = 0;
                picture += picture_reals;
            }
        }
    }
    *stride = (int)depth;
    return scratch;
}
