#include "base/memory.h"
#include "eval/page_parts.h"
#include "image/decode.h"
#include "image/encode.h"
#include "image/shrink.h"

enum { SMALL_SIDE = 64, QUALITY = 82 };

/* Encodes the picture in `bytes` again, as large as fits; the smallest is taken in any case. */
static bool encode_smaller(nnclr_buffer *bytes, size_t most, nnclr_error *e) {
    static const int sides[] = {384, 256, 192, 144, 112, 96, 80, 64};
    const nnclr_decode_limits limits = nnclr_decode_limits_default();
    nnclr_image image = {0}, small = {0};
    bool ok = nnclr_decode(bytes->data, bytes->size, &limits, &image, e);
    const int side = image.width > image.height ? image.width : image.height;
    bytes->size = 0;
    for (size_t i = 0; ok && i < sizeof sides / sizeof *sides; i++) {
        if (bytes->size > 0 && bytes->size <= most)
            break;
        if (sides[i] >= side && i + 1 < sizeof sides / sizeof *sides)
            continue;
        bytes->size = 0;
        ok = nnclr_shrink(&image, sides[i] < side ? sides[i] : side, &small, e) &&
             nnclr_encode_jpeg(&small, QUALITY, bytes, e);
        nnclr_image_free(&small);
    }
    nnclr_image_free(&image);
    return ok;
}

/* What browsers cannot show becomes PNG. */
static bool encode_png(nnclr_buffer *bytes, nnclr_error *e) {
    const nnclr_decode_limits limits = nnclr_decode_limits_default();
    nnclr_image image = {0};
    bool ok = nnclr_decode(bytes->data, bytes->size, &limits, &image, e);
    bytes->size = 0;
    ok = ok && nnclr_encode_png(&image, bytes, e);
    nnclr_image_free(&image);
    return ok;
}

/* A place for the smaller picture of a record, which may hold it already; NULL on failure. */
static nnclr_buffer *place_of(page *p, const nnclr_row_set *set, int64_t record, nnclr_error *e) {
    nnclr_shard_set *shards = page_shards(p, set);
    nnclr_buffer **places = &p->smaller[set != p->bank];
    if ((uint64_t)record >= nnclr_shard_set_count(shards)) {
        nnclr_fail(e, NNCLR_ERROR_INPUT, "record %lld is not among the %zu of the shards",
                   (long long)record, nnclr_shard_set_count(shards));
        return NULL;
    }
    if (!*places)
        *places = nnclr_alloc_zero(nnclr_shard_set_count(shards), sizeof **places, e);
    return *places ? *places + record : NULL;
}

void page_pictures_free(page *p) {
    for (int i = 0; i < 2; i++) {
        nnclr_shard_set *shards = i ? p->options->query_shards : p->options->shards;
        for (size_t record = 0; p->smaller[i] && record < nnclr_shard_set_count(shards); record++)
            nnclr_buffer_free(&p->smaller[i][record]);
        nnclr_free(p->smaller[i]);
    }
    nnclr_buffer_free(&p->encoded);
}

/* The record's bytes as they are, where they fit and browsers know them; NULL on failure. */
static const nnclr_buffer *load(page *p, const nnclr_row_set *set, int64_t record,
                                const char **type, int *side, nnclr_error *e) {
    static const char *const types[] = {[NNCLR_CODEC_JPEG] = "image/jpeg",
                                        [NNCLR_CODEC_PNG] = "image/png",
                                        [NNCLR_CODEC_PPM] = "image/png"};
    const nnclr_decode_limits limits = nnclr_decode_limits_default();
    nnclr_codec codec;
    int width, height;
    nnclr_buffer *smaller = place_of(p, set, record, e);
    if (!smaller)
        return NULL;
    *type = types[NNCLR_CODEC_JPEG];
    *side = SMALL_SIDE + 1;
    if (smaller->size > 0)
        return smaller;
    if (!nnclr_shard_set_read(page_shards(p, set), (size_t)record, &p->encoded, e) ||
        !nnclr_probe(p->encoded.data, p->encoded.size, &limits, &codec, &width, &height, e) ||
        (codec == NNCLR_CODEC_PPM && !encode_png(&p->encoded, e)))
        return NULL;
    if (p->encoded.size > p->picture_bytes) {
        if (!nnclr_buffer_append(smaller, p->encoded.data, p->encoded.size, e) ||
            !encode_smaller(smaller, p->picture_bytes, e)) {
            nnclr_buffer_free(smaller);
            return NULL;
        }
        return smaller;
    }
    *type = types[codec];
    *side = width > height ? width : height;
    return &p->encoded;
}

void page_picture(page *p, const nnclr_row_set *set, int64_t row) {
    const int64_t record = set->record[row];
    const char *type = NULL, *name = page_name(p, set, row);
    nnclr_error e = NNCLR_NO_ERROR;
    int side = 0;
    if (record < 0) {
        nnclr_markup_add(&p->m, "<div class=\"box\">random row</div>");
        return;
    }
    if (p->m.failed)
        return;
    const nnclr_buffer *bytes = load(p, set, record, &type, &side, &e);
    if (!bytes) {
        nnclr_fail_at(&e, "record %lld", (long long)record);
        nnclr_markup_fail(&p->m, &e);
        return;
    }
    nnclr_markup_printf(&p->m, "<div class=\"box\"><img%s alt=\"",
                        side <= SMALL_SIDE ? " class=\"small\"" : "");
    nnclr_markup_text(&p->m, name ? name : "");
    nnclr_markup_add(&p->m, "\" title=\"");
    nnclr_markup_text(&p->m, name ? name : "");
    nnclr_markup_add(&p->m, "\" loading=\"lazy\" src=\"");
    nnclr_markup_data(&p->m, type, bytes->data, bytes->size);
    nnclr_markup_add(&p->m, "\"></div>");
}
