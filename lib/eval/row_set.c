#include "eval/row_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "base/sorted.h"
#include "image/decode.h"

enum { QUEUE_EMBEDDING, QUEUE_RECORD, QUEUE_LABEL, QUEUE_STEP, LEARNT_BYTES, LEARNT_CRC32 };

/* The side of the pictures, if nnclr-embed --pixels made the rows; otherwise 0. */
static bool read_pixels(const nnclr_embedding *embedding, int *side, nnclr_error *e) {
    int64_t size;
    if (!embedding->config)
        return true;
    nnclr_json *config =
        nnclr_json_parse(embedding->config, strlen(embedding->config), "nnclr.config", e);
    if (!config)
        return false;
    const char *output = nnclr_json_string(nnclr_json_get(config, "output"));
    if (output && strcmp(output, "pixels") == 0 &&
        nnclr_json_int(nnclr_json_get(config, "size"), 1, 1 << 10, &size) &&
        3 * size * size == embedding->rows.d)
        *side = (int)size;
    nnclr_json_free(config);
    return true;
}

static bool open_embedding(nnclr_row_set *set, nnclr_tensor_reader *reader, nnclr_error *e) {
    nnclr_embedding *embedding = &set->embedding;
    if (!nnclr_embedding_open_reader(embedding, reader, e))
        return false;
    set->rows = embedding->rows;
    set->record = embedding->record;
    set->label = embedding->label;
    set->classes = embedding->classes;
    set->class_count = embedding->class_count;
    set->names = embedding->names;
    set->data = embedding->data;
    set->bytes = embedding->bytes;
    set->crc32 = embedding->crc32;
    return read_pixels(embedding, &set->pixels, e) ||
           nnclr_fail_at(e, "%s", nnclr_tensor_reader_path(reader));
}

/* queue.embedding as F32; an f64 run keeps it as F64. */
static float *load_queue_rows(nnclr_tensor_reader *reader, nnclr_tensor_info *info,
                              nnclr_error *e) {
    const int64_t any[] = {-1, -1};
    const nnclr_tensor_info *found = nnclr_tensor_reader_find(reader, "queue.embedding");
    if (!found || found->dtype != NNCLR_F64)
        return nnclr_tensor_reader_load(reader, "queue.embedding", NNCLR_F32, 2, any, info, e);
    double *wide = nnclr_tensor_reader_load(reader, "queue.embedding", NNCLR_F64, 2, any, info, e);
    if (!wide)
        return NULL;
    size_t count = (size_t)nnclr_tensor_elements(info);
    float *rows = nnclr_alloc(count, sizeof *rows, e);
    for (size_t i = 0; rows && i < count; i++)
        rows[i] = (float)wide[i];
    nnclr_free(wide);
    return rows;
}

static bool open_queue(nnclr_row_set *set, nnclr_tensor_reader *reader, nnclr_error *e) {
    const char *path = nnclr_tensor_reader_path(reader);
    if (!nnclr_checkpoint_read_info(reader, &set->info, e))
        return false;
    if (!nnclr_tensor_reader_find(reader, "queue.embedding"))
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "%s: this checkpoint has no support set; give an embedding file of "
                          "nnclr-embed to look at its neighbours",
                          path);
    nnclr_tensor_info info;
    float *rows = load_queue_rows(reader, &info, e);
    set->owned[QUEUE_EMBEDDING] = rows;
    if (!rows)
        return false;
    if (info.dims[0] < 1 || info.dims[1] < 1 || info.dims[1] > INT32_MAX)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: a support set of %lld rows of %lld numbers",
                          path, (long long)info.dims[0], (long long)info.dims[1]);
    static const char *const columns[] = {[QUEUE_RECORD] = "queue.record",
                                          [QUEUE_LABEL] = "queue.label",
                                          [QUEUE_STEP] = "queue.step"};
    for (int i = QUEUE_RECORD; i <= QUEUE_STEP; i++) {
        set->owned[i] =
            nnclr_tensor_reader_load(reader, columns[i], NNCLR_I64, 1, info.dims, NULL, e);
        if (!set->owned[i])
            return false;
    }
    set->rows = nnclr_rows_in_memory(rows, info.dims[0], (int)info.dims[1]);
    set->record = set->owned[QUEUE_RECORD];
    set->label = set->owned[QUEUE_LABEL];
    set->step = set->owned[QUEUE_STEP];
    set->classes = set->info.classes;
    set->class_count = set->info.class_count;
    set->data = set->info.identity;
    for (int64_t i = 0; i < set->rows.n; i++)
        if (set->step[i] > set->newest)
            set->newest = set->step[i];
    return nnclr_checkpoint_check_rows(path, &set->info, set->rows.n, set->record, set->label,
                                       set->step, e);
}

