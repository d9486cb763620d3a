#include "image/decode.h"

#include <string.h>

#include "base/large_memory.h"
#include "base/numbers.h"
#include "image/codec.h"

nnclr_decode_limits nnclr_decode_limits_default(void) {
    return (nnclr_decode_limits){.pixels = 178956970, .side = 65535};
}

bool nnclr_check_limits(const nnclr_decode_limits *limits, uint32_t width, uint32_t height,
                        nnclr_error *e) {
    if (width > (uint32_t)limits->side || height > (uint32_t)limits->side)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%u x %u pixels, a side over the limit of %d",
                          width, height, limits->side);
    if ((int64_t)width * height > limits->pixels)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%u x %u pixels, over the limit of %lld in all",
                          width, height, (long long)limits->pixels);
    return true;
}

bool nnclr_check_memory(const nnclr_picture_header *header, size_t size, nnclr_error *e) {
    enum { ALWAYS = 256 << 20, MEGA = 1000000 };
    if (header->memory <= ALWAYS || (header->memory - ALWAYS) / NNCLR_UNFOLDED <= size)
        return true;
    return nnclr_fail(e, NNCLR_ERROR_LIMIT,
                      "%d x %d pixels in %zu bytes, which would take %zu MB of memory: a file of "
                      "that size holds no such picture",
                      header->width, header->height, size, header->memory / MEGA);
}

void nnclr_begin_decoding(nnclr_picture_header *header) {
    header->taken = nnclr_large_memory_take(header->memory);
}

/* What people keep in picture folders and we do not read: a name says more than four bytes. */
static const struct {
    const char *title;
    size_t offset, size;
    const char *magic;
} foreign[] = {
    {"a GIF", 0, 4, "GIF8"},
    {"a BMP", 0, 2, "BM"},
    {"a WebP", 8, 4, "WEBP"},
    {"a TIFF", 0, 4, "II*\0"},
    {"a TIFF", 0, 4, "MM\0*"},
    {"an AVIF", 4, 8, "ftypavif"},
    {"a HEIF", 4, 7, "ftyphei"},
    {"a HEIF", 4, 8, "ftypmif1"},
    {"a JPEG XL", 0, 2, "\xff\x0a"},
    {"a JPEG XL", 4, 4, "JXL "},
    {"a JPEG 2000", 4, 4, "jP  "},
    {"a Photoshop file", 0, 4, "8BPS"},
    {"a PDF", 0, 4, "%PDF"},
    {"an HTML page", 0, 5, "<html"},
    {"an HTML page", 0, 5, "<!DOC"},
    {"a video", 4, 6, "ftypqt"},
    {"a video", 4, 6, "ftypmp"},
    {"a video", 4, 7, "ftypiso"},
    {"a video", 4, 7, "ftypavc"},
    {"a video", 4, 7, "ftypM4V"},
    {"a video", 4, 6, "ftyp3g"},
    {"a video", 8, 4, "AVI "},
    {"a video", 0, 4, "\x1a\x45\xdf\xa3"},
};

static bool fail_unknown(const uint8_t *bytes, size_t size, nnclr_error *e) {
    if (size == 0)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "empty file");
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (size >= foreign[i].offset + foreign[i].size &&
            memcmp(bytes + foreign[i].offset, foreign[i].magic, foreign[i].size) == 0)
            return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s, not a JPEG, PNG or PPM", foreign[i].title);
    return nnclr_fail(e, NNCLR_ERROR_INPUT, "not a JPEG, PNG or PPM");
}

static const nnclr_picture_codec *match_codec(const uint8_t *bytes, size_t size) {
    static const nnclr_picture_codec *const codecs[] = {&nnclr_jpeg_codec, &nnclr_png_codec,
                                                        &nnclr_ppm_codec};
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++)
        if (codecs[i]->matches(bytes, size))
            return codecs[i];
    return NULL;
}

static const nnclr_picture_codec *find_codec(const uint8_t *bytes, size_t size, nnclr_error *e) {
    const nnclr_picture_codec *codec = match_codec(bytes, size);
    if (!codec)
        fail_unknown(bytes, size, e);
    return codec;
}

bool nnclr_is_picture(const uint8_t *bytes, size_t size) {
    return match_codec(bytes, size) != NULL;
}

/* How the stored picture is walked to see it upright: EXIF's eight values as "rows and columns
 * change places" and, in the stored picture, "from the right" and "from the bottom". */
static const struct {
    bool swap, from_right, from_bottom;
} turns[9] = {
    [1] = {false, false, false}, [2] = {false, true, false}, [3] = {false, true, true},
    [4] = {false, false, true},  [5] = {true, false, false}, [6] = {true, false, true},
    [7] = {true, true, true},    [8] = {true, true, false},
};

static void upright_size(const nnclr_picture_header *header, int *width, int *height) {
    bool swap = turns[header->orientation].swap;
    *width = swap ? header->height : header->width;
    *height = swap ? header->width : header->height;
}

