/* Contact sheets: a grid of pictures with frames and short captions, as one PNG page. */
#ifndef NNCLR_IMAGE_CONTACT_SHEET_H
#define NNCLR_IMAGE_CONTACT_SHEET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strings.h"
#include "image/image.h"

typedef struct nnclr_sheet nnclr_sheet;

typedef struct nnclr_sheet_layout {
    int rows, columns; /* of cells */
    int cell;          /* side of a cell's picture area, pixels: 32 to 512 */
    int caption_lines; /* 0 to 3 lines of the built-in 6x10 font below each picture */
    bool query_column; /* a wider gap after the first column */
} nnclr_sheet_layout;

typedef enum nnclr_frame_color {
    NNCLR_FRAME_NONE,
    NNCLR_FRAME_GREEN,
    NNCLR_FRAME_RED,
    NNCLR_FRAME_GRAY
} nnclr_frame_color;

/* White; a title line on top if `title` is not NULL. A page over 400 Mpixel is refused. */
nnclr_sheet *nnclr_sheet_create(const nnclr_sheet_layout *layout, const char *title,
                                nnclr_error *e);
void nnclr_sheet_free(nnclr_sheet *sheet);
/* Draws a picture into a cell: small ones are enlarged by a whole factor without smoothing, large
 * ones reduced with antialiasing; aspect kept, centred. `caption` (may be NULL): lines split at \n,
 * cut to the cell's width; ASCII, other bytes as '?'. */
bool nnclr_sheet_draw(nnclr_sheet *sheet, int row, int column, const nnclr_image *image,
                      nnclr_frame_color frame, const char *caption, nnclr_error *e);
const nnclr_image *nnclr_sheet_image(const nnclr_sheet *sheet);

#endif