bool nnclr_row_set_open(nnclr_row_set *set, const char *path, nnclr_error *e) {
    *set = (nnclr_row_set){.newest = -1};
    nnclr_tensor_reader *reader = nnclr_tensor_reader_open(path, e);
    if (!reader)
        return false;
    const char *kind = nnclr_tensor_reader_metadata(reader, "nnclr.kind");
    const bool embedding = kind && strcmp(kind, "embedding") == 0;
    if (!embedding)
        set->reader = reader;
    const bool ok = embedding ? open_embedding(set, reader, e) : open_queue(set, reader, e);
    if (ok)
        set->path = nnclr_tensor_reader_path(reader);
    else
        nnclr_row_set_close(set);
    return ok;
}

void nnclr_row_set_close(nnclr_row_set *set) {
    for (size_t i = 0; i < sizeof set->owned / sizeof *set->owned; i++)
        nnclr_free(set->owned[i]);
    if (set->reader)
        nnclr_checkpoint_info_free(&set->info);
    nnclr_tensor_reader_close(set->reader);
    nnclr_embedding_close(&set->embedding);
    *set = (nnclr_row_set){0};
}

bool nnclr_row_set_learn_bytes(nnclr_row_set *set, const nnclr_shard_set *shards, nnclr_error *e) {
    const size_t n = (size_t)set->rows.n;
    if (set->bytes || !shards)
        return true;
    int64_t *bytes = set->owned[LEARNT_BYTES] = nnclr_alloc(n, sizeof *bytes, e);
    int64_t *crc32 = set->owned[LEARNT_CRC32] = nnclr_alloc(n, sizeof *crc32, e);
    if (!bytes || !crc32)
        return false;
    for (size_t i = 0; i < n; i++) {
        nnclr_record record = {0};
        if (set->record[i] >= 0 && (uint64_t)set->record[i] < nnclr_shard_set_count(shards))
            record = nnclr_shard_set_record(shards, (size_t)set->record[i]);
        bytes[i] = (int64_t)record.size;
        crc32[i] = record.crc32;
    }
    set->bytes = bytes;
    set->crc32 = crc32;
    return true;
}

/* ---- the same on several ranks ---- */

static bool hash_rows(const nnclr_row_source *rows, uint64_t *hash, nnclr_error *e) {
    enum { CHUNK = 1024 };
    const size_t row = (size_t)rows->d * sizeof(float);
    float *some = nnclr_alloc(CHUNK, row, e);
    bool ok = some;
    for (int64_t first = 0; ok && first < rows->n; first += CHUNK) {
        const int64_t count = nnclr_min(rows->n - first, CHUNK);
        ok = rows->read(rows, first, count, some, e);
        if (ok)
            *hash = nnclr_hash(*hash, some, (size_t)count * row);
    }
    nnclr_free(some);
    return ok;
}

bool nnclr_row_set_is_alike(const nnclr_row_set *set, nnclr_communicator *ranks, nnclr_error *e) {
    const size_t column = (size_t)set->rows.n * sizeof(int64_t);
    uint64_t hash = 0;
    if (ranks->ranks == 1)
        return true;
    hash = nnclr_hash(hash, set->record, column);
    hash = nnclr_hash(hash, set->label, column);
    hash_rows(&set->rows, &hash, e);
    return nnclr_agree(ranks, NULL, e) && nnclr_agree_on(ranks, hash, set->path, e);
}

/* ---- what rows show ---- */

const char *nnclr_row_set_class(const nnclr_row_set *set, int64_t row) {
    int64_t label = set->label[row];
    return label >= 0 && label < (int64_t)set->class_count ? set->classes[label] : NULL;
}

const char *nnclr_row_set_name(const nnclr_row_set *set, const nnclr_shard_set *shards,
                               int64_t row) {
    if (set->names)
        return set->names[row];
    if (!shards || set->record[row] < 0 ||
        (uint64_t)set->record[row] >= nnclr_shard_set_count(shards))
        return NULL;
    return nnclr_shard_set_record(shards, (size_t)set->record[row]).name;
}

bool nnclr_check_record(const nnclr_shard_set *shards, int64_t record, nnclr_error *e) {
    return (uint64_t)record < nnclr_shard_set_count(shards) ||
           nnclr_fail(e, NNCLR_ERROR_INPUT, "record %lld is not among the %zu of the shards",
                      (long long)record, nnclr_shard_set_count(shards));
}

bool nnclr_record_picture(nnclr_shard_set *shards, int64_t record, nnclr_image *image,
                          nnclr_error *e) {
    const nnclr_decode_limits limits = nnclr_decode_limits_default();
    nnclr_buffer bytes = {0};
    if (!nnclr_check_record(shards, record, e))
        return false;
    const bool ok = nnclr_shard_set_read(shards, (size_t)record, &bytes, e) &&
                    nnclr_decode(bytes.data, bytes.size, &limits, image, e);
    nnclr_buffer_free(&bytes);
    return ok || nnclr_fail_at(e, "record %lld", (long long)record);
}

