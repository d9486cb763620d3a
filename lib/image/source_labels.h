/* What is beside a file of many pictures, or in it: labels, and names of classes. */
#ifndef NNCLR_IMAGE_SOURCE_LABELS_H
#define NNCLR_IMAGE_SOURCE_LABELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image/source_content.h"

enum { NNCLR_MOST_CLASSES = 256 };

/* The items of one input, and what is known of the file at hand. */
typedef struct nnclr_pixel_input {
    nnclr_source *source;
    uint32_t input;
    size_t first, count;       /* its items: [first, count) */
    const char *root;          /* what asked items are below; chosen ones are below its parent */
    nnclr_buffer wanted, path; /* scratch */
    /* of the file at hand: */
    nnclr_source_class_name classes[NNCLR_MOST_CLASSES];
    size_t class_count;
    nnclr_buffer labels; /* a byte each, counted from 0 */
} nnclr_pixel_input;

/* Sets the classes: from the file beside that the layout names, otherwise numbers. */
bool nnclr_name_classes(nnclr_pixel_input *f, const nnclr_source_item *item,
                        const nnclr_pixel_layout *layout, nnclr_error *e);

/* Sets the labels of `count` pictures from bytes `at`, `at` + `step`, ... of the content; class k
 * is label low + k. `set` and `name` are for messages. */
bool nnclr_take_labels(nnclr_pixel_input *f, const nnclr_item_content *c, uint64_t at, size_t step,
                       uint64_t count, unsigned low, const char *set, const char *name,
                       nnclr_error *e);
/* Is the second label of every picture, if the layout has one, below its bound? */
bool nnclr_check_coarse(const nnclr_item_content *c, const nnclr_pixel_layout *layout,
                        uint64_t count, const char *name, nnclr_error *e);

/* Sets classes and labels from the file `beside` the item, if there is one: `start` bytes, then one
 * for each picture. Without it both are empty. */
bool nnclr_labels_beside(nnclr_pixel_input *f, const nnclr_source_item *item,
                         const nnclr_pixel_layout *layout, const char *beside, size_t start,
                         unsigned low, uint64_t count, nnclr_error *e);

#endif
