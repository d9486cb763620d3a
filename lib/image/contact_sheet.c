#include "image/contact_sheet.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "image/font.h"
#include "image/resize.h"

/* A page from the left: margin, slot, gap, slot, ..., margin; a slot is the cell in its frame with
 * the caption below. From the top the same, after the title. Pixels. */
enum { MARGIN = 8, FRAME = 3, GAP = 6, QUERY_GAP = 18, CAPTION_GAP = 2, TITLE_GAP = 6 };

enum { LEAST_CELL = 32, MOST_CELL = 512, MOST_CAPTION_LINES = 3, MOST_PIXELS = 400000000 };

struct nnclr_sheet {
    nnclr_sheet_layout layout;
    nnclr_image page;
    int slot_width, slot_height, top; /* `top`: of the first row */
    nnclr_buffer scratch;             /* of the resizer */
};

static bool check_layout(const nnclr_sheet_layout *layout, nnclr_error *e) {
    if (layout->rows < 1 || layout->columns < 1)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "a contact sheet of %d x %d cells", layout->columns,
                          layout->rows);
    if (layout->cell < LEAST_CELL || layout->cell > MOST_CELL)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "contact sheet cells of %d pixels, not %d to %d",
                          layout->cell, LEAST_CELL, MOST_CELL);
    if (layout->caption_lines < 0 || layout->caption_lines > MOST_CAPTION_LINES)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "captions of %d lines, not 0 to %d",
                          layout->caption_lines, MOST_CAPTION_LINES);
    return true;
}

static bool lay_out(nnclr_sheet *sheet, bool title, nnclr_error *e) {
    const nnclr_sheet_layout *layout = &sheet->layout;
    sheet->slot_width = sheet->slot_height = layout->cell + 2 * FRAME;
    if (layout->caption_lines > 0)
        sheet->slot_height += CAPTION_GAP + layout->caption_lines * NNCLR_FONT_HEIGHT;
    sheet->top = MARGIN + (title ? NNCLR_FONT_HEIGHT + TITLE_GAP : 0);

    int64_t width = 2 * MARGIN - GAP + (int64_t)layout->columns * (sheet->slot_width + GAP);
    int64_t height = sheet->top + MARGIN - GAP + (int64_t)layout->rows * (sheet->slot_height + GAP);
    if (layout->query_column && layout->columns > 1)
        width += QUERY_GAP - GAP;
    if (width > MOST_PIXELS / height)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT,
                          "a contact sheet of %lld x %lld pixels, over the limit of %d in all",
                          (long long)width, (long long)height, MOST_PIXELS);
    return nnclr_image_create(&sheet->page, (int)width, (int)height, e);
}

nnclr_sheet *nnclr_sheet_create(const nnclr_sheet_layout *layout, const char *title,
                                nnclr_error *e) {
    if (!check_layout(layout, e))
        return NULL;
    nnclr_sheet *sheet = nnclr_alloc_zero(1, sizeof *sheet, e);
    if (!sheet)
        return NULL;
    sheet->layout = *layout;
    if (!lay_out(sheet, title != NULL, e)) {
        nnclr_sheet_free(sheet);
        return NULL;
    }
    memset(sheet->page.pixels, 255, (size_t)sheet->page.width * (size_t)sheet->page.height * 3);
    if (title)
        nnclr_draw_text(&sheet->page, MARGIN, MARGIN, title, strcspn(title, "\n"));
    return sheet;
}

void nnclr_sheet_free(nnclr_sheet *sheet) {
    if (!sheet)
        return;
    nnclr_image_free(&sheet->page);
    nnclr_buffer_free(&sheet->scratch);
    nnclr_free(sheet);
}

const nnclr_image *nnclr_sheet_image(const nnclr_sheet *sheet) {
    return &sheet->page;
}

static uint8_t *pixel_at(nnclr_sheet *sheet, int x, int y) {
    return sheet->page.pixels + 3 * ((size_t)y * (size_t)sheet->page.width + (size_t)x);
}

