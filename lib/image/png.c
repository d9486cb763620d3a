/* PNG by libpng, which reports errors by longjmp: what outlives the jump lives in a job struct of
 * the function above the one that called setjmp. */
#include <limits.h>
#include <setjmp.h>
#include <string.h>

#include <png.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "image/codec.h"
#include "image/encode.h"
#include "image/exif.h"

enum {
    SIGNATURE_BYTES = 8,
    CHUNK_FRAME = 12,    /* length, type, CRC */
    HEADER_END = 33,     /* signature and the whole IHDR */
    DEFLATE_BEST = 1032, /* deflate yields at most that many bytes for one */
    MOST_SURPLUS = 65536 /* bytes of data that follow the last row */
};

_Noreturn static void leave_reading(png_structp png, png_const_charp reason) {
    nnclr_fail(png_get_error_ptr(png), NNCLR_ERROR_INPUT, "unreadable PNG (%s)", reason);
    png_longjmp(png, 1);
}

_Noreturn static void leave_writing(png_structp png, png_const_charp reason) {
    nnclr_fail(png_get_error_ptr(png), NNCLR_ERROR_INPUT, "cannot be written as PNG (%s)", reason);
    png_longjmp(png, 1);
}

/* libpng warns of what it repairs or passes over; what it cannot repair is an error. */
static void pass_over(png_structp png, png_const_charp reason) {
    (void)png;
    (void)reason;
}

/* ---- reading ---- */

typedef struct reader {
    png_structp png;
    png_infop info;
    nnclr_error *e;
    uint8_t *rows; /* of pictures with alpha, before they are composited */
    const uint8_t *bytes;
    size_t size, used;
} reader;

static uint32_t load_u32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

typedef struct chunk {
    const uint8_t *type, *data; /* NULL: the bytes end before, or within, the chunk */
    size_t start, length;
} chunk;

/* Steps to the chunk that starts at byte *at. */
static chunk next_chunk(const uint8_t *bytes, size_t size, size_t *at) {
    chunk found = {.start = *at};
    if (size - *at < CHUNK_FRAME)
        return found;
    found.length = load_u32(bytes + *at);
    if (found.length > size - *at - CHUNK_FRAME)
        return found;
    found.type = bytes + *at + 4;
    found.data = found.type + 4;
    *at += CHUNK_FRAME + found.length;
    return found;
}

/* The first chunk of that type; its type is NULL if there is none. */
static chunk find_chunk(const uint8_t *bytes, size_t size, const char *type) {
    size_t at = SIGNATURE_BYTES;
    for (;;) {
        chunk found = next_chunk(bytes, size, &at);
        if (!found.type || memcmp(found.type, type, 4) == 0)
            return found;
        if (memcmp(found.type, "IEND", 4) == 0)
            return (chunk){0};
    }
}

static int find_orientation(const uint8_t *bytes, size_t size) {
    chunk found = find_chunk(bytes, size, "eXIf");
    return found.type ? nnclr_exif_orientation(found.data, found.length) : 1;
}

/* The picture, and once more if it is turned or, interlaced with alpha, waits for its last pass
 * before it is composited. */
static size_t count_memory(const uint8_t *bytes, size_t size, const nnclr_picture_header *header) {
    enum { ALPHA = 4, COLOR_TYPE = 25, INTERLACED = 28 };
    bool alpha = (bytes[COLOR_TYPE] & ALPHA) || find_chunk(bytes, size, "tRNS").type;
    int turned = header->orientation == 1 ? 0 : 3, waiting = alpha && bytes[INTERLACED] ? 4 : 0;
    int again = nnclr_max(waiting, turned);
    return (size_t)header->width * (size_t)header->height * (size_t)(3 + again);
}