static bool turn_upright(nnclr_image *image, int orientation, nnclr_error *e) {
    if (orientation == 1)
        return true;
    int width = image->width, height = image->height;
    bool swap = turns[orientation].swap;
    nnclr_image upright;
    if (!nnclr_image_create(&upright, swap ? height : width, swap ? width : height, e))
        return false;

    ptrdiff_t right = 3, down = (ptrdiff_t)width * 3;
    const uint8_t *row = image->pixels;
    if (turns[orientation].from_right) {
        row += right * (width - 1);
        right = -right;
    }
    if (turns[orientation].from_bottom) {
        row += down * (height - 1);
        down = -down;
    }
    ptrdiff_t next_pixel = swap ? down : right, next_row = swap ? right : down;
    uint8_t *to = upright.pixels;
    for (int y = 0; y < upright.height; y++)
        for (int x = 0; x < upright.width; x++, to += 3)
            memcpy(to, row + y * next_row + x * next_pixel, 3);

    nnclr_image_free(image);
    *image = upright;
    return true;
}

bool nnclr_decode(const uint8_t *bytes, size_t size, const nnclr_decode_limits *limits,
                  nnclr_image *image, nnclr_error *e) {
    *image = (nnclr_image){0};
    const nnclr_picture_codec *codec = find_codec(bytes, size, e);
    nnclr_picture_header header = {0};
    bool ok = codec && codec->read(bytes, size, limits, &header, image, e) &&
              turn_upright(image, header.orientation, e);
    nnclr_large_memory_give(header.taken);
    if (!ok)
        nnclr_image_free(image);
    return ok;
}

/* ---- a part ---- */

typedef struct choice {
    nnclr_choose_part choose;
    void *context;
} choice;

static void swap_ints(int *a, int *b) {
    int kept = *a;
    *a = *b;
    *b = kept;
}

/* [low, high) counted from the other end. */
static void mirror(int *low, int *high, int size) {
    int kept = *low;
    *low = size - *high;
    *high = size - kept;
}

static nnclr_part choose_stored(void *context, const nnclr_picture_header *header, int most) {
    const choice *c = context;
    int width, height;
    upright_size(header, &width, &height);
    nnclr_part part = c->choose(c->context, width, height, most);
    if (turns[header->orientation].swap) {
        swap_ints(&part.left, &part.top);
        swap_ints(&part.right, &part.bottom);
    }
    if (turns[header->orientation].from_right)
        mirror(&part.left, &part.right, header->width);
    if (turns[header->orientation].from_bottom)
        mirror(&part.top, &part.bottom, header->height);
    return part;
}

/* The place of a mirrored span of `count` squares; `size` is that of the whole in pixels. */
static void mirror_place(int *first, int *before, int count, int size, int shrink) {
    int squares = nnclr_pieces(size, shrink);
    *first = squares - *first - count;
    *before = squares * shrink - size;
}

static void turn_place(nnclr_patch *patch, const nnclr_picture_header *header) {
    if (turns[header->orientation].from_right)
        mirror_place(&patch->left, &patch->before_x, patch->image.width, header->width,
                     patch->shrink);
    if (turns[header->orientation].from_bottom)
        mirror_place(&patch->top, &patch->before_y, patch->image.height, header->height,
                     patch->shrink);
    if (turns[header->orientation].swap) {
        swap_ints(&patch->left, &patch->top);
        swap_ints(&patch->before_x, &patch->before_y);
    }
}

bool nnclr_decode_part(const uint8_t *bytes, size_t size, const nnclr_decode_limits *limits,
                       nnclr_choose_part choose, void *context, nnclr_patch *patch,
                       nnclr_error *e) {
    const nnclr_picture_codec *codec = find_codec(bytes, size, e);
    nnclr_picture_header header = {0};
    nnclr_patch_trim(patch);
    *patch = (nnclr_patch){.image = patch->image, .shrink = 1};
    bool ok = false;
    if (codec && codec->read_part) {
        choice c = {choose, context};
        ok = codec->read_part(bytes, size, limits, choose_stored, &c, &header, patch, e);
        if (ok)
            turn_place(patch, &header);
    } else if (codec) {
        ok = codec->read(bytes, size, limits, &header, &patch->image, e);
    }
    ok = ok && turn_upright(&patch->image, header.orientation, e);
    patch->taken = header.taken;
    if (ok && !codec->read_part)
        choose(context, patch->image.width, patch->image.height, 1);
    if (!ok) {
        nnclr_image_free(&patch->image);
        nnclr_patch_trim(patch);
    }
    return ok;
}

void nnclr_patch_trim(nnclr_patch *patch) {
    if (patch->taken == 0)
        return;
    nnclr_image_free(&patch->image);
    nnclr_large_memory_give(patch->taken);
    patch->taken = 0;
}

bool nnclr_probe(const uint8_t *bytes, size_t size, const nnclr_decode_limits *limits,
                 nnclr_codec *codec, int *width, int *height, nnclr_error *e) {
    const nnclr_picture_codec *found = find_codec(bytes, size, e);
    nnclr_picture_header header = {0};
    if (!found || !found->read(bytes, size, limits, &header, NULL, e))
        return false;
    *codec = found->codec;
    upright_size(&header, width, height);
    return true;
}
