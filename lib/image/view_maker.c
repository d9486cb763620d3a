#include "image/view_maker.h"

#include <string.h>

#include "image/decode.h"

void nnclr_view_maker_free(nnclr_view_maker *maker) {
    nnclr_buffer_free(&maker->encoded);
    nnclr_buffer_free(&maker->scratch);
}

bool nnclr_view_maker_decode(nnclr_view_maker *maker, nnclr_shard_set *set, size_t record,
                             nnclr_image *image, nnclr_error *e) {
    nnclr_decode_limits limits = nnclr_decode_limits_default();
    if (!nnclr_shard_set_read(set, record, &maker->encoded, e))
        return false;
    if (nnclr_decode(maker->encoded.data, maker->encoded.size, &limits, image, e))
        return true;
    nnclr_record info;
    nnclr_shard_set_record(set, record, &info);
    nnclr_buffer name = {0};
    nnclr_error ignored;
    if (nnclr_buffer_append(&name, "", 0, &ignored) && /* so that an empty name is text, too */
        nnclr_escape(&name, info.name, strlen(info.name), &ignored))
        nnclr_fail_at(e, "record %zu (%s)", record, (char *)name.data);
    nnclr_buffer_free(&name);
    return false;
}

bool nnclr_view_maker_view(nnclr_view_maker *maker, const nnclr_augment *augment,
                           const nnclr_image *image, nnclr_view_key key, float *out,
                           nnclr_error *e) {
    nnclr_view_parameters drawn = nnclr_augment_draw(augment, image->width, image->height, key.seed,
                                                     key.epoch, key.record, key.view);
    return nnclr_augment_apply(augment, &drawn, image, out, &maker->scratch, e);
}
