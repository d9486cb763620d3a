/* PPM, the binary kind (P6) with 8 bits a sample: what nnclr-prep --pixels stores. */
#include <ctype.h>
#include <string.h>

#include "image/codec.h"
#include "image/encode.h"

static bool is_ppm(const uint8_t *bytes, size_t size) {
    return size >= 3 && bytes[0] == 'P' && bytes[1] == '6' &&
           (isspace(bytes[2]) || bytes[2] == '#');
}

/* Blanks and comments, then a decimal number, after which more bytes follow. */
static bool read_number(const uint8_t *bytes, size_t size, size_t *at, uint32_t *number) {
    bool comment = false;
    size_t i = *at;
    for (; i < size && (comment || isspace(bytes[i]) || bytes[i] == '#'); i++)
        comment = bytes[i] == '#' || (comment && bytes[i] != '\n');
    size_t first = i;
    uint32_t value = 0;
    for (; i < size && isdigit(bytes[i]); i++) {
        if (value > 99999999)
            return false;
        value = value * 10 + (uint32_t)(bytes[i] - '0');
    }
    *at = i;
    *number = value;
    return i > first && i < size;
}

static bool read_ppm(const uint8_t *bytes, size_t size, const nnclr_decode_limits *limits,
                     nnclr_picture_header *header, nnclr_image *image, nnclr_error *e) {
    size_t at = 2;
    uint32_t width, height, most;
    if (!read_number(bytes, size, &at, &width) || !read_number(bytes, size, &at, &height) ||
        !read_number(bytes, size, &at, &most) || !isspace(bytes[at]) || width == 0 || height == 0)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "unreadable PPM (its header is cut or damaged)");
    at++;
    if (most != 255)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "a PPM with values up to %u, but only 255 is read",
                          most);
    if (!nnclr_check_limits(limits, width, height, e))
        return false;
    size_t need = (size_t)width * height * 3;
    if (size - at < need)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "truncated PPM (%zu of %zu bytes)", size,
                          at + need);
    *header = (nnclr_picture_header){.width = (int)width, .height = (int)height, .orientation = 1};
    header->memory = need;
    if (!image)
        return true;
    nnclr_begin_decoding(header);
    if (!nnclr_image_reuse(image, (int)width, (int)height, e))
        return false;
    memcpy(image->pixels, bytes + at, need);
    return true;
}

bool nnclr_encode_ppm(const nnclr_image *image, nnclr_buffer *out, nnclr_error *e) {
    size_t before = out->size, bytes = (size_t)image->width * (size_t)image->height * 3;
    if (nnclr_buffer_printf(out, e, "P6\n%d %d\n255\n", image->width, image->height) &&
        nnclr_buffer_append(out, image->pixels, bytes, e))
        return true;
    out->size = before;
    return false;
}

const nnclr_picture_codec nnclr_ppm_codec = {NNCLR_CODEC_PPM, is_ppm, read_ppm, NULL};
