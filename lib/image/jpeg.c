/* JPEG by libjpeg (libjpeg-turbo). libjpeg reports errors by a call that must not return: ours
 * fills the caller's nnclr_error and jumps out. What outlives the jump lives in a job struct of the
 * function above the one that called setjmp. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "image/codec.h"
#include "image/encode.h"
#include "image/exif.h"

/* A scan goes through all blocks of its components, though it may have no bytes: what a file may
 * make us do is bounded by its size. The unit is a few nanoseconds. A block costs BLOCK_WORK of
 * them, and with Huffman codes little more than what it takes bits for; with arithmetic coding each
 * coefficient costs one more, and nearly no bits. Progressive photographs ask for a few tens per
 * byte, blank ones for 200; a small picture may have any number of scans. */
enum { WORK_ALWAYS = 32 << 20, WORK_A_BYTE = 512, BLOCK_WORK = 8 };

enum { MOST_SHRINK = 8 };

enum { MARKER_RST0 = 0xD0, MARKER_RST7 = 0xD7, MARKER_APP1 = JPEG_APP0 + 1 };

typedef struct jump {
    jmp_buf to;
    nnclr_error *e;
} jump;

_Noreturn static void leave_with_error(j_common_ptr jpeg) {
    jump *out = jpeg->client_data;
    char reason[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, reason);
    if (jpeg->err->msg_code == JERR_OUT_OF_MEMORY)
        nnclr_fail(out->e, NNCLR_ERROR_MEMORY, "out of memory in the JPEG library");
    else if (jpeg->is_decompressor)
        nnclr_fail(out->e, NNCLR_ERROR_INPUT, "unreadable JPEG (%s)", reason);
    else
        nnclr_fail(out->e, NNCLR_ERROR_INPUT, "cannot be written as JPEG (%s)", reason);
    longjmp(out->to, 1);
}

/* Warnings after which the picture is whole nevertheless. Padding before a marker is common in
 * intact files; before a restart marker it means that the rows before it are damaged. */
static bool harmless(const struct jpeg_error_mgr *errors) {
    switch (errors->msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_BOGUS_ICC:
    case JWRN_JFIF_MAJOR:
        return true;
    case JWRN_EXTRANEOUS_DATA:
        return errors->msg_parm.i[1] < MARKER_RST0 || errors->msg_parm.i[1] > MARKER_RST7;
    default:
        return false;
    }
}

static void judge_warning(j_common_ptr jpeg, int level) {
    if (level < 0 && !harmless(jpeg->err))
        leave_with_error(jpeg);
}

static void stay_silent(j_common_ptr jpeg) {
    (void)jpeg;
}

static struct jpeg_error_mgr *set_errors(struct jpeg_error_mgr *errors) {
    jpeg_std_error(errors);
    errors->error_exit = leave_with_error;
    errors->emit_message = judge_warning;
    errors->output_message = stay_silent;
    return errors;
}

/* ---- reading ---- */

typedef struct reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jump out;
    bool in_header;
    int scan;      /* the newest that is counted in blocks */
    uint64_t work; /* of all scans so far */
    const uint8_t *bytes;
    size_t size;
    nnclr_choose_stored choose; /* NULL: the whole is wanted */
    void *context;
} reader;

static void no_start_or_end(j_decompress_ptr jpeg) {
    (void)jpeg;
}

/* All bytes were there from the start: whoever wants more has met the end. */
_Noreturn static void leave_truncated(j_decompress_ptr jpeg) {
    jump *out = jpeg->client_data;
    reader *job = (reader *)jpeg; /* its first member */
    if (job->in_header)
        nnclr_fail(out->e, NNCLR_ERROR_INPUT, "truncated JPEG (%zu bytes end within its header)",
                   job->size);
    else if (jpeg_has_multiple_scans(jpeg))
        nnclr_fail(out->e, NNCLR_ERROR_INPUT, "truncated JPEG (%zu bytes end after scan %d)",
                   job->size, jpeg->input_scan_number);
    else
        nnclr_fail(out->e, NNCLR_ERROR_INPUT, "truncated JPEG (%zu bytes hold %u of %u rows)",
                   job->size, jpeg->output_scanline, jpeg->output_height);
    longjmp(out->to, 1);
}

static boolean want_more(j_decompress_ptr jpeg) {
    leave_truncated(jpeg);
}

static void skip(j_decompress_ptr jpeg, long count) {
    if (count <= 0)
        return;
    if ((size_t)count > jpeg->src->bytes_in_buffer)
        leave_truncated(jpeg);
    jpeg->src->next_input_byte += count;
    jpeg->src->bytes_in_buffer -= (size_t)count;
}

