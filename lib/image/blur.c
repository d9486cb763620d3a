/* Gaussian blur as Pillow's: three passes of an extended box filter (Gwosdek et al., "Theoretical
 * foundations of Gaussian convolution by extended box filtering", SSVM 2011), edges replicated. */
#include <math.h>
#include <string.h>

#include "image/augment.h"

enum { PASSES = 3 };

/* The box radius, a real number, that gives three passes the variance of the Gaussian. */
static double box_radius(double sigma) {
    double s2 = sigma * sigma / PASSES;
    double length = sqrt(12 * s2 + 1), l = floor((length - 1) / 2);
    double a = (2 * l + 1) * (l * (l + 1) - 3 * s2) / (6 * (s2 - (l + 1) * (l + 1)));
    return l + a;
}

/* One pass along `count` pixels that lie `step` floats apart: whole weights inside the radius, a
 * share of one at both ends. `line` holds count floats. */
static void blur_line(float *data, int count, size_t step, double radius, float *line) {
    int whole = (int)radius;
    double share = radius - whole, inverse = 1 / (2 * radius + 1);
    for (int i = 0; i < count; i++)
        line[i] = data[(size_t)i * step];
    int last = count - 1;
    double sum = 0; /* of pixels i - whole ... i + whole */
    for (int k = -whole; k <= whole; k++)
        sum += (double)line[k < 0 ? 0 : k > last ? last : k];
    for (int i = 0; i < count; i++) {
        int before = i - whole - 1, after = i + whole + 1, oldest = i - whole;
        double left = (double)line[before < 0 ? 0 : before];
        double right = (double)line[after > last ? last : after];
        data[(size_t)i * step] = (float)((sum + share * (left + right)) * inverse);
        sum += right - (double)line[oldest < 0 ? 0 : oldest > last ? last : oldest];
    }
}

bool nnclr_blur(float *rgb, int width, int height, double sigma, nnclr_buffer *scratch,
                nnclr_error *e) {
    double radius = box_radius(sigma);
    int longest = width > height ? width : height;
    scratch->size = 0;
    if (!nnclr_buffer_reserve(scratch, (size_t)longest * sizeof(float), e))
        return false;
    float *line = (void *)scratch->data;
    for (int pass = 0; pass < PASSES; pass++)
        for (int y = 0; y < height; y++)
            for (size_t c = 0; c < 3; c++)
                blur_line(rgb + 3 * (size_t)y * (size_t)width + c, width, 3, radius, line);
    for (int pass = 0; pass < PASSES; pass++)
        for (int x = 0; x < width; x++)
            for (size_t c = 0; c < 3; c++)
                blur_line(rgb + 3 * (size_t)x + c, height, 3 * (size_t)width, radius, line);
    return true;
}
