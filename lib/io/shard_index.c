#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/memory.h"
#include "io/shard_parts.h"
#include "io/tensor_file.h"

/* The index is a safetensors document with a tensor for each column. Wide elements come first, so
 * that all are aligned. */
enum column {
    RECORD,
    FRAME,
    OFFSET,
    LENGTH,
    CRC32,
    LABEL,
    NAME_END,
    WIDTH,
    HEIGHT,
    CODEC,
    NAME, /* the last, and the only one that is not a number for each row */
    COLUMNS
};

static const struct {
    const char *name;
    nnclr_dtype dtype;
} columns[COLUMNS] = {
    [RECORD] = {"record", NNCLR_I64},     [FRAME] = {"frame", NNCLR_I64},
    [OFFSET] = {"offset", NNCLR_I64},     [LENGTH] = {"length", NNCLR_I64},
    [CRC32] = {"crc32", NNCLR_I64},       [LABEL] = {"label", NNCLR_I64},
    [WIDTH] = {"width", NNCLR_I32},       [HEIGHT] = {"height", NNCLR_I32},
    [CODEC] = {"codec", NNCLR_U8},        [NAME] = {"name", NNCLR_U8},
    [NAME_END] = {"name_end", NNCLR_I64},
};

enum { MAGIC_SIZE = 8, FRAME_HEADER = 8, HEADER_BOUND = 2048 };
static const char magic[MAGIC_SIZE + 1] = "NNCLRIDX";
static const char kind[] = "shard-index";

uint32_t nnclr_crc32(uint32_t crc, const void *bytes, size_t size) {
    return (uint32_t)crc32_z(crc, bytes, size);
}

void nnclr_index_free(nnclr_index *index) {
    nnclr_free(index->entries);
    nnclr_buffer_free(&index->names);
    *index = (nnclr_index){0};
}

bool nnclr_index_add(nnclr_index *index, const nnclr_index_entry *entry, const char *name,
                     size_t size, nnclr_error *e) {
    size_t start = index->names.size;
    if (!nnclr_reserve(&index->entries, &index->capacity, index->count + 1, sizeof *index->entries,
                       e) ||
        !nnclr_buffer_append(&index->names, name, size, e) ||
        !nnclr_buffer_append(&index->names, "", 1, e))
        return false;
    index->entries[index->count] = *entry;
    index->entries[index->count++].name = start;
    return true;
}