static bool fail_truncated(const uint8_t *bytes, size_t size, nnclr_error *e) {
    size_t at = SIGNATURE_BYTES;
    chunk last;
    do
        last = next_chunk(bytes, size, &at);
    while (last.type);
    size_t least = size - last.start >= 4 ? last.start + CHUNK_FRAME + load_u32(bytes + last.start)
                                          : last.start + CHUNK_FRAME;
    bool has_end = size - last.start >= 8 && memcmp(bytes + last.start + 4, "IEND", 4) == 0;
    return nnclr_fail(e, NNCLR_ERROR_INPUT, "truncated PNG (%zu of at least %zu bytes)", size,
                      has_end || size == last.start ? least : least + CHUNK_FRAME);
}

static void take_bytes(png_structp png, png_bytep to, size_t count) {
    reader *job = png_get_io_ptr(png);
    if (count > job->size - job->used) {
        fail_truncated(job->bytes, job->size, job->e);
        png_longjmp(png, 1);
    }
    memcpy(to, job->bytes + job->used, count);
    job->used += count;
}

/* Looks at IHDR before libpng does, so that nothing is allocated for what cannot be. */
static bool read_header(const uint8_t *bytes, size_t size, const nnclr_decode_limits *limits,
                        nnclr_picture_header *header, nnclr_error *e) {
    static const uint8_t channels[8] = {1, 0, 3, 1, 2, 0, 4, 0}; /* by colour type */
    if (size < HEADER_END)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "truncated PNG (%zu bytes end within its header)",
                          size);
    if (load_u32(bytes + 8) != 13 || memcmp(bytes + 12, "IHDR", 4) != 0)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "unreadable PNG (no header chunk)");
    uint32_t width = load_u32(bytes + 16), height = load_u32(bytes + 20);
    if (width == 0 || height == 0)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "unreadable PNG (%u x %u pixels)", width, height);
    if (!nnclr_check_limits(limits, width, height, e))
        return false;
    uint64_t row_bits = (uint64_t)width * bytes[24] * channels[bytes[25] & 7];
    if ((row_bits + 7) / 8 * height / DEFLATE_BEST > size)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "truncated PNG (%zu bytes cannot hold %u x %u pixels)", size, width,
                          height);
    *header = (nnclr_picture_header){
        .width = (int)width, .height = (int)height, .orientation = find_orientation(bytes, size)};
    header->memory = count_memory(bytes, size, header);
    return nnclr_check_memory(header, size, e);
}

static void composite_on_black(const uint8_t *rgba, int pixels, uint8_t *rgb) {
    for (int i = 0; i < pixels; i++, rgba += 4, rgb += 3)
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)((rgba[c] * rgba[3] + 127) / 255);
}

/* Sets libpng up so that rows come as 8-bit RGB or RGBA; returns the number of passes. */
static int start_reading(reader *job, bool *alpha) {
    png_structp png = job->png;
    png_set_read_fn(png, job, take_bytes);
    /* Comments, profiles and the like may inflate to anything: they are skipped unseen. What is
     * left is small or streamed, so that no bound on chunks is needed. */
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_chunk_malloc_max(png, 0);
    png_read_info(png, job->info);
    png_set_expand(png);
    png_set_strip_16(png);
    png_set_gray_to_rgb(png);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, job->info);
    *alpha = png_get_channels(png, job->info) == 4;
    return passes;
}

/* libpng passes over data that follow the last row, and takes its time: they may inflate to
 * anything. Asked before that row, which has at most eight bytes a pixel. */
static bool check_surplus(const reader *job, int width) {
    size_t at = SIGNATURE_BYTES, end = 0, most = MOST_SURPLUS + 9 * (size_t)width;
    for (chunk found; (found = next_chunk(job->bytes, job->size, &at)).type;)
        if (memcmp(found.type, "IDAT", 4) == 0)
            end = at;
    return end <= job->used + most ||
           nnclr_fail(job->e, NNCLR_ERROR_INPUT,
                      "unreadable PNG (%zu bytes of data follow its rows)", end - job->used);
}

