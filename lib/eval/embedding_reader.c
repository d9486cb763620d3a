#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "eval/embedding.h"

enum { DIMENSION_LIMIT = 1 << 20 };

typedef struct numbered_name {
    const char *name;
    int64_t number;
} numbered_name;

static int by_name(const void *a, const void *b) {
    return strcmp(((const numbered_name *)a)->name, ((const numbered_name *)b)->name);
}

/* The names with their numbers, sorted for bsearch; the caller's. */
static numbered_name *sort_names(char *const *names, size_t count, nnclr_error *e) {
    numbered_name *sorted = nnclr_alloc(count, sizeof *sorted, e);
    if (!sorted)
        return NULL;
    for (size_t i = 0; i < count; i++)
        sorted[i] = (numbered_name){.name = names[i], .number = (int64_t)i};
    if (count > 1)
        qsort(sorted, count, sizeof *sorted, by_name);
    return sorted;
}

static bool copy_classes(nnclr_embedding *embedding, const nnclr_json *array, const char *path,
                         nnclr_error *e) {
    size_t count = nnclr_json_count(array);
    embedding->classes = nnclr_alloc_zero(count, sizeof *embedding->classes, e);
    if (!embedding->classes)
        return false;
    for (; embedding->class_count < count; embedding->class_count++) {
        const char *name = nnclr_json_string(nnclr_json_at(array, embedding->class_count));
        if (!name)
            return nnclr_fail(e, NNCLR_ERROR_INPUT,
                              "%s: class %zu of nnclr.classes is not a string", path,
                              embedding->class_count);
        if (!(embedding->classes[embedding->class_count] = nnclr_strdup(name, e)))
            return false;
    }
    return true;
}

static bool check_classes_differ(const nnclr_embedding *embedding, const char *path,
                                 nnclr_error *e) {
    numbered_name *sorted = sort_names(embedding->classes, embedding->class_count, e);
    if (!sorted)
        return false;
    bool ok = true;
    for (size_t i = 1; ok && i < embedding->class_count; i++)
        if (by_name(&sorted[i - 1], &sorted[i]) == 0)
            ok = nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: the class \"%s\" is listed twice", path,
                            sorted[i].name);
    nnclr_free(sorted);
    return ok;
}

static bool load_classes(nnclr_embedding *embedding, const char *path, nnclr_error *e) {
    const char *text = nnclr_tensor_reader_metadata(embedding->reader, "nnclr.classes");
    if (!text)
        return true;
    nnclr_json *array = nnclr_json_parse(text, strlen(text), "nnclr.classes", e);
    if (!array)
        return nnclr_fail_at(e, "%s", path);
    bool ok = nnclr_json_is_array(array)
                  ? copy_classes(embedding, array, path, e)
                  : nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: nnclr.classes is not an array", path);
    nnclr_json_free(array);
    return ok && check_classes_differ(embedding, path, e);
}

static bool read_rows(const nnclr_row_source *source, int64_t first, int64_t count, float *rows,
                      nnclr_error *e) {
    nnclr_embedding *embedding = source->context;
    const size_t row = (size_t)source->d * sizeof *rows;
    return nnclr_tensor_reader_read(embedding->reader,
                                    nnclr_tensor_reader_find(embedding->reader, "embedding"),
                                    (uint64_t)first * row, rows, (size_t)count * row, e);
}

static bool open_rows(nnclr_embedding *embedding, const char *path, nnclr_error *e) {
    const nnclr_tensor_info *info = nnclr_tensor_reader_find(embedding->reader, "embedding");
    if (!info)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: there is no tensor \"embedding\"", path);
    if (info->dtype != NNCLR_F32 || info->rank != 2)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "%s: \"embedding\" is %s of rank %d, not F32 of rank 2", path,
                          nnclr_dtype_name(info->dtype), info->rank);
    if (info->dims[0] < 1 || info->dims[1] < 1)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: \"embedding\" holds no numbers", path);
    if (info->dims[1] > DIMENSION_LIMIT)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT,
                          "%s: rows of %lld numbers are above the limit of %d", path,
                          (long long)info->dims[1], DIMENSION_LIMIT);
    embedding->rows = (nnclr_row_source){
        .n = info->dims[0], .d = (int)info->dims[1], .read = read_rows, .context = embedding};
    return true;
}

static bool check_numbers(const nnclr_embedding *embedding, const char *path, nnclr_error *e) {
    for (int64_t i = 0; i < embedding->rows.n; i++) {
        if (embedding->record[i] < 0)
            return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: row %lld has the record number %lld", path,
                              (long long)i, (long long)embedding->record[i]);
        if (embedding->label[i] < -1 || embedding->label[i] >= (int64_t)embedding->class_count)
            return nnclr_fail(e, NNCLR_ERROR_INPUT,
                              "%s: row %lld has label %lld, but there are %zu classes", path,
                              (long long)i, (long long)embedding->label[i], embedding->class_count);
    }
    return true;
}

