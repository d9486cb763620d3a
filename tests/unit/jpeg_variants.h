/* JPEG files of kinds that the library reads but does not write. */
#ifndef NNCLR_TESTS_JPEG_VARIANTS_H
#define NNCLR_TESTS_JPEG_VARIANTS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include "base/strings.h"
#include "image/image.h"
#include "tests/unit/check.h"

typedef enum jpeg_colors { COLORS_YCC, COLORS_GRAY, COLORS_CMYK } jpeg_colors;

typedef struct jpeg_variant {
    const char *title;
    int across, down; /* pixels of brightness for one of colour */
    jpeg_colors colors;
    bool progressive;
    int orientation; /* EXIF's; 0: nothing is said */
    int restart;     /* rows of blocks between restart markers; 0: none */
} jpeg_variant;

static const jpeg_variant jpeg_variants[] = {
    {"4:4:4", 1, 1, COLORS_YCC, false, 0, 0},
    {"4:2:2", 2, 1, COLORS_YCC, false, 0, 0},
    {"4:2:0", 2, 2, COLORS_YCC, false, 0, 0},
    {"4:4:0", 1, 2, COLORS_YCC, false, 0, 0},
    {"4:1:1", 4, 1, COLORS_YCC, false, 0, 0},
    {"4:2:0 with restart markers", 2, 2, COLORS_YCC, false, 0, 1},
    {"gray", 1, 1, COLORS_GRAY, false, 0, 0},
    {"CMYK", 1, 1, COLORS_CMYK, false, 0, 0},
    {"progressive 4:2:0", 2, 2, COLORS_YCC, true, 0, 0},
    {"progressive 4:4:4", 1, 1, COLORS_YCC, true, 0, 0},
    {"progressive CMYK", 1, 1, COLORS_CMYK, true, 0, 0},
    {"4:2:0 turned 2", 2, 2, COLORS_YCC, false, 2, 0},
    {"4:2:0 turned 3", 2, 2, COLORS_YCC, false, 3, 0},
    {"4:2:0 turned 4", 2, 2, COLORS_YCC, false, 4, 0},
    {"4:2:0 turned 5", 2, 2, COLORS_YCC, false, 5, 0},
    {"4:2:0 turned 6", 2, 2, COLORS_YCC, false, 6, 0},
    {"4:2:0 turned 7", 2, 2, COLORS_YCC, false, 7, 0},
    {"4:2:0 turned 8", 2, 2, COLORS_YCC, false, 8, 0},
    {"progressive 4:2:2 turned 6", 2, 1, COLORS_YCC, true, 6, 0},
};

enum { JPEG_VARIANTS = sizeof jpeg_variants / sizeof *jpeg_variants };

static inline void jpeg_variant_row(const jpeg_variant *variant, const uint8_t *rgb, int width,
                                    uint8_t *to) {
    for (int x = 0; x < width; x++, rgb += 3)
        switch (variant->colors) {
        case COLORS_YCC:
            memcpy(to + 3 * x, rgb, 3);
            break;
        case COLORS_GRAY:
            to[x] = rgb[1];
            break;
        case COLORS_CMYK: /* inks, stored inverted as is usual; half of the darkness is black */
            for (int c = 0; c < 3; c++)
                to[4 * x + c] = rgb[c];
            to[4 * x + 3] = (uint8_t)(127 + rgb[0] / 2);
            break;
        }
}

/* What was written to memory, as a buffer of ours. */
static inline nnclr_buffer jpeg_variant_finish(struct jpeg_compress_struct *jpeg,
                                               unsigned char **bytes, const unsigned long *size) {
    nnclr_buffer out = {0};
    nnclr_error e;
    jpeg_finish_compress(jpeg);
    jpeg_destroy_compress(jpeg);
    CHECK_SAYS(nnclr_buffer_append(&out, *bytes, *size, &e), "%s", e.message);
    free(*bytes);
    return out;
}

/* The caller frees the bytes. */
static inline nnclr_buffer jpeg_variant_encode(const nnclr_image *image,
                                               const jpeg_variant *variant, int quality) {
    static const int channels[] = {3, 1, 4};
    static const J_COLOR_SPACE spaces[] = {JCS_RGB, JCS_GRAYSCALE, JCS_CMYK};
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    jpeg.err = jpeg_std_error(&errors); /* ends the program on errors: the pictures are our own */
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &size);
    jpeg.image_width = (JDIMENSION)image->width;
    jpeg.image_height = (JDIMENSION)image->height;
    jpeg.input_components = channels[variant->colors];
    jpeg.in_color_space = spaces[variant->colors];
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, quality, TRUE);
    jpeg.comp_info[0].h_samp_factor = variant->across;
    jpeg.comp_info[0].v_samp_factor = variant->down;
    jpeg.restart_in_rows = variant->restart;
    if (variant->progressive)
        jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    if (variant->orientation > 0) {
        unsigned char exif[] = "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0o\0\0\0";
        exif[24] = (unsigned char)variant->orientation;
        jpeg_write_marker(&jpeg, JPEG_APP0 + 1, exif, sizeof exif - 1);
    }
    uint8_t *row = malloc((size_t)image->width * 4);
    CHECK(row != NULL);
    while (jpeg.next_scanline < jpeg.image_height) {
        jpeg_variant_row(variant, image->pixels + (size_t)image->width * 3 * jpeg.next_scanline,
                         image->width, row);
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    free(row);
    return jpeg_variant_finish(&jpeg, &bytes, &size);
}

enum { MOST_SCANS = 500 };

/* A progressive picture, all of one gray so that all coefficients are 0: its mean, then coefficient
 * by coefficient, bit by bit. */
static inline nnclr_buffer jpeg_of_scans(int width, int height, bool arithmetic, int scans) {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    jpeg_scan_info script[MOST_SCANS] = {{1, {0}, 0, 0, 0, 0}};
    for (int i = 1; i < scans; i++) {
        int low = 8 - (i - 1) / (DCTSIZE2 - 1), place = (i - 1) % (DCTSIZE2 - 1) + 1;
        script[i] = (jpeg_scan_info){1, {0}, place, place, low == 8 ? 0 : low + 1, low};
    }
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &size);
    jpeg.image_width = (JDIMENSION)width;
    jpeg.image_height = (JDIMENSION)height;
    jpeg.input_components = 1;
    jpeg.in_color_space = JCS_GRAYSCALE;
    jpeg_set_defaults(&jpeg);
    jpeg.arith_code = arithmetic;
    jpeg.scan_info = script;
    jpeg.num_scans = scans;
    jpeg_start_compress(&jpeg, TRUE);
    uint8_t *row = malloc((size_t)width);
    CHECK(row != NULL);
    memset(row, 128, (size_t)width);
    while (jpeg.next_scanline < jpeg.image_height)
        jpeg_write_scanlines(&jpeg, &row, 1);
    free(row);
    return jpeg_variant_finish(&jpeg, &bytes, &size);
}

#endif