static void draw_frame(nnclr_sheet *sheet, int left, int top, nnclr_frame_color color) {
    static const uint8_t colors[][3] = {[NNCLR_FRAME_GREEN] = {0, 158, 60},
                                        [NNCLR_FRAME_RED] = {214, 30, 30},
                                        [NNCLR_FRAME_GRAY] = {150, 150, 150}};
    if (color == NNCLR_FRAME_NONE)
        return;
    int side = sheet->layout.cell + 2 * FRAME;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++)
            if (x < FRAME || y < FRAME || x >= side - FRAME || y >= side - FRAME)
                memcpy(pixel_at(sheet, left + x, top + y), colors[color], 3);
}

/* Enlarging by a whole factor shows what the network sees of a small picture: its pixels. */
static void draw_enlarged(nnclr_sheet *sheet, int left, int top, const nnclr_image *image,
                          int factor) {
    for (int y = 0; y < image->height * factor; y++)
        for (int x = 0; x < image->width * factor; x++) {
            size_t from = (size_t)(y / factor) * (size_t)image->width + (size_t)(x / factor);
            memcpy(pixel_at(sheet, left + x, top + y), image->pixels + 3 * from, 3);
        }
}

static bool draw_reduced(nnclr_sheet *sheet, int left, int top, const nnclr_image *image, int width,
                         int height, nnclr_error *e) {
    float *small = nnclr_alloc((size_t)width * (size_t)height, 3 * sizeof *small, e);
    nnclr_box whole = {.width = image->width, .height = image->height};
    bool ok = small && nnclr_resize(image, whole, NNCLR_BICUBIC, false, width, height, small,
                                    &sheet->scratch, e);
    for (int y = 0; ok && y < height; y++) {
        const float *from = small + 3 * (size_t)width * (size_t)y;
        uint8_t *to = pixel_at(sheet, left, top + y);
        for (int i = 0; i < 3 * width; i++)
            to[i] = (uint8_t)lrintf(from[i] * 255);
    }
    nnclr_free(small);
    return ok;
}

static int scaled(int side, int longest, int cell) {
    int64_t rounded = (2 * (int64_t)side * cell + longest) / (2 * (int64_t)longest);
    return rounded < 1 ? 1 : (int)rounded;
}

static bool draw_picture(nnclr_sheet *sheet, int left, int top, const nnclr_image *image,
                         nnclr_error *e) {
    int cell = sheet->layout.cell;
    int longest = nnclr_max(image->width, image->height);
    int factor = cell / longest;
    int width = factor ? image->width * factor : scaled(image->width, longest, cell);
    int height = factor ? image->height * factor : scaled(image->height, longest, cell);
    left += (cell - width) / 2;
    top += (cell - height) / 2;
    if (!factor)
        return draw_reduced(sheet, left, top, image, width, height, e);
    draw_enlarged(sheet, left, top, image, factor);
    return true;
}

static void draw_caption(nnclr_sheet *sheet, int left, int top, const char *caption) {
    size_t most = (size_t)(sheet->layout.cell / NNCLR_FONT_WIDTH);
    for (int line = 0; line < sheet->layout.caption_lines; line++) {
        size_t size = strcspn(caption, "\n");
        nnclr_draw_text(&sheet->page, left, top, caption, nnclr_min(size, most));
        if (caption[size] == '\0')
            return;
        caption += size + 1;
        top += NNCLR_FONT_HEIGHT;
    }
}

bool nnclr_sheet_draw(nnclr_sheet *sheet, int row, int column, const nnclr_image *image,
                      nnclr_frame_color frame, const char *caption, nnclr_error *e) {
    const nnclr_sheet_layout *layout = &sheet->layout;
    if (row < 0 || row >= layout->rows || column < 0 || column >= layout->columns)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "cell %d, %d of a contact sheet of %d x %d cells",
                          column, row, layout->columns, layout->rows);
    int left = MARGIN + column * (sheet->slot_width + GAP);
    if (layout->query_column && column > 0)
        left += QUERY_GAP - GAP;
    int top = sheet->top + row * (sheet->slot_height + GAP);
    draw_frame(sheet, left, top, frame);
    if (!draw_picture(sheet, left + FRAME, top + FRAME, image, e))
        return false;
    if (caption)
        draw_caption(sheet, left + FRAME, top + layout->cell + 2 * FRAME + CAPTION_GAP, caption);
    return true;
}
