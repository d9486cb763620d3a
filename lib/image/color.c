/* Colour operators on floats in [0,1], as torchvision.transforms.functional on float tensors. */
#include <math.h>

#include "image/augment.h"

/* The luma of ITU-R 601-2, with torchvision's four digits. */
static float luma(const float *p) {
    return 0.2989f * p[0] + 0.587f * p[1] + 0.114f * p[2];
}

static float clip(float x) {
    x = x > 0 ? x : 0; /* one comparison a line becomes one instruction without a branch */
    return x < 1 ? x : 1;
}

/* factor * x + (1 - factor) * other, clipped. */
static float blend(float x, float other, float factor) {
    return clip(factor * x + (1 - factor) * other);
}

void nnclr_adjust_brightness(float *rgb, int64_t pixels, double factor) {
    float f = (float)factor;
    for (int64_t i = 0; i < 3 * pixels; i++)
        rgb[i] = blend(rgb[i], 0, f);
}

void nnclr_adjust_contrast(float *rgb, int64_t pixels, double factor) {
    double sum = 0;
    for (int64_t i = 0; i < pixels; i++)
        sum += (double)luma(rgb + 3 * i);
    float mean = (float)(sum / (double)pixels), f = (float)factor;
    for (int64_t i = 0; i < 3 * pixels; i++)
        rgb[i] = blend(rgb[i], mean, f);
}

void nnclr_adjust_saturation(float *rgb, int64_t pixels, double factor) {
    float f = (float)factor;
    for (int64_t i = 0; i < pixels; i++) {
        float *p = rgb + 3 * i, gray = luma(p);
        for (int c = 0; c < 3; c++)
            p[c] = blend(p[c], gray, f);
    }
}

/* RGB to HSV, the hue turned, and back. With the chroma c = max - min, a colour's channel at hue
 * distance k is v - c * clip(min(k, 4 - k)), k = (n + 6h) mod 6 with n = 5, 3, 1 for red, green,
 * blue: the same piecewise linear function as the six cases of the textbook. */
static void turn_hue(float *p, float turn) {
    float r = p[0], g = p[1], b = p[2];
    float high = r > g ? (r > b ? r : b) : (g > b ? g : b);
    float low = r < g ? (r < b ? r : b) : (g < b ? g : b);
    float chroma = high - low;
    if (!(chroma > 0))
        return; /* a gray has no hue */
    float sextant = high == r   ? (g - b) / chroma
                    : high == g ? (b - r) / chroma + 2
                                : (r - g) / chroma + 4;
    float hue = sextant + 6 * turn; /* at least -1 */
    static const float phase[3] = {5, 3, 1};
    for (int c = 0; c < 3; c++) {
        float k = phase[c] + hue;
        k -= 6 * (float)(int)(k * (1.0f / 6)); /* k >= 0 */
        float distance = k < 4 - k ? k : 4 - k;
        p[c] = clip(high - chroma * clip(distance));
    }
}

void nnclr_adjust_hue(float *rgb, int64_t pixels, double turn) {
    float forward = (float)(turn - floor(turn)); /* 0 to 1 */
    for (int64_t i = 0; i < pixels; i++)
        turn_hue(rgb + 3 * i, forward);
}

void nnclr_to_gray(float *rgb, int64_t pixels) {
    for (int64_t i = 0; i < pixels; i++) {
        float *p = rgb + 3 * i, gray = luma(p);
        p[0] = p[1] = p[2] = gray;
    }
}

void nnclr_solarize(float *rgb, int64_t pixels) {
    for (int64_t i = 0; i < 3 * pixels; i++)
        rgb[i] = rgb[i] < 0.5f ? rgb[i] : 1 - rgb[i];
}

void nnclr_normalize(float *view, int64_t pixels, const float mean[3], const float std[3]) {
    const float scale[3] = {1 / std[0], 1 / std[1], 1 / std[2]};
    for (int64_t i = 0; i < pixels; i++)
        for (int c = 0; c < 3; c++)
            view[3 * i + c] = (view[3 * i + c] - mean[c]) * scale[c];
}
