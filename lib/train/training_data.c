#include "train/training_data.h"

#include <string.h>

#include "base/memory.h"

void nnclr_training_data_close(nnclr_training_data *data) {
    nnclr_shard_set_close(data->set);
    nnclr_views_close(data->views);
    nnclr_free(data->records);
    *data = (nnclr_training_data){0};
}

size_t nnclr_training_data_count(const nnclr_training_data *data) {
    if (data->records)
        return data->record_count;
    return data->views ? nnclr_views_count(data->views) : nnclr_shard_set_count(data->set);
}

size_t nnclr_training_data_class_count(const nnclr_training_data *data) {
    return data->views ? nnclr_views_class_count(data->views)
                       : nnclr_shard_set_class_count(data->set);
}

const char *nnclr_training_data_class(const nnclr_training_data *data, size_t label) {
    return data->views ? nnclr_views_class(data->views, label)
                       : nnclr_shard_set_class(data->set, label);
}

nnclr_loader *nnclr_training_data_load(const nnclr_training_data *data,
                                       const nnclr_loader_options *options, nnclr_error *e) {
    nnclr_loader_options with = *options;
    with.records = data->records;
    with.record_count = data->record_count;
    return data->views ? nnclr_loader_open_views(data->views, options, e)
                       : nnclr_loader_open(data->set, &with, e);
}

/* ---- identity ---- */

nnclr_json *nnclr_training_data_identity(const nnclr_training_data *data, nnclr_error *e) {
    return data->views ? nnclr_views_identity(data->views, e)
                       : nnclr_shard_set_identity(data->set, e);
}

bool nnclr_identity_is_views(const nnclr_json *identity) {
    if (!nnclr_json_is_array(identity) || nnclr_json_count(identity) == 0)
        return false;
    const char *kind = nnclr_json_string(nnclr_json_get(nnclr_json_at(identity, 0), "kind"));
    return kind && strcmp(kind, "views") == 0;
}

static bool get_part(const nnclr_json *identity, size_t i, const char *key, int64_t *out) {
    nnclr_error ignored = NNCLR_NO_ERROR;
    return nnclr_json_get_int(nnclr_json_at(identity, i), key, 0, UINT32_MAX, out, &ignored);
}

static bool compare_data(const nnclr_json *then, const nnclr_json *now, nnclr_error *e) {
    size_t count = nnclr_json_is_array(then) ? nnclr_json_count(then) : 0;
    if (count != nnclr_json_count(now))
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "the run was started with %zu shards, not %zu: name the same ones", count,
                          nnclr_json_count(now));
    for (size_t i = 0; i < count; i++) {
        int64_t records[2], crc[2];
        if (!get_part(then, i, "records", &records[0]) || !get_part(then, i, "crc32", &crc[0]) ||
            !get_part(now, i, "records", &records[1]) || !get_part(now, i, "crc32", &crc[1]))
            return nnclr_fail(e, NNCLR_ERROR_INPUT,
                              "the checkpoint does not say which data it was trained on");
        if (records[0] != records[1] || crc[0] != crc[1])
            return nnclr_fail(e, NNCLR_ERROR_USAGE,
                              "%s %zu is not the one that the run was started with (%lld pictures, "
                              "checksum %08llx; then %lld, %08llx)",
                              nnclr_identity_is_views(now) ? "views file" : "shard", i + 1,
                              (long long)records[1], (unsigned long long)crc[1],
                              (long long)records[0], (unsigned long long)crc[0]);
    }
    return true;
}

bool nnclr_training_data_check(const nnclr_training_data *data, const nnclr_json *identity,
                               nnclr_error *e) {
    nnclr_json *now = nnclr_training_data_identity(data, e);
    bool ok = now && compare_data(identity, now, e);
    nnclr_json_free(now);
    return ok;
}
