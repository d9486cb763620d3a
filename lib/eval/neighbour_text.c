#include "eval/neighbour_text.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "image/resize.h"

enum { CELL = 18, GAP = 1, NUMBERS = 60 };

typedef struct cell {
    nnclr_image image; /* empty: an initial row */
    const char *class; /* NULL: not known */
    const char *color; /* of the class: SGR, or "" */
    char numbers[NUMBERS];
} cell;

#define UPPER_HALF_BLOCK "\xE2\x96\x80"

bool nnclr_half_blocks(const nnclr_image *image, int line, nnclr_buffer *out, nnclr_error *e) {
    const size_t row = 3 * (size_t)image->width;
    const uint8_t *upper = image->pixels + 2 * (size_t)line * row;
    const uint8_t *lower = 2 * line + 1 < image->height ? upper + row : NULL;
    for (int x = 0; x < image->width; x++, upper += 3, lower = lower ? lower + 3 : NULL) {
        /* A colour that goes on is not said again. */
        if (x == 0 || memcmp(upper, upper - 3, 3) != 0)
            if (!nnclr_buffer_printf(out, e, "\x1b[38;2;%d;%d;%dm", upper[0], upper[1], upper[2]))
                return false;
        if (lower && (x == 0 || memcmp(lower, lower - 3, 3) != 0))
            if (!nnclr_buffer_printf(out, e, "\x1b[48;2;%d;%d;%dm", lower[0], lower[1], lower[2]))
                return false;
        if (!nnclr_buffer_append(out, UPPER_HALF_BLOCK, strlen(UPPER_HALF_BLOCK), e))
            return false;
    }
    return nnclr_buffer_append(out, "\x1b[0m", 4, e);
}

/* ---- an inspection ---- */

static bool load(nnclr_shard_set *shards, int64_t record, nnclr_image *image, nnclr_error *e) {
    nnclr_image whole = {0};
    const bool ok =
        nnclr_record_picture(shards, record, &whole, e) && nnclr_shrink(&whole, CELL, image, e);
    nnclr_image_free(&whole);
    return ok;
}

bool nnclr_put_padded(const char *text, const char *color, int columns, nnclr_buffer *out,
                      nnclr_error *e) {
    nnclr_buffer plain = {0};
    size_t at = 0;
    int used = 0;
    bool ok =
        nnclr_escape(&plain, text, strlen(text), e) && nnclr_buffer_printf(out, e, "%s", color);
    for (; ok && at < plain.size && used < columns; used++) {
        size_t length = nnclr_utf8_length((const char *)plain.data + at, plain.size - at);
        at += length ? length : 1;
    }
    ok = ok && (at == 0 || nnclr_buffer_append(out, plain.data, at, e)) &&
         nnclr_buffer_printf(out, e, "%s%*s", color[0] ? "\x1b[0m" : "", columns - used, "");
    nnclr_buffer_free(&plain);
    return ok;
}

static bool put_cell_text(nnclr_buffer *out, const char *text, const char *color, nnclr_error *e) {
    return nnclr_put_padded(text, color, CELL, out, e) &&
           nnclr_buffer_printf(out, e, "%*s", GAP, "");
}

static bool put_picture_line(nnclr_buffer *out, const nnclr_image *image, int line,
                             nnclr_error *e) {
    if (line >= nnclr_half_block_lines(image))
        return nnclr_buffer_printf(out, e, "%*s", CELL + GAP, "");
    return nnclr_half_blocks(image, line, out, e) &&
           nnclr_buffer_printf(out, e, "%*s", CELL - image->width + GAP, "");
}

/* Cells side by side, as lines of text. */
static bool put_cells(nnclr_buffer *out, const cell *cells, int count, nnclr_error *e) {
    bool ok = true;
    int lines = 0;
    for (int c = 0; c < count; c++)
        if (nnclr_half_block_lines(&cells[c].image) > lines)
            lines = nnclr_half_block_lines(&cells[c].image);
    for (int line = 0; ok && line < lines; line++) {
        for (int c = 0; ok && c < count; c++)
            ok = put_picture_line(out, &cells[c].image, line, e);
        ok = ok && nnclr_buffer_append(out, "\n", 1, e);
    }
    for (int c = 0; ok && c < count; c++)
        ok = put_cell_text(out, cells[c].class ? cells[c].class : "", cells[c].color, e);
    ok = ok && nnclr_buffer_append(out, "\n", 1, e);
    for (int c = 0; ok && c < count; c++)
        ok = put_cell_text(out, cells[c].numbers, "", e);
    return ok && nnclr_buffer_append(out, "\n", 1, e);
}

static bool fill_query(const nnclr_inspection *found, int64_t query, nnclr_shard_set *shards,
                       cell *to, nnclr_error *e) {
    to->class = nnclr_row_set_class(found->queries, query);
    to->color = "\x1b[1m";
    snprintf(to->numbers, NUMBERS, "record %lld", (long long)found->queries->record[query]);
    return load(shards, found->queries->record[query], &to->image, e);
}

static bool fill_neighbour(const nnclr_inspection *found, const char *query_class,
                           nnclr_neighbour neighbour, nnclr_shard_set *shards, cell *to,
                           nnclr_error *e) {
    const int64_t age = nnclr_row_set_age(found->bank, neighbour.row);
    to->class = nnclr_row_set_class(found->bank, neighbour.row);
    to->color = !to->class || !query_class            ? ""
                : strcmp(to->class, query_class) == 0 ? "\x1b[32m"
                                                      : "\x1b[31m";
    if (age >= 0)
        snprintf(to->numbers, NUMBERS, "%.3f age %lld", neighbour.cosine, (long long)age);
    else
        snprintf(to->numbers, NUMBERS, "%.3f", neighbour.cosine);
    if (found->bank->record[neighbour.row] >= 0)
        return load(shards, found->bank->record[neighbour.row], &to->image, e);
    to->class = "initial row";
    return true;
}

bool nnclr_neighbour_text(const nnclr_inspection *found, int64_t i, nnclr_shard_set *query_shards,
                          nnclr_shard_set *bank_shards, int columns, nnclr_buffer *out,
                          nnclr_error *e) {
    const int fit = columns / (CELL + GAP) > 0 ? columns / (CELL + GAP) : 1;
    const nnclr_neighbour *of = found->neighbours + i * found->k;
    int count = 1;
    cell *cells = nnclr_alloc_zero((size_t)found->k + 1, sizeof *cells, e);
    bool ok = cells && fill_query(found, found->query[i], query_shards, &cells[0], e);
    for (; ok && count <= found->k && of[count - 1].row >= 0; count++)
        ok = fill_neighbour(found, cells[0].class, of[count - 1], bank_shards, &cells[count], e);
    for (int at = 0; ok && at < count; at += fit)
        ok = put_cells(out, cells + at, count - at < fit ? count - at : fit, e);
    ok = ok && nnclr_buffer_append(out, "\n", 1, e);
    for (int c = 0; cells && c <= found->k; c++)
        nnclr_image_free(&cells[c].image);
    nnclr_free(cells);
    return ok;
}
