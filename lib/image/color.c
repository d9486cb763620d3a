/* Colour operators on floats in [0,1], as torchvision.transforms.functional on float tensors. */
#include <math.h>

#include "base/wide.h"
#include "image/augment.h"

/* Operators that mix the channels of a pixel take blocks apart into planes, on which loops are
 * vectors of pixels. */
enum { BLOCK = 64, SUMS = 8, PATTERN = 48 };

typedef struct planes {
    float r[BLOCK], g[BLOCK], b[BLOCK];
} planes;

static inline int block_size(int64_t left) {
    return left < BLOCK ? (int)left : BLOCK;
}

static inline void split_planes(const float *rgb, int n, planes *to) {
    for (int i = 0; i < n; i++) {
        to->r[i] = rgb[3 * i];
        to->g[i] = rgb[3 * i + 1];
        to->b[i] = rgb[3 * i + 2];
    }
}

static inline void join_planes(const planes *from, int n, float *rgb) {
    for (int i = 0; i < n; i++) {
        rgb[3 * i] = from->r[i];
        rgb[3 * i + 1] = from->g[i];
        rgb[3 * i + 2] = from->b[i];
    }
}

/* The luma of ITU-R 601-2, with torchvision's four digits. */
static inline float luma(float r, float g, float b) {
    return 0.2989f * r + 0.587f * g + 0.114f * b;
}

static inline float clip(float x) {
    x = x > 0 ? x : 0; /* one comparison a line becomes one instruction without a branch */
    return x < 1 ? x : 1;
}

/* factor * x + (1 - factor) * other, clipped. */
static inline float blend(float x, float other, float factor) {
    return clip(factor * x + (1 - factor) * other);
}

NNCLR_WIDE
static void blend_all(float *rgb, int64_t count, float other, float factor) {
    for (int64_t i = 0; i < count; i++)
        rgb[i] = blend(rgb[i], other, factor);
}

void nnclr_adjust_brightness(float *rgb, int64_t pixels, double factor) {
    blend_all(rgb, 3 * pixels, 0, (float)factor);
}

/* SUMS partial sums, whatever the machine. */
NNCLR_WIDE
static double sum_of_luma(const float *rgb, int64_t pixels) {
    double sums[SUMS] = {0}, total = 0;
    for (int64_t at = 0; at < pixels; at += BLOCK) {
        int n = block_size(pixels - at);
        planes p;
        float gray[BLOCK] = {0};
        split_planes(rgb + 3 * at, n, &p);
        for (int i = 0; i < n; i++)
            gray[i] = luma(p.r[i], p.g[i], p.b[i]);
        for (int i = 0; i < BLOCK; i += SUMS)
            for (int k = 0; k < SUMS; k++)
                sums[k] += (double)gray[i + k];
    }
    for (int k = 0; k < SUMS; k++)
        total += sums[k];
    return total;
}

void nnclr_adjust_contrast(float *rgb, int64_t pixels, double factor) {
    float mean = (float)(sum_of_luma(rgb, pixels) / (double)pixels);
    blend_all(rgb, 3 * pixels, mean, (float)factor);
}

NNCLR_WIDE
static void saturate(float *rgb, int64_t pixels, float factor) {
    for (int64_t at = 0; at < pixels; at += BLOCK) {
        int n = block_size(pixels - at);
        planes p;
        split_planes(rgb + 3 * at, n, &p);
        for (int i = 0; i < n; i++) {
            float gray = luma(p.r[i], p.g[i], p.b[i]);
            p.r[i] = blend(p.r[i], gray, factor);
            p.g[i] = blend(p.g[i], gray, factor);
            p.b[i] = blend(p.b[i], gray, factor);
        }
        join_planes(&p, n, rgb + 3 * at);
    }
}

void nnclr_adjust_saturation(float *rgb, int64_t pixels, double factor) {
    saturate(rgb, pixels, (float)factor);
}

/* RGB to HSV, the hue turned, and back. With the chroma c = max - min, a colour's channel at hue
 * distance k is v - c * clip(min(k, 4 - k)), k = (n + 6h) mod 6 with n = 5, 3, 1 for red, green,
 * blue: the same piecewise linear function as the six cases of the textbook. */
static inline float channel_at(float phase, float hue, float high, float chroma) {
    float k = phase + hue; /* at least 0 */
    k -= 6 * (float)(int)(k * (1.0f / 6));
    float distance = k < 4 - k ? k : 4 - k;
    return clip(high - chroma * clip(distance));
}

NNCLR_WIDE
static void turn_hues(float *rgb, int64_t pixels, float turn) {
    for (int64_t at = 0; at < pixels; at += BLOCK) {
        int n = block_size(pixels - at);
        planes p;
        split_planes(rgb + 3 * at, n, &p);
        for (int i = 0; i < n; i++) {
            float r = p.r[i], g = p.g[i], b = p.b[i];
            float high = r > g ? r : g, low = r < g ? r : g;
            high = high > b ? high : b;
            low = low < b ? low : b;
            float chroma = high - low;
            bool colored = chroma > 0; /* a gray has no hue */
            float difference = high == g ? b - r : r - g, sextant = high == g ? 2 : 4;
            difference = high == r ? g - b : difference;
            sextant = high == r ? 0 : sextant;
            float hue = difference / (colored ? chroma : 1) + sextant + 6 * turn;
            float red = channel_at(5, hue, high, chroma);
            float green = channel_at(3, hue, high, chroma);
            float blue = channel_at(1, hue, high, chroma);
            p.r[i] = colored ? red : r;
            p.g[i] = colored ? green : g;
            p.b[i] = colored ? blue : b;
        }
        join_planes(&p, n, rgb + 3 * at);
    }
}

void nnclr_adjust_hue(float *rgb, int64_t pixels, double turn) {
    turn_hues(rgb, pixels, (float)(turn - floor(turn))); /* 0 to 1 */
}

NNCLR_WIDE
void nnclr_to_gray(float *rgb, int64_t pixels) {
    for (int64_t at = 0; at < pixels; at += BLOCK) {
        int n = block_size(pixels - at);
        planes p;
        split_planes(rgb + 3 * at, n, &p);
        for (int i = 0; i < n; i++)
            p.r[i] = p.g[i] = p.b[i] = luma(p.r[i], p.g[i], p.b[i]);
        join_planes(&p, n, rgb + 3 * at);
    }
}

NNCLR_WIDE
void nnclr_solarize(float *rgb, int64_t pixels) {
    for (int64_t i = 0; i < 3 * pixels; i++)
        rgb[i] = rgb[i] < 0.5f ? rgb[i] : 1 - rgb[i];
}

NNCLR_WIDE
void nnclr_normalize(float *view, int64_t pixels, const float mean[3], const float std[3]) {
    float means[PATTERN], scales[PATTERN]; /* of as many floats as a vector and a pixel divide */
    for (int i = 0; i < PATTERN; i++) {
        means[i] = mean[i % 3];
        scales[i] = 1 / std[i % 3];
    }
    int64_t count = 3 * pixels, at = 0;
    for (; at + PATTERN <= count; at += PATTERN)
        for (int i = 0; i < PATTERN; i++)
            view[at + i] = (view[at + i] - means[i]) * scales[i];
    for (int i = 0; at + i < count; i++)
        view[at + i] = (view[at + i] - means[i]) * scales[i];
}

/* ---- as TensorFlow's tf.image ----
 *
 * Those that BYOL's authors used and that differ from torchvision's: hue and gray do not. */

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