static int by_number(const void *a, const void *b) {
    const nnclr_index_entry *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

bool nnclr_index_sort(nnclr_index *index, nnclr_error *e) {
    bool sorted = true;
    for (size_t i = 0; i < index->count && sorted; i++)
        sorted = index->entries[i].number == (int64_t)i;
    if (sorted)
        return true;
    qsort(index->entries, index->count, sizeof *index->entries, by_number);
    for (size_t i = 0; i < index->count; i++)
        if (index->entries[i].number != (int64_t)i)
            return nnclr_fail(
                e, NNCLR_ERROR_INPUT,
                "record numbers are not 0 to %zu, each once: %lld is in the place of %zu",
                index->count - 1, (long long)index->entries[i].number, i);
    return true;
}

/* ---- printing ---- */

static int64_t get(const nnclr_index_entry *entry, enum column column) {
    switch (column) {
    case RECORD:
        return entry->number;
    case FRAME:
        return (int64_t)entry->frame;
    case OFFSET:
        return (int64_t)entry->offset;
    case LENGTH:
        return (int64_t)entry->length;
    case CRC32:
        return entry->crc32;
    case LABEL:
        return entry->label;
    case WIDTH:
        return entry->width;
    case HEIGHT:
        return entry->height;
    default:
        return (int64_t)entry->codec;
    }
}

static bool append_number(nnclr_buffer *out, nnclr_dtype dtype, int64_t value, nnclr_error *e) {
    unsigned char bytes[8];
    nnclr_store_u64(bytes, (uint64_t)value); /* little-endian: the low bytes come first */
    return nnclr_buffer_append(out, bytes, nnclr_dtype_bytes(dtype), e);
}

static bool append_column(const nnclr_index *index, enum column column, nnclr_buffer *out,
                          nnclr_error *e) {
    int64_t end = 0;
    for (size_t i = 0; i < index->count; i++) {
        const nnclr_index_entry *entry = &index->entries[i];
        const char *name = (const char *)index->names.data + entry->name;
        bool ok;
        if (column == NAME)
            ok = nnclr_buffer_append(out, name, strlen(name), e);
        else if (column == NAME_END)
            ok = append_number(out, NNCLR_I64, end += (int64_t)strlen(name), e);
        else
            ok = append_number(out, columns[column].dtype, get(entry, column), e);
        if (!ok)
            return false;
    }
    return true;
}

bool nnclr_index_print(const nnclr_index *index, nnclr_buffer *out, nnclr_error *e) {
    bool ok = false;
    nnclr_tensor_info infos[COLUMNS];
    size_t names = index->names.size - index->count; /* without their NULs */
    for (size_t c = 0; c < COLUMNS; c++)
        infos[c] = (nnclr_tensor_info){
            columns[c].name, columns[c].dtype, 1, {(int64_t)(c == NAME ? names : index->count)}};
    nnclr_json *metadata = nnclr_json_object(e);
    if (!metadata || !nnclr_json_put_string(metadata, "format", "pt", e) ||
        !nnclr_json_put_string(metadata, "nnclr.kind", kind, e) ||
        !nnclr_json_put_string(metadata, "nnclr.format", "1", e) ||
        !nnclr_tensor_header_print(infos, COLUMNS, metadata, out, e))
        goto exit;
    for (size_t c = 0; c < COLUMNS; c++)
        if (!append_column(index, (enum column)c, out, e))
            goto exit;
    ok = true;
exit:
    nnclr_json_free(metadata);
    return ok;
}

size_t nnclr_index_entry_bytes(const char *name) {
    size_t bytes = strlen(name);
    for (size_t c = 0; c < COLUMNS; c++)
        bytes += c == NAME ? 0 : nnclr_dtype_bytes(columns[c].dtype);
    return bytes;
}

size_t nnclr_index_header_bytes(void) {
    return HEADER_BOUND;
}

/* ---- parsing ---- */

typedef struct table {
    const unsigned char *data[COLUMNS];
    size_t rows, names;
} table;

static int64_t number_at(const table *t, enum column column, size_t row) {
    nnclr_dtype dtype = columns[column].dtype;
    const unsigned char *p = t->data[column] + row * nnclr_dtype_bytes(dtype);
    switch (dtype) {
    case NNCLR_I64:
        return (int64_t)nnclr_load_u64(p);
    case NNCLR_I32:
        return (int32_t)nnclr_load_u32(p);
    default:
        return *p;
    }
}

/* Finds every column; other tensors are passed over. */
static bool find_columns(const nnclr_tensor_header *header, const unsigned char *data, table *out,
                         nnclr_error *e) {
    *out = (table){.rows = 0};
    for (size_t c = 0; c < COLUMNS; c++) {
        size_t i = 0;
        while (i < header->count && strcmp(header->infos[i].name, columns[c].name) != 0)
            i++;
        const nnclr_tensor_info *info = &header->infos[i];
        if (i == header->count || info->dtype != columns[c].dtype || info->rank != 1)
            return nnclr_fail(e, NNCLR_ERROR_INPUT, "column \"%s\" is missing", columns[c].name);
        size_t length = (size_t)info->dims[0];
        if (c == RECORD)
            out->rows = length;
        if (c == NAME)
            out->names = length;
        else if (length != out->rows)
            return nnclr_fail(e, NNCLR_ERROR_INPUT, "column \"%s\" has %zu rows, not %zu",
                              columns[c].name, length, out->rows);
        out->data[c] = data + header->offsets[i];
    }
    return true;
}

/* Bounds that hold in any shard; what depends on classes and frames is checked later. */
static const struct {
    int64_t low, high;
} bounds[NAME] = {
    [RECORD] = {0, NNCLR_SHARD_MAX_RECORDS - 1},
    [FRAME] = {0, UINT32_MAX},
    [OFFSET] = {0, NNCLR_FRAME_LIMIT},
    [LENGTH] = {0, NNCLR_FRAME_LIMIT},
    [CRC32] = {0, UINT32_MAX},
    [LABEL] = {-1, INT32_MAX},
    [NAME_END] = {0, INT64_MAX},
    [WIDTH] = {1, INT32_MAX},
    [HEIGHT] = {1, INT32_MAX},
    [CODEC] = {0, NNCLR_CODECS - 1},
};

static bool parse_row(const table *t, size_t row, int64_t *name_start, nnclr_index *out,
                      nnclr_error *e) {
    int64_t values[NAME];
    for (size_t c = 0; c < NAME; c++) {
        values[c] = number_at(t, (enum column)c, row);
        if (values[c] < bounds[c].low || values[c] > bounds[c].high)
            return nnclr_fail(e, NNCLR_ERROR_INPUT, "row %zu: \"%s\" is %lld", row, columns[c].name,
                              (long long)values[c]);
    }
    int64_t start = *name_start, end = values[NAME_END];
    if (end < start || (uint64_t)end > t->names ||
        memchr(t->data[NAME] + start, '\0', (size_t)(end - start)))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "row %zu: its name is damaged", row);
    *name_start = end;
    nnclr_index_entry entry = {
        .number = (int32_t)values[RECORD],
        .frame = (uint32_t)values[FRAME],
        .offset = (uint32_t)values[OFFSET],
        .length = (uint32_t)values[LENGTH],
        .crc32 = (uint32_t)values[CRC32],
        .label = (int32_t)values[LABEL],
        .width = (int)values[WIDTH],
        .height = (int)values[HEIGHT],
        .codec = (nnclr_codec)values[CODEC],
    };
    return nnclr_index_add(out, &entry, (const char *)t->data[NAME] + start, (size_t)(end - start),
                           e);
}

