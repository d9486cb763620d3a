#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/tensor_file.h"

enum { LENGTH = 8, ALIGNMENT = 8, HEADER_LIMIT = 64 << 20 };
static const char metadata_key[] = "__metadata__";

/* ---- sizes ---- */

/* False: the product or the bytes do not fit. */
static bool measure(const nnclr_tensor_info *info, uint64_t *bytes) {
    uint64_t elements = 1;
    for (int i = 0; i < info->rank; i++)
        if (info->dims[i] == 0) {
            *bytes = 0;
            return true;
        }
    for (int i = 0; i < info->rank; i++)
        if (__builtin_mul_overflow(elements, (uint64_t)info->dims[i], &elements))
            return false;
    return !__builtin_mul_overflow(elements, nnclr_dtype_bytes(info->dtype), bytes) &&
           *bytes <= INT64_MAX;
}

int64_t nnclr_tensor_elements(const nnclr_tensor_info *info) {
    int64_t elements = 1;
    for (int i = 0; i < info->rank; i++)
        if (info->dims[i] == 0)
            return 0;
    for (int i = 0; i < info->rank; i++)
        elements *= info->dims[i];
    return elements;
}

size_t nnclr_tensor_bytes(const nnclr_tensor_info *info) {
    return (size_t)nnclr_tensor_elements(info) * nnclr_dtype_bytes(info->dtype);
}

/* ---- reading ---- */

typedef struct placed {
    nnclr_tensor_info info;
    uint64_t begin, end;
    size_t position; /* in the JSON */
} placed;

static int by_place(const void *a, const void *b) {
    const placed *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return x->position < y->position ? -1 : x->position > y->position;
}

static bool parse_shape(const nnclr_json *shape, nnclr_tensor_info *info, nnclr_error *e) {
    if (!nnclr_json_is_array(shape))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "\"shape\" is missing");
    size_t rank = nnclr_json_count(shape);
    if (rank > NNCLR_TENSOR_RANK)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "rank %zu, more than %d", rank,
                          (int)NNCLR_TENSOR_RANK);
    info->rank = (int)rank;
    for (size_t i = 0; i < rank; i++)
        if (!nnclr_json_int(nnclr_json_at(shape, i), 0, INT64_MAX, &info->dims[i]))
            return nnclr_fail(e, NNCLR_ERROR_INPUT, "\"shape\" holds something that is not a size");
    return true;
}

static bool parse_tensor(const nnclr_json *value, placed *out, nnclr_error *e) {
    const char *dtype = nnclr_json_get_string(value, "dtype", e);
    if (!dtype)
        return false;
    if (!nnclr_dtype_parse(dtype, &out->info.dtype))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "element type \"%.20s\" is not known", dtype);
    if (!parse_shape(nnclr_json_get(value, "shape"), &out->info, e))
        return false;
    const nnclr_json *offsets = nnclr_json_get(value, "data_offsets");
    int64_t begin, end;
    if (nnclr_json_count(offsets) != 2 ||
        !nnclr_json_int(nnclr_json_at(offsets, 0), 0, INT64_MAX, &begin) ||
        !nnclr_json_int(nnclr_json_at(offsets, 1), begin, INT64_MAX, &end))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "\"data_offsets\" is not a pair of offsets");
    out->begin = (uint64_t)begin;
    out->end = (uint64_t)end;
    uint64_t bytes;
    if (!measure(&out->info, &bytes) || bytes != out->end - out->begin)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "its shape does not fit its %llu bytes",
                          (unsigned long long)(out->end - out->begin));
    return true;
}

