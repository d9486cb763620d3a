#include <string.h>

#include "base/memory.h"
#include "eval/embedding.h"

struct nnclr_embedding_writer {
    nnclr_tensor_writer *file;
    const nnclr_shard_set *set;
    int d;
};

static const char *name_of(const nnclr_shard_set *set, size_t i) {
    return nnclr_shard_set_record(set, i).name;
}

/* The columns that precede the rows: [n] I64 each, made by `value` from (set, i, sum of the values
 * before). */
static bool put_column(nnclr_embedding_writer *writer,
                       int64_t (*value)(const nnclr_shard_set *, size_t, int64_t), nnclr_error *e) {
    const size_t n = nnclr_shard_set_count(writer->set);
    int64_t *column = nnclr_alloc(n, sizeof *column, e);
    if (!column)
        return false;
    for (size_t i = 0; i < n; i++)
        column[i] = value(writer->set, i, i ? column[i - 1] : 0);
    bool ok = nnclr_tensor_writer_put(writer->file, column, n * sizeof *column, e);
    nnclr_free(column);
    return ok;
}

static int64_t record_value(const nnclr_shard_set *set, size_t i, int64_t before) {
    (void)set;
    (void)before;
    return (int64_t)i;
}

static int64_t label_value(const nnclr_shard_set *set, size_t i, int64_t before) {
    (void)before;
    return nnclr_shard_set_record(set, i).label;
}

static int64_t bytes_value(const nnclr_shard_set *set, size_t i, int64_t before) {
    (void)before;
    return (int64_t)nnclr_shard_set_record(set, i).size;
}

static int64_t crc32_value(const nnclr_shard_set *set, size_t i, int64_t before) {
    (void)before;
    return nnclr_shard_set_record(set, i).crc32;
}

static int64_t name_end_value(const nnclr_shard_set *set, size_t i, int64_t before) {
    return before + (int64_t)strlen(name_of(set, i));
}

nnclr_embedding_writer *nnclr_embedding_writer_open(const char *path, const char *program,
                                                    const nnclr_shard_set *set, int d,
                                                    const nnclr_json *config, nnclr_error *e) {
    const int64_t n = (int64_t)nnclr_shard_set_count(set);
    int64_t name_bytes = 0;
    for (int64_t i = 0; i < n; i++)
        name_bytes = name_end_value(set, (size_t)i, name_bytes);
    /* The widest elements first, so that every tensor is aligned in the file. */
    const nnclr_tensor_info infos[] = {
        {.name = "record", .dtype = NNCLR_I64, .rank = 1, .dims = {n}},
        {.name = "label", .dtype = NNCLR_I64, .rank = 1, .dims = {n}},
        {.name = "bytes", .dtype = NNCLR_I64, .rank = 1, .dims = {n}},
        {.name = "crc32", .dtype = NNCLR_I64, .rank = 1, .dims = {n}},
        {.name = "name_end", .dtype = NNCLR_I64, .rank = 1, .dims = {n}},
        {.name = "embedding", .dtype = NNCLR_F32, .rank = 2, .dims = {n, d}},
        {.name = "name", .dtype = NNCLR_U8, .rank = 1, .dims = {name_bytes}},
    };
    nnclr_json *metadata = nnclr_shard_set_metadata(set, config, e);
    nnclr_embedding_writer *writer = metadata ? nnclr_alloc_zero(1, sizeof *writer, e) : NULL;
    if (!writer)
        goto fail;
    writer->set = set;
    writer->d = d;
    writer->file = nnclr_tensor_writer_open(path, "embedding", program, metadata, infos,
                                            sizeof infos / sizeof *infos, e);
    if (!writer->file || !put_column(writer, record_value, e) ||
        !put_column(writer, label_value, e) || !put_column(writer, bytes_value, e) ||
        !put_column(writer, crc32_value, e) || !put_column(writer, name_end_value, e))
        goto fail;
    nnclr_json_free(metadata);
    return writer;
fail:
    nnclr_embedding_writer_abandon(writer);
    nnclr_json_free(metadata);
    return NULL;
}

bool nnclr_embedding_writer_put(nnclr_embedding_writer *writer, const float *rows, int64_t count,
                                nnclr_error *e) {
    return nnclr_tensor_writer_put(writer->file, rows,
                                   (size_t)count * (size_t)writer->d * sizeof *rows, e);
}

bool nnclr_embedding_writer_commit(nnclr_embedding_writer *writer, nnclr_error *e) {
    for (size_t i = 0; i < nnclr_shard_set_count(writer->set); i++) {
        const char *name = name_of(writer->set, i);
        if (!nnclr_tensor_writer_put(writer->file, name, strlen(name), e)) {
            nnclr_embedding_writer_abandon(writer);
            return false;
        }
    }
    nnclr_tensor_writer *file = writer->file;
    nnclr_free(writer);
    return nnclr_tensor_writer_commit(file, e);
}

void nnclr_embedding_writer_abandon(nnclr_embedding_writer *writer) {
    if (!writer)
        return;
    nnclr_tensor_writer_abandon(writer->file);
    nnclr_free(writer);
}
