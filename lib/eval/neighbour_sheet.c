#include "eval/neighbour_sheet.h"

#include <stdio.h>
#include <string.h>

#include "image/contact_sheet.h"
#include "image/encode.h"
#include "image/font.h"

enum { CELL = 128, CAPTION = 200, TITLE = 300, EMPTY_SIDE = 8, EMPTY_GRAY = 235 };

bool nnclr_row_set_check_shards(const nnclr_row_set *set, const char *path,
                                const nnclr_shard_set *shards, nnclr_error *e) {
    if (!set->data)
        return true;
    nnclr_buffer told = {0}, given = {0};
    nnclr_json *identity = nnclr_shard_set_identity(shards, e);
    bool ok = identity && nnclr_json_print(set->data, false, &told, e) &&
              nnclr_json_print(identity, false, &given, e);
    if (ok && strcmp((const char *)told.data, (const char *)given.data) != 0)
        ok = nnclr_fail(e, NNCLR_ERROR_USAGE,
                        "the shards given (%zu records) are not those that %s was made from (%lld "
                        "records): give those, in the same order",
                        nnclr_shard_set_count(shards), path,
                        (long long)nnclr_identity_records(set->data));
    nnclr_json_free(identity);
    nnclr_buffer_free(&given);
    nnclr_buffer_free(&told);
    return ok;
}

/* What is drawn for an initial row. */
static bool empty_picture(nnclr_image *image, nnclr_error *e) {
    if (!nnclr_image_create(image, EMPTY_SIDE, EMPTY_SIDE, e))
        return false;
    memset(image->pixels, EMPTY_GRAY, 3 * EMPTY_SIDE * EMPTY_SIDE);
    return true;
}

static bool draw(nnclr_sheet *sheet, int row, int column, nnclr_shard_set *shards, int64_t record,
                 nnclr_frame_color frame, const char *caption, nnclr_error *e) {
    nnclr_image image = {0};
    bool ok =
        (record < 0 ? empty_picture(&image, e) : nnclr_record_picture(shards, record, &image, e)) &&
        nnclr_sheet_draw(sheet, row, column, &image, frame, caption, e);
    nnclr_image_free(&image);
    return ok;
}

static nnclr_frame_color frame_of(const nnclr_inspection *found, int64_t query, int64_t row) {
    if (found->bank->record[row] < 0)
        return NNCLR_FRAME_GRAY;
    const char *a = nnclr_row_set_class(found->queries, query);
    const char *b = nnclr_row_set_class(found->bank, row);
    if (!a || !b)
        return NNCLR_FRAME_NONE;
    return strcmp(a, b) == 0 ? NNCLR_FRAME_GREEN : NNCLR_FRAME_RED;
}

static void neighbour_caption(const nnclr_row_set *bank, nnclr_neighbour neighbour,
                              char text[CAPTION]) {
    const char *class = nnclr_row_set_class(bank, neighbour.row);
    int64_t age = nnclr_row_set_age(bank, neighbour.row);
    int used = snprintf(text, CAPTION, "%.3f", neighbour.cosine);
    if (age >= 0)
        used += snprintf(text + used, CAPTION - (size_t)used, " age %lld", (long long)age);
    snprintf(text + used, CAPTION - (size_t)used, "\n%.40s",
             bank->record[neighbour.row] < 0 ? "initial row"
             : class                         ? class
                                             : "");
}

/* The end of a long name tells more than its start. */
static const char *tail(const char *name) {
    const size_t size = strlen(name), room = CELL / NNCLR_FONT_WIDTH;
    return size > room ? name + size - room : name;
}

static bool draw_query(const nnclr_inspection *found, nnclr_sheet *sheet, int row, int64_t i,
                       nnclr_shard_set *query_shards, nnclr_shard_set *bank_shards,
                       nnclr_error *e) {
    const int64_t query = found->query[i];
    const int64_t record = found->queries->record[query];
    const char *class = nnclr_row_set_class(found->queries, query);
    char caption[CAPTION];
    const char *name = nnclr_row_set_name(found->queries, query_shards, query);
    snprintf(caption, sizeof caption, "record %lld\n%.40s\n%.40s", (long long)record,
             class ? class : "", name ? tail(name) : "");
    if (!draw(sheet, row, 0, query_shards, record, NNCLR_FRAME_NONE, caption, e))
        return false;
    for (int rank = 0; rank < found->k; rank++) {
        nnclr_neighbour neighbour = found->neighbours[i * found->k + rank];
        if (neighbour.row < 0)
            break;
        neighbour_caption(found->bank, neighbour, caption);
        if (!draw(sheet, row, rank + 1, bank_shards, found->bank->record[neighbour.row],
                  frame_of(found, query, neighbour.row), caption, e))
            return false;
    }
    return true;
}

int nnclr_neighbour_pages(const nnclr_inspection *found) {
    int64_t pages = (found->count + NNCLR_SHEET_QUERIES - 1) / NNCLR_SHEET_QUERIES;
    return pages < 1 ? 1 : (int)pages;
}

bool nnclr_neighbour_sheet(const nnclr_inspection *found, int page, nnclr_shard_set *query_shards,
                           nnclr_shard_set *bank_shards, const char *title,
                           const nnclr_progress *progress, nnclr_buffer *png, nnclr_error *e) {
    const int64_t first = (int64_t)page * NNCLR_SHEET_QUERIES, left = found->count - first;
    const int rows = left < NNCLR_SHEET_QUERIES ? (int)left : NNCLR_SHEET_QUERIES;
    const nnclr_sheet_layout layout = {.rows = rows,
                                       .columns = found->k + 1,
                                       .cell = CELL,
                                       .caption_lines = 3,
                                       .query_column = true};
    char text[TITLE];
    if (nnclr_neighbour_pages(found) > 1)
        snprintf(text, sizeof text, "%.200s  page %d of %d", title, page + 1,
                 nnclr_neighbour_pages(found));
    else
        snprintf(text, sizeof text, "%.200s", title);
    nnclr_sheet *sheet = nnclr_sheet_create(&layout, text, e);
    bool ok = sheet != NULL;
    for (int row = 0; ok && row < rows; row++)
        ok = draw_query(found, sheet, row, first + row, query_shards, bank_shards, e) &&
             nnclr_progress_tell(progress, "queries drawn", first + row + 1, found->count, NULL, e);
    ok = ok && nnclr_encode_png(nnclr_sheet_image(sheet), png, e);
    nnclr_sheet_free(sheet);
    return ok;
}