static size_t count_blocks(const jpeg_component_info *component) {
    return (size_t)component->width_in_blocks * (size_t)component->height_in_blocks;
}

/* The library calls this for each row of blocks, before it is read. */
static void bound_work(j_common_ptr common) {
    j_decompress_ptr jpeg = (j_decompress_ptr)common;
    reader *job = (reader *)jpeg; /* its first member */
    if (jpeg->input_scan_number == job->scan)
        return;
    job->scan = jpeg->input_scan_number;
    unsigned coefficients = jpeg->progressive_mode ? (unsigned)(jpeg->Se - jpeg->Ss + 1) : DCTSIZE2;
    uint64_t block_work = BLOCK_WORK + (jpeg->arith_code ? coefficients : 0);
    for (int i = 0; i < jpeg->comps_in_scan; i++)
        job->work += block_work * count_blocks(jpeg->cur_comp_info[i]);
    if (job->work <= WORK_ALWAYS + WORK_A_BYTE * (uint64_t)job->size)
        return;
    nnclr_fail(job->out.e, NNCLR_ERROR_LIMIT,
               "a JPEG of %u x %u pixels and %d scans or more in %zu bytes: a file of that size "
               "holds no such picture",
               jpeg->image_width, jpeg->image_height, job->scan, job->size);
    longjmp(job->out.to, 1);
}

static int find_orientation(const struct jpeg_decompress_struct *jpeg) {
    for (jpeg_saved_marker_ptr marker = jpeg->marker_list; marker; marker = marker->next)
        if (marker->data_length >= 6 && memcmp(marker->data, "Exif\0\0", 6) == 0)
            return nnclr_exif_orientation(marker->data + 6, marker->data_length - 6);
    return 1;
}

/* With Huffman codes a block takes at least one bit in some scan: a small file that claims to be
 * large is found out before memory is spent on it. */
static bool holds_enough(const struct jpeg_decompress_struct *jpeg, size_t size, nnclr_error *e) {
    if (jpeg->arith_code)
        return true;
    for (int i = 0; i < jpeg->num_components; i++) {
        if (count_blocks(&jpeg->comp_info[i]) / 8 > size)
            return nnclr_fail(e, NNCLR_ERROR_INPUT,
                              "truncated JPEG (%zu bytes cannot hold %u x %u pixels)", size,
                              jpeg->image_width, jpeg->image_height);
    }
    return true;
}

/* The picture, twice if it is turned; all coefficients if they come in several scans. */
static size_t count_memory(j_decompress_ptr jpeg, int orientation) {
    size_t pixels = (size_t)jpeg->image_width * jpeg->image_height;
    size_t memory = (orientation == 1 ? 3 : 6) * pixels;
    for (int i = 0; i < jpeg->num_components && jpeg_has_multiple_scans(jpeg); i++)
        memory += count_blocks(&jpeg->comp_info[i]) * sizeof(JBLOCK);
    return memory;
}

static bool read_header(reader *job, const nnclr_decode_limits *limits,
                        nnclr_picture_header *header) {
    struct jpeg_decompress_struct *jpeg = &job->jpeg;
    job->source = (struct jpeg_source_mgr){.next_input_byte = job->bytes,
                                           .bytes_in_buffer = job->size,
                                           .init_source = no_start_or_end,
                                           .fill_input_buffer = want_more,
                                           .skip_input_data = skip,
                                           .resync_to_restart = jpeg_resync_to_restart,
                                           .term_source = no_start_or_end};
    jpeg->src = &job->source;
    job->progress.progress_monitor = bound_work;
    jpeg->progress = &job->progress;
    jpeg_save_markers(jpeg, MARKER_APP1, 0xFFFF);
    jpeg_read_header(jpeg, TRUE);
    job->in_header = false;

    if (!nnclr_check_limits(limits, jpeg->image_width, jpeg->image_height, job->out.e) ||
        !holds_enough(jpeg, job->size, job->out.e))
        return false;
    *header = (nnclr_picture_header){.width = (int)jpeg->image_width,
                                     .height = (int)jpeg->image_height,
                                     .orientation = find_orientation(jpeg)};
    header->memory = count_memory(jpeg, header->orientation);
    return nnclr_check_memory(header, job->size, job->out.e);
}

/* Pillow's plain formula on inks that are stored inverted, as Adobe began it and all do. */
static void cmyk_to_rgb(const uint8_t *cmyk, int pixels, uint8_t *rgb) {
    for (int i = 0; i < pixels; i++, cmyk += 4, rgb += 3)
        for (int c = 0; c < 3; c++) {
            int light = cmyk[3], product = (255 - cmyk[c]) * light + 128;
            int value = light - (((product >> 8) + product) >> 8);
            rgb[c] = (uint8_t)(value < 0 ? 0 : value);
        }
}

