#include "image/half_blocks.h"

#include <string.h>

#define UPPER_HALF_BLOCK "\xE2\x96\x80"

bool nnclr_half_blocks(const nnclr_image *image, int line, nnclr_buffer *out, nnclr_error *e) {
    const size_t row = 3 * (size_t)image->width;
    const uint8_t *upper = image->pixels + 2 * (size_t)line * row;
    const uint8_t *lower = 2 * line + 1 < image->height ? upper + row : NULL;
    for (int x = 0; x < image->width; x++, upper += 3, lower = lower ? lower + 3 : NULL) {
        /* A colour that goes on is not said again. */
        if (x == 0 || memcmp(upper, upper - 3, 3) != 0)
            if (!nnclr_buffer_printf(out, e, "\x1b[38;2;%d;%d;%dm", upper[0], upper[1], upper[2]))
                return false;
        if (lower && (x == 0 || memcmp(lower, lower - 3, 3) != 0))
            if (!nnclr_buffer_printf(out, e, "\x1b[48;2;%d;%d;%dm", lower[0], lower[1], lower[2]))
                return false;
        if (!nnclr_buffer_append(out, UPPER_HALF_BLOCK, strlen(UPPER_HALF_BLOCK), e))
            return false;
    }
    return nnclr_buffer_append(out, "\x1b[0m", 4, e);
}