static bool read_guarded(reader *job, nnclr_image *image) {
    png_structp png = job->png;
    if (setjmp(png_jmpbuf(png)))
        return false;
    bool alpha;
    int passes = start_reading(job, &alpha);
    size_t stride = (size_t)image->width * 3, stored = 0;
    if (alpha) {
        stored = (size_t)image->width * 4;
        job->rows = nnclr_alloc(passes > 1 ? (size_t)image->height : 1, stored, job->e);
        if (!job->rows)
            return false;
    }
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < image->height; y++) {
            uint8_t *to = image->pixels + stride * (size_t)y;
            uint8_t *row = alpha ? job->rows + (passes > 1 ? stored * (size_t)y : 0) : to;
            bool last = pass == passes - 1;
            if (last && y == image->height - 1 && !check_surplus(job, image->width))
                return false;
            png_read_row(png, row, NULL);
            if (alpha && last)
                composite_on_black(row, image->width, to);
        }
    png_read_end(png, NULL);
    return true;
}

static bool read_png(const uint8_t *bytes, size_t size, const nnclr_decode_limits *limits,
                     nnclr_picture_header *header, nnclr_image *image, nnclr_error *e) {
    if (!read_header(bytes, size, limits, header, e))
        return false;
    if (!image)
        return true;
    nnclr_begin_decoding(header);
    if (!nnclr_image_reuse(image, header->width, header->height, e))
        return false;

    reader job = {.e = e, .bytes = bytes, .size = size};
    bool ok = false;
    job.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, e, leave_reading, pass_over);
    if (job.png)
        job.info = png_create_info_struct(job.png);
    if (job.info)
        ok = read_guarded(&job, image);
    else
        nnclr_fail(e, NNCLR_ERROR_MEMORY, "out of memory in the PNG library");
    png_destroy_read_struct(&job.png, &job.info, NULL);
    nnclr_free(job.rows);
    if (!ok)
        nnclr_image_free(image);
    return ok;
}

/* ---- writing ---- */

typedef struct writer {
    png_structp png;
    png_infop info;
    nnclr_error *e;
    nnclr_buffer *buffer;
} writer;

static void put_bytes(png_structp png, png_bytep bytes, size_t count) {
    writer *job = png_get_io_ptr(png);
    if (!nnclr_buffer_append(job->buffer, bytes, count, job->e))
        png_longjmp(png, 1);
}

static void flush_nothing(png_structp png) {
    (void)png;
}

static bool write_guarded(writer *job, const nnclr_image *image) {
    png_structp png = job->png;
    if (setjmp(png_jmpbuf(png)))
        return false;
    png_set_write_fn(png, job, put_bytes, flush_nothing);
    png_set_user_limits(png, INT_MAX, INT_MAX);
    png_set_IHDR(png, job->info, (png_uint_32)image->width, (png_uint_32)image->height, 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, job->info);
    for (int y = 0; y < image->height; y++)
        png_write_row(png, image->pixels + (size_t)image->width * 3 * (size_t)y);
    png_write_end(png, NULL);
    return true;
}

bool nnclr_encode_png(const nnclr_image *image, nnclr_buffer *out, nnclr_error *e) {
    writer job = {.e = e, .buffer = out};
    size_t before = out->size;
    bool ok = false;
    job.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, e, leave_writing, pass_over);
    if (job.png)
        job.info = png_create_info_struct(job.png);
    if (job.info)
        ok = write_guarded(&job, image);
    else
        nnclr_fail(e, NNCLR_ERROR_MEMORY, "out of memory in the PNG library");
    png_destroy_write_struct(&job.png, &job.info);
    if (!ok)
        out->size = before;
    return ok;
}

static bool is_png(const uint8_t *bytes, size_t size) {
    return size >= SIGNATURE_BYTES && memcmp(bytes, "\x89PNG\r\n\x1a\n", SIGNATURE_BYTES) == 0;
}

const nnclr_picture_codec nnclr_png_codec = {NNCLR_CODEC_PNG, is_png, read_png, NULL};