/* Makes room for one output row and puts it there as RGB. */
typedef struct row_reader {
    JSAMPROW row, inks; /* inks: NULL if the library itself gives RGB */
    int width;
} row_reader;

static row_reader make_rows(reader *job, bool inks) {
    struct jpeg_decompress_struct *jpeg = &job->jpeg;
    size_t width = jpeg->output_width;
    row_reader rows = {.width = (int)width};
    rows.row = jpeg->mem->alloc_large((j_common_ptr)jpeg, JPOOL_IMAGE, width * 3);
    if (inks)
        rows.inks = jpeg->mem->alloc_large((j_common_ptr)jpeg, JPOOL_IMAGE, width * 4);
    return rows;
}

static void read_row(reader *job, const row_reader *rows, uint8_t *to) {
    JSAMPROW row = rows->inks ? rows->inks : to;
    jpeg_read_scanlines(&job->jpeg, &row, 1);
    if (rows->inks)
        cmyk_to_rgb(rows->inks, rows->width, to);
}

/* For when the whole is wanted: the end marker is wanted, too. */
static bool read_whole(reader *job, const row_reader *rows, nnclr_image *image) {
    struct jpeg_decompress_struct *jpeg = &job->jpeg;
    if (!nnclr_image_reuse(image, (int)jpeg->output_width, (int)jpeg->output_height, job->out.e))
        return false;
    size_t stride = (size_t)image->width * 3;
    while (jpeg->output_scanline < jpeg->output_height)
        read_row(job, rows, image->pixels + stride * jpeg->output_scanline);
    jpeg_finish_decompress(jpeg);
    return true;
}

/* The library's own edges of a cropped picture lack the neighbours that colour is smoothed with:
 * one more block on each side is decoded, and dropped. */
static bool read_window(reader *job, bool inks, nnclr_patch *patch, int right, int bottom) {
    struct jpeg_decompress_struct *jpeg = &job->jpeg;
    int width = (int)jpeg->output_width;
    int block_width = jpeg->max_h_samp_factor * jpeg->min_DCT_scaled_size;
    int first = patch->left > block_width ? patch->left - block_width : 0;
    int last = right < width - block_width ? right + block_width : width;
    JDIMENSION begin = (JDIMENSION)first, count = (JDIMENSION)(last - first);
    if (last - first < width)
        jpeg_crop_scanline(jpeg, &begin, &count);
    if (!nnclr_image_reuse(&patch->image, right - patch->left, bottom - patch->top, job->out.e))
        return false;

    row_reader rows = make_rows(job, inks);
    if (patch->top > 0)
        jpeg_skip_scanlines(jpeg, (JDIMENSION)patch->top);
    size_t stride = (size_t)patch->image.width * 3;
    const uint8_t *from = rows.row + 3 * (size_t)(patch->left - (int)begin);
    for (int y = 0; y < patch->image.height; y++) {
        read_row(job, &rows, rows.row);
        memcpy(patch->image.pixels + stride * (size_t)y, from, stride);
    }
    return true;
}

/* A scaled transform makes up for colour that was stored coarser than brightness, but only by as
 * much in both directions: what is left over would show as steps. */
static int most_shrink(const struct jpeg_decompress_struct *jpeg) {
    int uneven = 1;
    for (int i = 0; i < jpeg->num_components; i++) {
        int across = jpeg->max_h_samp_factor * jpeg->comp_info[i].v_samp_factor;
        int down = jpeg->max_v_samp_factor * jpeg->comp_info[i].h_samp_factor;
        int ratio = across > down ? across / down : down / across;
        uneven = ratio > uneven ? ratio : uneven;
    }
    int most = MOST_SHRINK;
    while (most > 1 && most * uneven > MOST_SHRINK)
        most /= 2;
    return most;
}

static bool read_pixels(reader *job, const nnclr_picture_header *header, nnclr_patch *patch) {
    struct jpeg_decompress_struct *jpeg = &job->jpeg;
    nnclr_part part = {0, 0, header->width, header->height, 1};
    if (job->choose)
        part = job->choose(job->context, header, most_shrink(jpeg));
    bool inks = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
    jpeg->out_color_space = inks ? JCS_CMYK : JCS_RGB;
    jpeg->scale_num = 1;
    jpeg->scale_denom = (unsigned)part.shrink;
    jpeg_start_decompress(jpeg);

    int s = part.shrink, right = (part.right + s - 1) / s, bottom = (part.bottom + s - 1) / s;
    patch->left = part.left / s;
    patch->top = part.top / s;
    patch->shrink = s;
    if (patch->left > 0 || patch->top > 0 || right < (int)jpeg->output_width ||
        bottom < (int)jpeg->output_height)
        return read_window(job, inks, patch, right, bottom);
    row_reader rows = make_rows(job, inks);
    return read_whole(job, &rows, &patch->image);
}

