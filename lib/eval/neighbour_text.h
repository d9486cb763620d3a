/* An inspection on a terminal: a query's picture and those of its neighbours as half blocks, side
 * by side, wrapped to the terminal's width. */
#ifndef NNCLR_EVAL_NEIGHBOUR_TEXT_H
#define NNCLR_EVAL_NEIGHBOUR_TEXT_H

#include <stdbool.h>

#include "base/error.h"
#include "base/strings.h"
#include "eval/row_set.h"
#include "image/image.h"
#include "io/shard.h"

/* Appends query i of the inspection for a terminal of `columns`. Below each picture are its class
 * (green: the query's, red: another) and cosine. Names are escaped and cut. */
bool nnclr_neighbour_text(const nnclr_inspection *inspection, int64_t i,
                          nnclr_shard_set *query_shards, nnclr_shard_set *bank_shards, int columns,
                          nnclr_buffer *out, nnclr_error *e);

/* A picture for a terminal: each character is an upper half block in 24-bit colours, which shows
 * two pixels one above the other. Lines of text that it takes: */
static inline int nnclr_half_block_lines(const nnclr_image *image) {
    return (image->height + 1) / 2;
}

/* Appends line `line` of the picture, one column a pixel, and the return to plain colours. Below a
 * picture of odd height the terminal's own background shows. */
bool nnclr_half_blocks(const nnclr_image *image, int line, nnclr_buffer *out, nnclr_error *e);

/* Appends text of at most `columns` characters, escaped, in a colour (SGR, or ""), and blanks up to
 * that many. */
bool nnclr_put_padded(const char *text, const char *color, int columns, nnclr_buffer *out,
                      nnclr_error *e);

#endif
