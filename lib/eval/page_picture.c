#include "base/memory.h"
#include "base/numbers.h"
#include "eval/page_parts.h"
#include "image/decode.h"
#include "image/encode.h"
#include "image/resize.h"

enum { SMALL_SIDE = 64, QUALITY = 82 };

/* Encodes the picture in `bytes` again, as large as fits, or at the smallest size. */
static bool encode_smaller(nnclr_buffer *bytes, size_t most, nnclr_error *e) {
    static const int sides[] = {384, 256, 192, 144, 112, 96, 80, 64};
    const nnclr_decode_limits limits = nnclr_decode_limits_default();
    nnclr_image image = {0}, small = {0};
    bool ok = nnclr_decode(bytes->data, bytes->size, &limits, &image, e);
    const int side = nnclr_max(image.width, image.height);
    bytes->size = 0;
    for (size_t i = 0; ok && i < sizeof sides / sizeof *sides; i++) {
        if (bytes->size > 0 && bytes->size <= most)
            break;
        if (sides[i] >= side && i + 1 < sizeof sides / sizeof *sides)
            continue;
        bytes->size = 0;
        ok = nnclr_shrink(&image, nnclr_min(sides[i], side), &small, e) &&
             nnclr_encode_jpeg(&small, QUALITY, bytes, e);
        nnclr_image_free(&small);
    }
    nnclr_image_free(&image);
    return ok;
}

/* A format that browsers cannot show becomes PNG. */
static bool encode_png(nnclr_buffer *bytes, nnclr_error *e) {
    const nnclr_decode_limits limits = nnclr_decode_limits_default();
    nnclr_image image = {0};
    bool ok = nnclr_decode(bytes->data, bytes->size, &limits, &image, e);
    bytes->size = 0;
    ok = ok && nnclr_encode_png(&image, bytes, e);
    nnclr_image_free(&image);
    return ok;
}

/* The record's bytes as they are, if they fit and browsers know them, or encoded again. */
static bool load(page *p, nnclr_shard_set *shards, int64_t record, const char **type, int *side,
                 nnclr_error *e) {
    const nnclr_decode_limits limits = nnclr_decode_limits_default();
    nnclr_codec codec;
    int width, height;
    if (!nnclr_shard_set_read(shards, (size_t)record, &p->encoded, e) ||
        !nnclr_probe(p->encoded.data, p->encoded.size, &limits, &codec, &width, &height, e) ||
        (!nnclr_codecs[codec].type && !encode_png(&p->encoded, e)))
        return false;
    *type = nnclr_codecs[nnclr_codecs[codec].type ? codec : NNCLR_CODEC_PNG].type;
    *side = nnclr_max(width, height);
    if (p->encoded.size <= p->picture_bytes)
        return true;
    *type = nnclr_codecs[NNCLR_CODEC_JPEG].type;
    return encode_smaller(&p->encoded, p->picture_bytes, e);
}

/* The rule of the style sheet that holds a picture. */
static bool store(page *p, nnclr_shard_set *shards, int64_t record, int number, nnclr_error *e) {
    const char *type = NULL;
    int side = 0;
    if (!load(p, shards, record, &type, &side, e))
        return nnclr_fail_at(e, "record %lld", (long long)record);
    nnclr_markup_printf(&p->pictures, ".p%d{background-image:url(", number);
    nnclr_markup_data(&p->pictures, type, p->encoded.data, p->encoded.size);
    nnclr_markup_printf(&p->pictures, ")%s}\n",
                        side <= SMALL_SIDE ? ";image-rendering:pixelated" : "");
    return !p->pictures.failed ||
           nnclr_fail(e, p->pictures.error.code, "%s", p->pictures.error.message);
}

/* The number of the record's picture, from 1; it is stored when it is first shown. 0 on failure. */
static int number_of(page *p, const nnclr_row_set *set, int64_t record, nnclr_error *e) {
    nnclr_shard_set *shards = page_shards(p, set);
    int **numbers = &p->numbers[set != p->bank];
    if (!nnclr_check_record(shards, record, e))
        return 0;
    if (!*numbers)
        *numbers = nnclr_alloc_zero(nnclr_shard_set_count(shards), sizeof **numbers, e);
    if (!*numbers)
        return 0;
    int *number = *numbers + record;
    if (*number == 0 && store(p, shards, record, p->stored + 1, e))
        *number = ++p->stored;
    return *number;
}

void page_pictures_free(page *p) {
    nnclr_free(p->numbers[0]);
    nnclr_free(p->numbers[1]);
    nnclr_buffer_free(&p->encoded);
    nnclr_buffer_free(&p->pictures.out);
}

void page_picture(page *p, const nnclr_row_set *set, int64_t row) {
    const int64_t record = set->record[row];
    const char *name = page_name(p, set, row);
    const int64_t query = page_query_of(p, set, row);
    nnclr_error e = NNCLR_NO_ERROR;
    if (record < 0) {
        nnclr_markup_add(&p->m, "<span class=\"box\">random row</span>");
        return;
    }
    if (p->m.failed)
        return;
    const int number = number_of(p, set, record, &e);
    if (number == 0) {
        nnclr_markup_fail(&p->m, &e);
        return;
    }
    /* Without script a click leads to the picture's own neighbours, if these are shown. */
    const char *tag = query >= 0 ? "a" : "span";
    nnclr_markup_printf(&p->m, "<%s class=\"box p%d\"", tag, number);
    if (query >= 0)
        nnclr_markup_printf(&p->m, " href=\"#q%lld\"", (long long)query);
    else
        nnclr_markup_add(&p->m, " role=\"img\"");
    nnclr_markup_add(&p->m, " title=\"");
    nnclr_markup_text(&p->m, name ? name : "picture");
    nnclr_markup_printf(&p->m, "\"></%s>", tag);
}