/* Names are back to back in the file, each up to its name_end; here each gets a NUL. */
static bool load_names(nnclr_embedding *embedding, const char *path, nnclr_error *e) {
    const int64_t n = embedding->rows.n, any = -1;
    bool ok = false;
    nnclr_tensor_info info;
    int64_t *end =
        nnclr_tensor_reader_load(embedding->reader, "name_end", NNCLR_I64, 1, &n, NULL, e);
    char *bytes = NULL;
    if (!end)
        goto done;
    bytes = nnclr_tensor_reader_load(embedding->reader, "name", NNCLR_U8, 1, &any, &info, e);
    if (!bytes)
        goto done;
    size_t size;
    if (!nnclr_size_add((size_t)info.dims[0], (size_t)n, &size)) {
        nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: the names are too long", path);
        goto done;
    }
    embedding->name_bytes = nnclr_alloc_zero(size, 1, e);
    embedding->names = nnclr_alloc((size_t)n, sizeof *embedding->names, e);
    if (!embedding->name_bytes || !embedding->names)
        goto done;
    char *to = embedding->name_bytes;
    int64_t start = 0;
    for (int64_t i = 0; i < n; i++) {
        if (end[i] < start || end[i] > info.dims[0]) {
            nnclr_fail(e, NNCLR_ERROR_INPUT,
                       "%s: name_end of row %lld is %lld, outside %lld to %lld", path, (long long)i,
                       (long long)end[i], (long long)start, (long long)info.dims[0]);
            goto done;
        }
        size_t length = (size_t)(end[i] - start);
        if (memchr(bytes + start, '\0', length)) {
            nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: the name of row %lld holds a zero byte", path,
                       (long long)i);
            goto done;
        }
        memcpy(to, bytes + start, length);
        embedding->names[i] = to;
        to += length + 1;
        start = end[i];
    }
    ok = true;
done:
    nnclr_free(bytes);
    nnclr_free(end);
    return ok;
}

/* Which bytes the rows were made from. */
static bool load_pictures(nnclr_embedding *embedding, nnclr_error *e) {
    if (!nnclr_tensor_reader_find(embedding->reader, "bytes") ||
        !nnclr_tensor_reader_find(embedding->reader, "crc32"))
        return true;
    embedding->bytes = nnclr_tensor_reader_load(embedding->reader, "bytes", NNCLR_I64, 1,
                                                &embedding->rows.n, NULL, e);
    if (!embedding->bytes)
        return false;
    embedding->crc32 = nnclr_tensor_reader_load(embedding->reader, "crc32", NNCLR_I64, 1,
                                                &embedding->rows.n, NULL, e);
    return embedding->crc32 != NULL;
}

static bool load_metadata(nnclr_embedding *embedding, const char *path, nnclr_error *e) {
    embedding->config = nnclr_tensor_reader_metadata(embedding->reader, "nnclr.config");
    const char *data = nnclr_tensor_reader_metadata(embedding->reader, "nnclr.data");
    if (data && !(embedding->data = nnclr_json_parse(data, strlen(data), "nnclr.data", e)))
        return nnclr_fail_at(e, "%s", path);
    return load_classes(embedding, path, e);
}

bool nnclr_embedding_open_reader(nnclr_embedding *embedding, nnclr_tensor_reader *reader,
                                 nnclr_error *e) {
    const char *path = nnclr_tensor_reader_path(reader);
    *embedding = (nnclr_embedding){.reader = reader};
    if (!nnclr_tensor_reader_expect(reader, "embedding", e) || !open_rows(embedding, path, e))
        goto fail;
    embedding->record =
        nnclr_tensor_reader_load(reader, "record", NNCLR_I64, 1, &embedding->rows.n, NULL, e);
    if (!embedding->record)
        goto fail;
    embedding->label =
        nnclr_tensor_reader_load(reader, "label", NNCLR_I64, 1, &embedding->rows.n, NULL, e);
    if (!embedding->label || !load_pictures(embedding, e) || !load_metadata(embedding, path, e) ||
        !check_numbers(embedding, path, e) || !load_names(embedding, path, e))
        goto fail;
    return true;
fail:
    nnclr_embedding_close(embedding);
    return false;
}

bool nnclr_embedding_open(nnclr_embedding *embedding, const char *path, nnclr_error *e) {
    *embedding = (nnclr_embedding){0};
    nnclr_tensor_reader *reader = nnclr_tensor_reader_open(path, e);
    return reader && nnclr_embedding_open_reader(embedding, reader, e);
}

void nnclr_embedding_close(nnclr_embedding *embedding) {
    for (size_t i = 0; i < embedding->class_count; i++)
        nnclr_free(embedding->classes[i]);
    nnclr_free(embedding->classes);
    nnclr_json_free(embedding->data);
    nnclr_free(embedding->names);
    nnclr_free(embedding->name_bytes);
    nnclr_free(embedding->crc32);
    nnclr_free(embedding->bytes);
    nnclr_free(embedding->label);
    nnclr_free(embedding->record);
    nnclr_tensor_reader_close(embedding->reader);
    *embedding = (nnclr_embedding){0};
}

/* map [other's classes]: the class of `x` with the same name, or -1. */
static bool match_classes(const nnclr_embedding *embedding, const nnclr_embedding *other,
                          int64_t *map, nnclr_error *e) {
    numbered_name *sorted = sort_names(embedding->classes, embedding->class_count, e);
    if (!sorted)
        return false;
    for (size_t c = 0; c < other->class_count; c++) {
        const numbered_name key = {.name = other->classes[c]};
        const numbered_name *found =
            bsearch(&key, sorted, embedding->class_count, sizeof *sorted, by_name);
        map[c] = found ? found->number : -1;
    }
    nnclr_free(sorted);
    return true;
}

bool nnclr_embedding_map_labels(const nnclr_embedding *embedding, const nnclr_embedding *other,
                                int64_t *out, nnclr_error *e) {
    int64_t *map = nnclr_alloc(other->class_count, sizeof *map, e);
    if (!map)
        return false;
    bool ok = match_classes(embedding, other, map, e);
    for (int64_t i = 0; ok && i < other->rows.n; i++) {
        int64_t label = other->label[i];
        out[i] = label < 0 ? -1 : map[label];
        if (label >= 0 && map[label] < 0)
            ok = nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: the class \"%s\" is not among the %zu of %s",
                            nnclr_tensor_reader_path(other->reader), other->classes[label],
                            embedding->class_count, nnclr_tensor_reader_path(embedding->reader));
    }
    nnclr_free(map);
    return ok;
}
