/* The three channels of a pixel in one vector, so that any compiler computes them together. The
 * fourth element is idle. */
#ifndef NNCLR_IMAGE_PIXEL_H
#define NNCLR_IMAGE_PIXEL_H

typedef float nnclr_pixel __attribute__((vector_size(16)));

static inline nnclr_pixel nnclr_pixel_load(const float *rgb) {
    return (nnclr_pixel){rgb[0], rgb[1], rgb[2], 0};
}

static inline void nnclr_pixel_store(float *rgb, nnclr_pixel pixel) {
    rgb[0] = pixel[0];
    rgb[1] = pixel[1];
    rgb[2] = pixel[2];
}

#endif
