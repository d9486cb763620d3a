#include "image/pixel_file.h"

#include <string.h>

#include "image/encode.h"
#include "image/image.h"

enum { MOST_SIDE = 4096 };

const nnclr_pixel_layout nnclr_cifar10_layout = {.set = "CIFAR-10",
                                                 .class_file = "batches.meta.txt",
                                                 .classes = 10,
                                                 .width = 32,
                                                 .height = 32,
                                                 .planes = 3,
                                                 .record = 1 + 3 * 32 * 32,
                                                 .label = 0,
                                                 .pixels = 1};

const nnclr_pixel_layout nnclr_cifar100_layout = {.set = "CIFAR-100",
                                                  .class_file = "fine_label_names.txt",
                                                  .classes = 100,
                                                  .width = 32,
                                                  .height = 32,
                                                  .planes = 3,
                                                  .record = 2 + 3 * 32 * 32,
                                                  .label = 1,
                                                  .pixels = 2,
                                                  .coarse = 20};

const nnclr_pixel_layout nnclr_stl10_layout = {.set = "STL-10",
                                               .class_file = "class_names.txt",
                                               .classes = 10,
                                               .width = 96,
                                               .height = 96,
                                               .planes = 3,
                                               .by_columns = true,
                                               .record = 3 * 96 * 96};

/* Numbers of idx have their highest byte first. */
static uint32_t load_big(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

bool nnclr_idx_layout(const uint8_t header[NNCLR_IDX_HEADER], nnclr_pixel_layout *layout,
                      uint64_t *count, nnclr_error *e) {
    static const uint8_t mark[4] = {0, 0, 8, 3}; /* bytes, in three dimensions */
    if (memcmp(header, mark, sizeof mark) != 0)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "is not an idx file of gray pictures (it does not start with 0 0 8 3)");
    uint32_t height = load_big(header + 8), width = load_big(header + 12);
    if (height == 0 || width == 0 || height > MOST_SIDE || width > MOST_SIDE)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "an idx file of pictures of %u x %u, but sides of 1 to %d are read",
                          width, height, MOST_SIDE);
    *count = load_big(header + 4);
    *layout = (nnclr_pixel_layout){.set = "MNIST",
                                   .classes = 10,
                                   .width = (int)width,
                                   .height = (int)height,
                                   .planes = 1,
                                   .start = NNCLR_IDX_HEADER,
                                   .record = (size_t)width * height};
    return true;
}

bool nnclr_idx_labels(const uint8_t header[NNCLR_IDX_LABELS_HEADER], uint64_t *count,
                      nnclr_error *e) {
    static const uint8_t mark[4] = {0, 0, 8, 1};
    *count = load_big(header + 4);
    return memcmp(header, mark, sizeof mark) == 0 ||
           nnclr_fail(e, NNCLR_ERROR_INPUT,
                      "is not an idx file of labels (it does not start with 0 0 8 1)");
}

size_t nnclr_pixel_bytes(const nnclr_pixel_layout *layout) {
    return (size_t)layout->width * (size_t)layout->height * (size_t)layout->planes;
}

bool nnclr_pixel_encode(const nnclr_pixel_layout *layout, const uint8_t *pixels, nnclr_buffer *out,
                        nnclr_error *e) {
    size_t width = (size_t)layout->width, height = (size_t)layout->height;
    size_t plane = layout->planes == 1 ? 0 : width * height;
    size_t right = layout->by_columns ? height : 1, down = layout->by_columns ? 1 : width;
    nnclr_image image = {0};
    if (!nnclr_image_create(&image, layout->width, layout->height, e))
        return false;
    uint8_t *to = image.pixels;
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++)
            for (size_t c = 0; c < 3; c++)
                *to++ = pixels[c * plane + y * down + x * right];
    bool ok = nnclr_encode_png(&image, out, e);
    nnclr_image_free(&image);
    return ok;
}
