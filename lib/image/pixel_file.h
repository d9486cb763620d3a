/* Files that hold many pictures as bare pixels, record after record: the binary versions of
 * CIFAR-10 and CIFAR-100 (a label byte, in CIFAR-100 a coarse and a fine one, then a plane each of
 * red, green and blue), STL-10 (planes down their columns; labels, from 1, in a file beside) and
 * idx as MNIST has it (a header with the sizes, one gray plane; labels in a file beside).
 *
 * The two CIFARs and STL-10 have no mark of their own, so size and labels must fit exactly. */
#ifndef NNCLR_IMAGE_PIXEL_FILE_H
#define NNCLR_IMAGE_PIXEL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strings.h"

typedef struct nnclr_pixel_layout {
    const char *set;        /* as messages call it */
    const char *class_file; /* a file beside that may name the classes, a line each; NULL: none */
    unsigned classes;       /* as many as there are unless that file says so */
    int width, height, planes;
    bool by_columns;
    size_t start, record; /* bytes before the first record, and of each */
    size_t label, pixels; /* where they are in a record; label == pixels: there is none in it */
    unsigned coarse;      /* bound of a second label in byte 0; 0: there is none */
} nnclr_pixel_layout;

extern const nnclr_pixel_layout nnclr_cifar10_layout, nnclr_cifar100_layout, nnclr_stl10_layout;

enum { NNCLR_IDX_HEADER = 16, NNCLR_IDX_LABELS_HEADER = 8 };

/* The layout of an idx file of pictures, and how many it says it has, from the first bytes. */
bool nnclr_idx_layout(const uint8_t header[NNCLR_IDX_HEADER], nnclr_pixel_layout *layout,
                      uint64_t *count, nnclr_error *e);
/* The same of a file of labels. */
bool nnclr_idx_labels(const uint8_t header[NNCLR_IDX_LABELS_HEADER], uint64_t *count,
                      nnclr_error *e);

size_t nnclr_pixel_bytes(const nnclr_pixel_layout *layout); /* of one picture */
/* Appends the picture of these pixels to `out` as a PNG, which loses nothing. */
bool nnclr_pixel_encode(const nnclr_pixel_layout *layout, const uint8_t *pixels, nnclr_buffer *out,
                        nnclr_error *e);

#endif
