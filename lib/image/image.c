#include "image/image.h"

#include "base/memory.h"

bool nnclr_image_create(nnclr_image *image, int width, int height, nnclr_error *e) {
    *image = (nnclr_image){0};
    if (width < 1 || height < 1)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "a picture of %d x %d pixels", width, height);
    size_t pixels;
    if (!nnclr_size_mul((size_t)width, (size_t)height, &pixels))
        return nnclr_fail(e, NNCLR_ERROR_MEMORY, "out of memory: %d x %d pixels", width, height);
    image->pixels = nnclr_alloc(pixels, 3, e);
    if (!image->pixels)
        return false;
    image->width = width;
    image->height = height;
    return true;
}

bool nnclr_image_reuse(nnclr_image *image, int width, int height, nnclr_error *e) {
    if (width >= 1 && height >= 1 && image->pixels &&
        (size_t)width <= image->capacity / 3 / (size_t)height) {
        image->width = width;
        image->height = height;
        return true;
    }
    nnclr_image_free(image);
    if (!nnclr_image_create(image, width, height, e))
        return false;
    image->capacity = (size_t)width * (size_t)height * 3;
    return true;
}

void nnclr_image_free(nnclr_image *image) {
    nnclr_free(image->pixels);
    *image = (nnclr_image){0};
}

nnclr_patch nnclr_whole_patch(const nnclr_image *image) {
    return (nnclr_patch){.image = *image, .shrink = 1};
}