static bool read_guarded(reader *job, const nnclr_decode_limits *limits,
                         nnclr_picture_header *header, nnclr_patch *patch) {
    if (setjmp(job->out.to))
        return false;
    job->jpeg.err = set_errors(&job->errors);
    job->jpeg.client_data = &job->out;
    jpeg_create_decompress(&job->jpeg);
    if (!read_header(job, limits, header))
        return false;
    if (!patch)
        return true;
    nnclr_begin_decoding(header);
    return read_pixels(job, header, patch);
}

static bool read_jpeg_part(const uint8_t *bytes, size_t size, const nnclr_decode_limits *limits,
                           nnclr_choose_stored choose, void *context, nnclr_picture_header *header,
                           nnclr_patch *patch, nnclr_error *e) {
    reader job = {.out.e = e,
                  .in_header = true,
                  .bytes = bytes,
                  .size = size,
                  .choose = choose,
                  .context = context};
    bool ok = read_guarded(&job, limits, header, patch);
    jpeg_destroy_decompress(&job.jpeg);
    if (!ok && patch)
        nnclr_image_free(&patch->image);
    return ok;
}

static bool read_jpeg(const uint8_t *bytes, size_t size, const nnclr_decode_limits *limits,
                      nnclr_picture_header *header, nnclr_image *image, nnclr_error *e) {
    if (!image)
        return read_jpeg_part(bytes, size, limits, NULL, NULL, header, NULL, e);
    nnclr_patch patch = {.image = *image};
    bool ok = read_jpeg_part(bytes, size, limits, NULL, NULL, header, &patch, e);
    *image = patch.image;
    return ok;
}

/* ---- writing ---- */

enum { OUTPUT_STEP = 64 * 1024 };

typedef struct writer {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr destination;
    jump out;
    nnclr_buffer *buffer;
} writer;

static void more_room(j_compress_ptr jpeg) {
    writer *job = (writer *)jpeg; /* its first member */
    if (!nnclr_buffer_reserve(job->buffer, OUTPUT_STEP, job->out.e))
        longjmp(job->out.to, 1);
    job->destination.next_output_byte = job->buffer->data + job->buffer->size;
    job->destination.free_in_buffer = OUTPUT_STEP;
}

static boolean step_full(j_compress_ptr jpeg) {
    ((writer *)jpeg)->buffer->size += OUTPUT_STEP;
    more_room(jpeg);
    return TRUE;
}

static void end_output(j_compress_ptr jpeg) {
    writer *job = (writer *)jpeg;
    job->buffer->size += OUTPUT_STEP - job->destination.free_in_buffer;
    job->buffer->data[job->buffer->size] = '\0';
}

static bool write_guarded(writer *job, const nnclr_image *image, int quality) {
    struct jpeg_compress_struct *jpeg = &job->jpeg;
    if (setjmp(job->out.to))
        return false;
    jpeg->err = set_errors(&job->errors);
    jpeg->client_data = &job->out;
    jpeg_create_compress(jpeg);
    job->destination = (struct jpeg_destination_mgr){.init_destination = more_room,
                                                     .empty_output_buffer = step_full,
                                                     .term_destination = end_output};
    jpeg->dest = &job->destination;
    jpeg->image_width = (JDIMENSION)image->width;
    jpeg->image_height = (JDIMENSION)image->height;
    jpeg->input_components = 3;
    jpeg->in_color_space = JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, quality, TRUE);
    jpeg_start_compress(jpeg, TRUE);
    while (jpeg->next_scanline < jpeg->image_height) {
        JSAMPROW row = image->pixels + (size_t)image->width * 3 * jpeg->next_scanline;
        jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
    return true;
}

bool nnclr_encode_jpeg(const nnclr_image *image, int quality, nnclr_buffer *out, nnclr_error *e) {
    writer job = {.out.e = e, .buffer = out};
    size_t before = out->size;
    bool ok = write_guarded(&job, image, quality);
    jpeg_destroy_compress(&job.jpeg);
    if (!ok)
        out->size = before;
    return ok;
}

static bool is_jpeg(const uint8_t *bytes, size_t size) {
    return size >= 2 && bytes[0] == 0xFF && bytes[1] == 0xD8;
}

const nnclr_picture_codec nnclr_jpeg_codec = {NNCLR_CODEC_JPEG, is_jpeg, read_jpeg, read_jpeg_part};
