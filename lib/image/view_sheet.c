#include "image/view_sheet.h"

#include <limits.h>
#include <stdio.h>

#include "image/contact_sheet.h"
#include "image/encode.h"
#include "image/view_maker.h"

enum { VIEWS = NNCLR_VIEWS, CELL_LEAST = 128, CELL_MOST = 256, CAPTION = 160, LINE_WORDS = 3 };

static void picture_caption(const nnclr_shard_set *set, uint32_t record, const nnclr_image *image,
                            char text[CAPTION]) {
    const nnclr_record info = nnclr_shard_set_record(set, record);
    snprintf(text, CAPTION, "record %u\n%d x %d\n%.40s", (unsigned)record, image->width,
             image->height, info.label < 0 ? "" : nnclr_shard_set_class(set, (size_t)info.label));
}

static void view_caption(const nnclr_augment *augment, const nnclr_image *image, nnclr_view_key key,
                         int view, char text[CAPTION]) {
    const nnclr_view_parameters p = nnclr_augment_draw(augment, image->width, image->height,
                                                       key.seed, key.epoch, key.record, view);
    double share = p.crop.width * p.crop.height / ((double)image->width * image->height);
    size_t used = (size_t)snprintf(text, CAPTION, "view %d: %.*f %%", view + 1,
                                   share < 0.01 ? 2 : 0, 100 * share);
    for (int i = 0, words = 0; i < NNCLR_AUGMENT_FIELDS && used < CAPTION; i++) {
        const nnclr_augment_field *field = &nnclr_augment_fields[i];
        const unsigned char *drawn = (const unsigned char *)&p;
        if (!field->caption)
            continue;
        const char *before = words++ % LINE_WORDS == 0 ? "\n" : "";
        if (!*(const bool *)(drawn + field->drawn))
            used += (size_t)snprintf(text + used, CAPTION - used, "%s", before);
        else if (field->amount)
            used += (size_t)snprintf(text + used, CAPTION - used, "%s%s %.2f ", before,
                                     field->caption, *(const double *)(drawn + field->amount));
        else
            used += (size_t)snprintf(text + used, CAPTION - used, "%s%s ", before, field->caption);
    }
}

/* Memory of one row. */
typedef struct row {
    nnclr_view_maker maker;
    nnclr_buffer values; /* of the views */
    nnclr_image view;
} row;

static bool draw_view(nnclr_sheet *sheet, int at, const nnclr_views_request *request,
                      const nnclr_image *image, nnclr_view_key key, int view, const float *values,
                      row *r, nnclr_error *e) {
    const size_t size = (size_t)request->augment.size, count = 3 * size * size;
    char caption[CAPTION];
    nnclr_views_to_bytes(values, count, r->view.pixels);
    view_caption(&request->augment, image, key, view, caption);
    return nnclr_sheet_draw(sheet, at, 1 + view, &r->view, NNCLR_FRAME_NONE, caption, e);
}

static bool draw_row(nnclr_sheet *sheet, int at, nnclr_shard_set *set,
                     const nnclr_views_request *request, row *r, nnclr_error *e) {
    const uint32_t record = request->records[at];
    char caption[CAPTION];
    nnclr_image image = {0};
    bool ok = nnclr_view_maker_decode(&r->maker, set, record, &image, e);
    if (ok) {
        picture_caption(set, record, &image, caption);
        ok = nnclr_sheet_draw(sheet, at, 0, &image, NNCLR_FRAME_NONE, caption, e);
    }
    const size_t size = (size_t)request->augment.size;
    float *values = (void *)r->values.data;
    float *const views[VIEWS] = {values, values + 3 * size * size};
    nnclr_view_key key = {request->seed, record, request->epoch};
    ok = ok && nnclr_view_maker_views(&r->maker, set, &request->augment, key, views, e);
    for (int view = 0; ok && view < VIEWS; view++)
        ok = draw_view(sheet, at, request, &image, key, view, views[view], r, e);
    nnclr_image_free(&image);
    return ok;
}

bool nnclr_view_sheet(nnclr_shard_set *set, const nnclr_views_request *request, const char *title,
                      nnclr_buffer *png, nnclr_error *e) {
    const int size = request->augment.size;
    if (request->count > INT_MAX)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%zu pictures are too many for a sheet",
                          request->count);
    const nnclr_sheet_layout layout = {
        .rows = (int)request->count,
        .columns = 1 + VIEWS,
        .cell = size < CELL_LEAST  ? CELL_LEAST
                : size > CELL_MOST ? CELL_MOST
                                   : size,
        .caption_lines = 3,
        .query_column = true,
    };
    row r = {0};
    nnclr_sheet *sheet = nnclr_sheet_create(&layout, title, e);
    bool ok =
        sheet && nnclr_image_create(&r.view, size, size, e) &&
        nnclr_buffer_reserve(&r.values, VIEWS * 3 * (size_t)size * (size_t)size * sizeof(float), e);
    for (int i = 0; ok && i < layout.rows; i++)
        ok = draw_row(sheet, i, set, request, &r, e) &&
             nnclr_progress_tell(request->progress, "pictures", i + 1, layout.rows, NULL, e);
    ok = ok && nnclr_encode_png(nnclr_sheet_image(sheet), png, e);
    nnclr_image_free(&r.view);
    nnclr_buffer_free(&r.values);
    nnclr_view_maker_free(&r.maker);
    nnclr_sheet_free(sheet);
    return ok;
}
