/* The colour operators of TensorFlow's tf.image that BYOL's authors used, where they are not those
 * of torchvision; the hue, and the weights of gray, are. */
#include "image/augment.h"

static float clip(float x) {
    x = x > 0 ? x : 0; /* one comparison a line becomes one instruction without a branch */
    return x < 1 ? x : 1;
}

void nnclr_tf_brightness(float *rgb, int64_t pixels, double delta) {
    float d = (float)delta;
    for (int64_t i = 0; i < 3 * pixels; i++)
        rgb[i] = clip(rgb[i] + d);
}

void nnclr_tf_contrast(float *rgb, int64_t pixels, double factor) {
    double sum[3] = {0};
    float f = (float)factor, mean[3];
    for (int64_t i = 0; i < pixels; i++)
        for (int c = 0; c < 3; c++)
            sum[c] += (double)rgb[3 * i + c];
    for (int c = 0; c < 3; c++)
        mean[c] = (float)(sum[c] / (double)pixels);
    for (int64_t i = 0; i < pixels; i++)
        for (int c = 0; c < 3; c++)
            rgb[3 * i + c] = clip((rgb[3 * i + c] - mean[c]) * f + mean[c]);
}

/* With hue and value kept, the distance of each channel from the largest one grows as the
 * saturation does, which is chroma / value and at most 1. */
void nnclr_tf_saturation(float *rgb, int64_t pixels, double factor) {
    float f = (float)factor;
    for (int64_t i = 0; i < pixels; i++) {
        float *p = rgb + 3 * i;
        float high = p[0] > p[1] ? p[0] : p[1], low = p[0] < p[1] ? p[0] : p[1];
        high = p[2] > high ? p[2] : high;
        low = p[2] < low ? p[2] : low;
        float chroma = high - low, grown = chroma * f > high ? high / chroma : f;
        for (int c = 0; c < 3; c++)
            p[c] = clip(high - (high - p[c]) * grown);
    }
}
