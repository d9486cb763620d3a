#include "image/view_maker.h"

#include <string.h>

#include "base/numbers.h"
#include "image/decode.h"

/* Smaller pictures are decoded whole: there is nothing to gain. */
enum { SMALL_PIXELS = 128 * 128 };

/* What is left of a shrunk crop, in sizes of the view. Chosen by measuring: views of photographs
 * are then within half a step of 256 of those of the whole picture (root mean square). */
enum { SHARPNESS = 2 };

void nnclr_view_maker_free(nnclr_view_maker *maker) {
    nnclr_buffer_free(&maker->encoded);
    nnclr_buffer_free(&maker->scratch);
    nnclr_image_free(&maker->patch.image);
}

static bool fail_at_record(nnclr_shard_set *set, size_t record, nnclr_error *e) {
    const nnclr_record info = nnclr_shard_set_record(set, record);
    nnclr_buffer name = {0};
    nnclr_error ignored;
    if (nnclr_buffer_append(&name, "", 0, &ignored) && /* so that an empty name is text, too */
        nnclr_escape(&name, info.name, strlen(info.name), &ignored))
        nnclr_fail_at(e, "record %zu (%s)", record, (char *)name.data);
    nnclr_buffer_free(&name);
    return false;
}

bool nnclr_view_maker_decode(nnclr_view_maker *maker, nnclr_shard_set *set, size_t record,
                             nnclr_image *image, nnclr_error *e) {
    nnclr_decode_limits limits = nnclr_decode_limits_default();
    if (!nnclr_shard_set_read(set, record, &maker->encoded, e))
        return false;
    return nnclr_decode(maker->encoded.data, maker->encoded.size, &limits, image, e) ||
           fail_at_record(set, record, e);
}

int nnclr_view_shrink(const nnclr_augment *augment, nnclr_box crop, int most) {
    double shorter = nnclr_min(crop.width, crop.height);
    int shrink = 1;
    while (2 * shrink <= most && shorter >= (double)SHARPNESS * 2 * shrink * augment->size)
        shrink *= 2;
    return shrink;
}

/* The views that one decoding serves: those that are wanted, not made yet, and shrunk alike. */
typedef struct round {
    const nnclr_augment *augment;
    nnclr_view_key key;
    bool wanted[NNCLR_VIEWS]; /* and not made yet */
    bool served[NNCLR_VIEWS];
    nnclr_view_parameters drawn[NNCLR_VIEWS];
} round;

static nnclr_part part_of(nnclr_box crop, int shrink) {
    return (nnclr_part){(int)crop.left, (int)crop.top, (int)(crop.left + crop.width),
                        (int)(crop.top + crop.height), shrink};
}

static void include(nnclr_part *part, nnclr_part other) {
    part->left = nnclr_min(other.left, part->left);
    part->top = nnclr_min(other.top, part->top);
    part->right = nnclr_max(other.right, part->right);
    part->bottom = nnclr_max(other.bottom, part->bottom);
}

static nnclr_part choose_part(void *context, int width, int height, int most) {
    round *r = context;
    nnclr_part part = {0};
    bool small = (int64_t)width * height <= SMALL_PIXELS;
    for (int view = 0; view < NNCLR_VIEWS; view++) {
        r->served[view] = false;
        if (!r->wanted[view])
            continue;
        r->drawn[view] = nnclr_augment_draw(r->augment, width, height, r->key.seed, r->key.epoch,
                                            r->key.record, view);
        nnclr_box crop = r->drawn[view].crop;
        int shrink = nnclr_view_shrink(r->augment, crop, small ? 1 : most);
        if (part.shrink == 0)
            part = part_of(crop, shrink);
        else if (part.shrink == shrink)
            include(&part, part_of(crop, shrink));
        else
            continue;
        r->served[view] = true;
    }
    return small ? (nnclr_part){0, 0, width, height, 1} : part;
}

static bool make_round(nnclr_view_maker *maker, round *r, float *const out[NNCLR_VIEWS],
                       nnclr_error *e) {
    nnclr_decode_limits limits = nnclr_decode_limits_default();
    if (!nnclr_decode_part(maker->encoded.data, maker->encoded.size, &limits, choose_part, r,
                           &maker->patch, e))
        return false;
    for (int view = 0; view < NNCLR_VIEWS; view++) {
        if (!r->served[view])
            continue;
        if (!nnclr_augment_apply(r->augment, &r->drawn[view], &maker->patch, out[view],
                                 &maker->scratch, e))
            return false;
        r->wanted[view] = false;
    }
    return true;
}

bool nnclr_view_maker_views(nnclr_view_maker *maker, nnclr_shard_set *set,
                            const nnclr_augment *augment, nnclr_view_key key,
                            float *const out[NNCLR_VIEWS], nnclr_error *e) {
    size_t record = (size_t)key.record;
    round r = {.augment = augment, .key = key, .wanted = {out[0] != NULL, out[1] != NULL}};
    if (!nnclr_shard_set_read_in_epoch(set, record, key.epoch, &maker->encoded, e))
        return false;
    bool ok = true;
    while (ok && (r.wanted[0] || r.wanted[1]))
        ok = make_round(maker, &r, out, e);
    nnclr_patch_trim(&maker->patch);
    return ok || fail_at_record(set, record, e);
}
