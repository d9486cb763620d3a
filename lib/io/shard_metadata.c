#include "io/shard.h"

static nnclr_json *class_array(const nnclr_shard_set *set, nnclr_error *e) {
    nnclr_json *array = nnclr_json_array(e);
    if (!array)
        return NULL;
    for (size_t i = 0; i < nnclr_shard_set_class_count(set); i++) {
        if (!nnclr_json_push_string(array, nnclr_shard_set_class(set, i), e)) {
            nnclr_json_free(array);
            return NULL;
        }
    }
    return array;
}

nnclr_json *nnclr_shard_set_metadata(const nnclr_shard_set *set, const nnclr_json *config,
                                     nnclr_error *e) {
    nnclr_json *metadata = nnclr_json_object(e);
    if (!metadata)
        return NULL;
    nnclr_json *classes = class_array(set, e);
    nnclr_json *data = classes ? nnclr_shard_set_identity(set, e) : NULL;
    bool ok = data && nnclr_json_put_text(metadata, "nnclr.classes", classes, e) &&
              nnclr_json_put_text(metadata, "nnclr.data", data, e) &&
              nnclr_json_put_text(metadata, "nnclr.config", config, e);
    nnclr_json_free(data);
    nnclr_json_free(classes);
    if (!ok) {
        nnclr_json_free(metadata);
        return NULL;
    }
    return metadata;
}
