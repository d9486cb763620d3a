#include "image/shrink.h"

#include <math.h>

#include "base/memory.h"
#include "image/resize.h"

static int scaled(int side, double scale) {
    int rounded = (int)lrint(side * scale);
    return rounded < 1 ? 1 : rounded;
}

bool nnclr_shrink(const nnclr_image *from, int longest, nnclr_image *to, nnclr_error *e) {
    const double scale =
        (double)longest / (from->width > from->height ? from->width : from->height);
    const int width = scaled(from->width, scale), height = scaled(from->height, scale);
    const nnclr_box whole = {.width = from->width, .height = from->height};
    nnclr_buffer scratch = {0};
    float *values = nnclr_alloc((size_t)width * (size_t)height, 3 * sizeof *values, e);
    bool ok = values &&
              nnclr_resize(from, whole, NNCLR_BICUBIC, false, width, height, values, &scratch, e) &&
              nnclr_image_create(to, width, height, e);
    for (size_t i = 0; ok && i < 3 * (size_t)width * (size_t)height; i++)
        to->pixels[i] = (uint8_t)lrintf(values[i] * 255);
    nnclr_buffer_free(&scratch);
    nnclr_free(values);
    return ok;
}