int64_t nnclr_row_set_age(const nnclr_row_set *set, int64_t row) {
    return set->step && set->step[row] >= 0 ? set->newest - set->step[row] : -1;
}

bool nnclr_row_set_summary(const nnclr_row_set *set, nnclr_row_summary *out, nnclr_error *e) {
    const size_t n = (size_t)set->rows.n;
    int64_t *sorted = nnclr_alloc(n, sizeof *sorted, e);
    if (!sorted)
        return false;
    *out = (nnclr_row_summary){0};
    size_t shown = 0;
    for (size_t i = 0; i < n; i++) {
        if (set->record[i] >= 0)
            sorted[shown++] = set->record[i];
        else
            out->initial++;
    }
    out->distinct = (int64_t)nnclr_count_different(sorted, shown);
    nnclr_free(sorted);
    return true;
}

/* ---- queries and their neighbours ---- */

/* query [result]: a sample of the chosen rows that are not initial. Returns how many, 0 on failure.
 */
static int64_t sample(const nnclr_row_set *set, const bool *chosen, int64_t count, uint64_t seed,
                      int64_t *query, nnclr_error *e) {
    const int64_t n = set->rows.n;
    uint32_t *order = NULL;
    int64_t known = 0, taken = 0;
    int64_t *rows = nnclr_alloc((size_t)n, sizeof *rows, e);
    if (!rows)
        return 0;
    for (int64_t i = 0; i < n; i++)
        if (set->record[i] >= 0 && (!chosen || chosen[i]))
            rows[known++] = i;
    if (known == 0 || known > UINT32_MAX) {
        nnclr_fail(e, NNCLR_ERROR_INPUT,
                   known ? "too many rows to draw queries from"
                         : "every row is an initial random one: nothing has been enqueued yet, so "
                           "there is no picture to ask about");
        goto done;
    }
    order = nnclr_alloc((size_t)known, sizeof *order, e);
    if (!order)
        goto done;
    nnclr_permutation(seed, NNCLR_DRAW_SAMPLE, 0, (uint32_t)known, order);
    for (int64_t i = 0; chosen && known <= count && i < known; i++)
        order[i] = (uint32_t)i;
    for (; taken < count && taken < known; taken++)
        query[taken] = rows[order[taken]];
done:
    nnclr_free(order);
    nnclr_free(rows);
    return taken;
}

/* The sampled rows, side by side, and for each the record whose rows are not its neighbours. */
static bool gather(const nnclr_inspection *found, float *rows, int64_t *exclude, nnclr_error *e) {
    const nnclr_row_set *from = found->queries;
    for (int64_t i = 0; i < found->count; i++) {
        exclude[i] = from == found->bank ? from->record[found->query[i]] : -1;
        if (!from->rows.read(&from->rows, found->query[i], 1, rows + i * from->rows.d, e))
            return false;
    }
    return true;
}

bool nnclr_inspect(nnclr_pool *pool, const nnclr_row_set *bank, const nnclr_row_set *queries,
                   const bool *chosen, int64_t count, int k, uint64_t seed,
                   const nnclr_progress *progress, nnclr_inspection *out, nnclr_error *e) {
    const int d = bank->rows.d;
    float *rows = NULL;
    int64_t *exclude = NULL;
    bool ok = false;
    count = nnclr_min(count, queries->rows.n);
    *out = (nnclr_inspection){.bank = bank, .queries = queries, .k = k};
    out->query = nnclr_alloc((size_t)count, sizeof *out->query, e);
    if (!out->query || !(out->count = sample(queries, chosen, count, seed, out->query, e)))
        goto done;
    out->neighbours = nnclr_alloc((size_t)out->count, (size_t)k * sizeof *out->neighbours, e);
    rows = nnclr_alloc((size_t)out->count, (size_t)d * sizeof *rows, e);
    exclude = nnclr_alloc((size_t)out->count, sizeof *exclude, e);
    if (!out->neighbours || !rows || !exclude || !gather(out, rows, exclude, e))
        goto done;
    const nnclr_nearest_options options = {
        .k = k, .bank_record = bank->record, .exclude = exclude, .progress = progress};
    ok = nnclr_nearest(pool, &bank->rows, rows, out->count, &options, out->neighbours, e);
done:
    nnclr_free(exclude);
    nnclr_free(rows);
    if (!ok)
        nnclr_inspection_free(out);
    return ok;
}

void nnclr_inspection_free(nnclr_inspection *found) {
    nnclr_free(found->neighbours);
    nnclr_free(found->query);
    *found = (nnclr_inspection){0};
}