static bool check_kind(const nnclr_tensor_header *header, nnclr_error *e) {
    const char *is = nnclr_json_string(nnclr_json_get(header->metadata, "nnclr.kind"));
    if (is && strcmp(is, kind) == 0)
        return nnclr_tensor_header_check_format(header, "index", e);
    return nnclr_fail(e, NNCLR_ERROR_INPUT, "index: is of kind \"%.40s\", not \"%s\"", is ? is : "",
                      kind);
}

bool nnclr_index_parse(const unsigned char *bytes, size_t size, nnclr_index *out, nnclr_error *e) {
    bool ok = false;
    nnclr_tensor_header header;
    size_t need;
    if (!nnclr_tensor_header_parse(bytes, size, "index", &header, &need, e))
        return need > size ? nnclr_fail(e, NNCLR_ERROR_INPUT, "index: truncated") : false;
    if (header.data_bytes != size - header.header_bytes) {
        nnclr_fail(e, NNCLR_ERROR_INPUT, "index: truncated");
        goto exit;
    }
    if (!check_kind(&header, e))
        goto exit;
    table t;
    int64_t name_start = 0;
    ok = find_columns(&header, bytes + header.header_bytes, &t, e) &&
         nnclr_reserve(&out->entries, &out->capacity, t.rows, sizeof *out->entries, e) &&
         nnclr_buffer_reserve(&out->names, t.names + t.rows, e);
    for (size_t row = 0; ok && row < t.rows; row++)
        ok = parse_row(&t, row, &name_start, out, e);
    if (!ok)
        nnclr_fail_at(e, "index");
exit:
    nnclr_tensor_header_free(&header);
    return ok;
}

/* ---- the skippable frame ---- */

bool nnclr_index_pack(const nnclr_buffer *printed, int level, nnclr_buffer *out, nnclr_error *e) {
    nnclr_buffer payload = {0};
    bool ok = nnclr_buffer_append(&payload, magic, MAGIC_SIZE, e) &&
              nnclr_frame_compress(printed->data, printed->size, level, &payload, e) &&
              nnclr_skippable_append(NNCLR_INDEX_MAGIC, payload.data, payload.size, out, e);
    nnclr_buffer_free(&payload);
    return ok;
}

bool nnclr_index_recognise(const unsigned char *frame, size_t size) {
    return size >= FRAME_HEADER + MAGIC_SIZE && nnclr_load_u32(frame) == NNCLR_INDEX_MAGIC &&
           memcmp(frame + FRAME_HEADER, magic, MAGIC_SIZE) == 0;
}

bool nnclr_index_unpack(const unsigned char *frame, size_t size, nnclr_buffer *content,
                        nnclr_error *e) {
    if (!nnclr_index_recognise(frame, size) || nnclr_load_u32(frame + 4) != size - FRAME_HEADER)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "the index is damaged");
    const unsigned char *inner = frame + FRAME_HEADER + MAGIC_SIZE;
    size_t inner_size = size - FRAME_HEADER - MAGIC_SIZE, whole;
    content->size = 0;
    if (!nnclr_frame_content(inner, inner_size, &whole, e) ||
        !nnclr_buffer_reserve(content, whole, e) ||
        !nnclr_frame_decompress(inner, inner_size, content->data, whole, e))
        return nnclr_fail_at(e, "the index is damaged");
    content->size = whole;
    return true;
}