/* Fills tensors[0..*count) in the order of their data. Names stay the JSON's. */
static bool parse_tensors(const nnclr_json *root, placed *tensors, size_t *count, nnclr_error *e) {
    void *iterator = NULL;
    const char *key;
    nnclr_json *value;
    *count = 0;
    while ((value = nnclr_json_each(root, &iterator, &key)) != NULL) {
        if (strcmp(key, metadata_key) == 0)
            continue;
        placed *tensor = &tensors[*count];
        *tensor = (placed){.info = {.name = key}, .position = *count};
        if (!parse_tensor(value, tensor, e))
            return nnclr_fail_at(e, "tensor \"%.200s\"", key);
        ++*count;
    }
    qsort(tensors, *count, sizeof *tensors, by_place);
    uint64_t at = 0;
    for (size_t i = 0; i < *count; at = tensors[i++].end)
        if (tensors[i].begin != at)
            return nnclr_fail(
                e, NNCLR_ERROR_INPUT, "tensor \"%.200s\": its data begin at %llu, not at %llu",
                tensors[i].info.name, (unsigned long long)tensors[i].begin, (unsigned long long)at);
    return true;
}

static bool check_metadata(const nnclr_json *metadata, nnclr_error *e) {
    if (!metadata)
        return true;
    if (!nnclr_json_is_object(metadata))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s is not an object", metadata_key);
    void *iterator = NULL;
    const char *key;
    nnclr_json *value;
    while ((value = nnclr_json_each(metadata, &iterator, &key)) != NULL)
        if (!nnclr_json_string(value))
            return nnclr_fail(e, NNCLR_ERROR_INPUT, "metadata \"%.200s\" is not a string", key);
    return true;
}

static bool keep(nnclr_tensor_header *out, const placed *tensors, size_t count, nnclr_error *e) {
    out->infos = nnclr_alloc_zero(count, sizeof *out->infos, e);
    out->offsets = out->infos ? nnclr_alloc(count, sizeof *out->offsets, e) : NULL;
    if (!out->offsets)
        return false;
    for (size_t i = 0; i < count; i++) {
        char *name = nnclr_strdup(tensors[i].info.name, e);
        if (!name)
            return false;
        out->infos[i] = tensors[i].info;
        out->infos[i].name = name;
        out->offsets[i] = tensors[i].begin;
        out->count++;
    }
    out->data_bytes = count > 0 ? tensors[count - 1].end : 0;
    return true;
}

bool nnclr_tensor_header_parse(const unsigned char *bytes, size_t size, const char *what,
                               nnclr_tensor_header *out, size_t *need, nnclr_error *e) {
    *out = (nnclr_tensor_header){0};
    *need = 0;
    if (size < LENGTH) {
        *need = LENGTH;
        return false;
    }
    uint64_t length = nnclr_load_u64(bytes);
    if (length < 2 || length > HEADER_LIMIT || (size > LENGTH && bytes[LENGTH] != '{'))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: not a safetensors document", what);
    if (size - LENGTH < length) {
        *need = LENGTH + (size_t)length;
        return false;
    }

    bool ok = false;
    size_t count;
    placed *tensors = NULL;
    nnclr_json *root = nnclr_json_parse((const char *)bytes + LENGTH, (size_t)length, what, e);
    if (!root)
        return false;
    tensors = nnclr_alloc(nnclr_json_count(root), sizeof *tensors, e);
    if (!tensors)
        goto exit;
    ok = parse_tensors(root, tensors, &count, e) &&
         check_metadata(nnclr_json_get(root, metadata_key), e);
    if (!ok) {
        nnclr_fail_at(e, "%s", what);
        goto exit;
    }
    out->header_bytes = LENGTH + length;
    ok = keep(out, tensors, count, e);
    out->metadata = nnclr_json_take(root, metadata_key);
exit:
    if (!ok)
        nnclr_tensor_header_free(out);
    nnclr_free(tensors);
    nnclr_json_free(root);
    return ok;
}

bool nnclr_tensor_header_check_format(const nnclr_tensor_header *header, const char *what,
                                      nnclr_error *e) {
    const char *text = nnclr_json_string(nnclr_json_get(header->metadata, "nnclr.format"));
    int64_t format;
    if (!text)
        return true;
    if (!nnclr_parse_int(text, 1, INT64_MAX, &format))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: nnclr.format \"%.40s\" is not a format number",
                          what, text);
    return format <= NNCLR_TENSOR_FORMAT ||
           nnclr_fail(e, NNCLR_ERROR_INPUT,
                      "%s: is of format %lld, written by a newer program; this one reads format %d",
                      what, (long long)format, (int)NNCLR_TENSOR_FORMAT);
}

void nnclr_tensor_header_free(nnclr_tensor_header *header) {
    for (size_t i = 0; i < header->count; i++)
        nnclr_free((char *)header->infos[i].name);
    nnclr_free(header->infos);
    nnclr_free(header->offsets);
    nnclr_json_free(header->metadata);
    *header = (nnclr_tensor_header){0};
}

/* ---- writing ---- */

static bool print_metadata(const nnclr_json *metadata, nnclr_json *root, nnclr_error *e) {
    nnclr_json *copy = nnclr_json_object(e);
    if (!nnclr_json_put(root, metadata_key, copy, e))
        return false;
    void *iterator = NULL;
    const char *key;
    nnclr_json *value;
    while ((value = nnclr_json_each(metadata, &iterator, &key)) != NULL) {
        const char *text = nnclr_json_string(value);
        if (!text)
            return nnclr_fail(e, NNCLR_ERROR_USAGE, "metadata \"%s\" is not a string", key);
        if (!nnclr_json_put_string(copy, key, text, e))
            return false;
    }
    return true;
}

/* *begin is where the data start, and moves on to where they end. */
static bool print_tensor(const nnclr_tensor_info *info, nnclr_json *root, uint64_t *begin,
                         nnclr_error *e) {
    uint64_t bytes, end;
    if (info->rank < 0 || info->rank > NNCLR_TENSOR_RANK || !measure(info, &bytes) ||
        __builtin_add_overflow(*begin, bytes, &end) || end > INT64_MAX)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "tensor \"%s\" is too large", info->name);
    if (nnclr_json_get(root, info->name) || strcmp(info->name, metadata_key) == 0)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "a second tensor \"%s\"", info->name);
    nnclr_json *tensor = nnclr_json_object(e);
    if (!nnclr_json_put(root, info->name, tensor, e) ||
        !nnclr_json_put_string(tensor, "dtype", nnclr_dtype_name(info->dtype), e))
        return false;
    nnclr_json *shape = nnclr_json_array(e);
    if (!nnclr_json_put(tensor, "shape", shape, e))
        return false;
    for (int i = 0; i < info->rank; i++)
        if (!nnclr_json_push_int(shape, info->dims[i], e))
            return false;
    nnclr_json *offsets = nnclr_json_array(e);
    if (!nnclr_json_put(tensor, "data_offsets", offsets, e) ||
        !nnclr_json_push_int(offsets, (int64_t)*begin, e) ||
        !nnclr_json_push_int(offsets, (int64_t)end, e))
        return false;
    *begin = end;
    return true;
}

bool nnclr_tensor_header_print(const nnclr_tensor_info *infos, size_t count,
                               const nnclr_json *metadata, nnclr_buffer *out, nnclr_error *e) {
    bool ok = false;
    size_t start = out->size;
    uint64_t at = 0;
    unsigned char length[LENGTH] = {0};
    nnclr_json *root = nnclr_json_object(e);
    if (!root)
        return false;
    if (metadata && !print_metadata(metadata, root, e))
        goto exit;
    for (size_t i = 0; i < count; i++)
        if (!print_tensor(&infos[i], root, &at, e))
            goto exit;
    if (!nnclr_buffer_append(out, length, LENGTH, e) || !nnclr_json_print(root, false, out, e))
        goto exit;
    size_t used = out->size - start;
    size_t padding = (ALIGNMENT - used % ALIGNMENT) % ALIGNMENT;
    if (!nnclr_buffer_append(out, "        ", padding, e))
        goto exit;
    if (used + padding > HEADER_LIMIT) {
        nnclr_fail(e, NNCLR_ERROR_LIMIT, "a safetensors header of %zu bytes", used);
        goto exit;
    }
    nnclr_store_u64(out->data + start, used + padding - LENGTH);
    ok = true;
exit:
    nnclr_json_free(root);
    return ok;
}
