#include "base/memory.h"
#include "base/numbers.h"
#include "base/threads.h"
#include "image/view_maker.h"
#include "image/views_file.h"
#include "io/tensor_file.h"

enum { VIEWS = NNCLR_VIEWS, CHUNK_BYTES = 1 << 22, CHUNK_MOST = 32, SLOTS_A_THREAD = 2 };

typedef struct work {
    nnclr_shard_set *set;
    const nnclr_views_request *request;
    nnclr_view_maker *makers; /* [threads] */
    size_t row;               /* values of one view */
    size_t chunk;             /* records that one pipeline item makes */
    size_t chunks;            /* of one view of all records */
    float *views;             /* [slots][chunk][row] */
} work;

void nnclr_views_to_bytes(const float *values, size_t count, uint8_t *bytes) {
    for (size_t i = 0; i < count; i++) {
        float x = values[i] < 0 ? 0 : values[i] > 1 ? 1 : values[i];
        bytes[i] = (uint8_t)(x * 255.0f + 0.5f);
    }
}

static size_t chunk_records(const work *w, size_t chunk) {
    size_t left = w->request->count - chunk * w->chunk;
    return nnclr_min(left, w->chunk);
}

/* Items are the chunks of all first views, then those of all second ones, as they are in the
 * file. */
static bool make_chunk(void *context, uint64_t item, int slot, int worker, nnclr_error *e) {
    const work *w = context;
    const nnclr_views_request *request = w->request;
    nnclr_view_maker *maker = &w->makers[worker];
    size_t chunk = (size_t)item % w->chunks;
    bool first = item < w->chunks;
    float *to = w->views + (size_t)slot * w->chunk * w->row;
    for (size_t i = 0; i < chunk_records(w, chunk); i++, to += w->row) {
        nnclr_view_key key = {.seed = request->seed,
                              .record = request->records[chunk * w->chunk + i],
                              .epoch = request->epoch};
        float *const out[VIEWS] = {first ? to : NULL, first ? NULL : to};
        if (!nnclr_view_maker_views(maker, w->set, &request->augment, key, out, e))
            return false;
    }
    return true;
}

static bool put_chunk(const work *w, nnclr_tensor_writer *writer, float *views, size_t count,
                      nnclr_error *e) {
    if (!w->request->bytes)
        return nnclr_tensor_writer_put(writer, views, count * sizeof *views, e);
    uint8_t *bytes = nnclr_alloc(count, 1, e);
    if (bytes)
        nnclr_views_to_bytes(views, count, bytes);
    bool ok = bytes && nnclr_tensor_writer_put(writer, bytes, count, e);
    nnclr_free(bytes);
    return ok;
}

static bool put_views(const work *w, nnclr_tensor_writer *writer, nnclr_pipeline *pipeline,
                      nnclr_error *e) {
    const nnclr_views_request *request = w->request;
    size_t done = 0;
    for (size_t item = 0; item < VIEWS * w->chunks; item++) {
        int slot;
        if (nnclr_pipeline_next(pipeline, &slot, e) != NNCLR_NEXT_ITEM)
            return false;
        size_t records = chunk_records(w, item % w->chunks);
        if (!put_chunk(w, writer, w->views + (size_t)slot * w->chunk * w->row, records * w->row, e))
            return false;
        nnclr_pipeline_release(pipeline);
        done += records;
        if (!nnclr_progress_tell(request->progress, "views", (int64_t)done,
                                 2 * (int64_t)request->count, NULL, e))
            return false;
    }
    return true;
}

/* Record numbers, then labels: the widest elements first, so that all tensors are aligned. */
static bool put_columns(const work *w, nnclr_tensor_writer *writer, nnclr_error *e) {
    const nnclr_views_request *request = w->request;
    int64_t *column = nnclr_alloc(request->count, sizeof *column, e);
    bool ok = column != NULL;
    for (int labels = 0; ok && labels < 2; labels++) {
        for (size_t i = 0; i < request->count; i++) {
            const nnclr_record record = nnclr_shard_set_record(w->set, request->records[i]);
            column[i] = labels ? record.label : (int64_t)request->records[i];
        }
        ok = nnclr_tensor_writer_put(writer, column, request->count * sizeof *column, e);
    }
    nnclr_free(column);
    return ok;
}

static nnclr_tensor_writer *open_writer(const char *path, const work *w, nnclr_error *e) {
    const nnclr_views_request *request = w->request;
    const int64_t n = (int64_t)request->count, size = request->augment.size;
    const nnclr_dtype type = request->bytes ? NNCLR_U8 : NNCLR_F32;
    const nnclr_tensor_info infos[] = {
        {.name = "record", .dtype = NNCLR_I64, .rank = 1, .dims = {n}},
        {.name = "label", .dtype = NNCLR_I64, .rank = 1, .dims = {n}},
        {.name = "view1", .dtype = type, .rank = 4, .dims = {n, size, size, 3}},
        {.name = "view2", .dtype = type, .rank = 4, .dims = {n, size, size, 3}},
    };
    nnclr_json *metadata = nnclr_shard_set_metadata(w->set, request->config, e);
    nnclr_tensor_writer *writer =
        metadata ? nnclr_tensor_writer_open(path, "views", request->program, metadata, infos,
                                            sizeof infos / sizeof *infos, e)
                 : NULL;
    nnclr_json_free(metadata);
    return writer;
}

bool nnclr_views_write(const char *path, nnclr_shard_set *set, const nnclr_views_request *request,
                       nnclr_error *e) {
    const size_t size = (size_t)request->augment.size, threads = (size_t)request->threads;
    const size_t slots = SLOTS_A_THREAD * threads;
    work w = {.set = set, .request = request, .row = 3 * size * size};
    nnclr_pipeline *pipeline = NULL;
    bool ok = false;
    w.chunk = CHUNK_BYTES / (w.row * sizeof(float));
    w.chunk = nnclr_clamp(w.chunk, 1, CHUNK_MOST);
    w.chunks = nnclr_pieces(request->count, w.chunk);
    w.views = nnclr_alloc(slots, w.chunk * w.row * sizeof(float), e);
    w.makers = w.views ? nnclr_alloc_zero(threads, sizeof *w.makers, e) : NULL;
    nnclr_tensor_writer *writer = w.makers ? open_writer(path, &w, e) : NULL;
    if (!writer)
        goto exit;
    ok = put_columns(&w, writer, e) &&
         (pipeline = nnclr_pipeline_start(request->threads, (int)slots, 0, VIEWS * w.chunks,
                                          make_chunk, &w, e)) &&
         put_views(&w, writer, pipeline, e);
    nnclr_pipeline_stop(pipeline);
    if (ok)
        ok = nnclr_tensor_writer_commit(writer, e);
    else
        nnclr_tensor_writer_abandon(writer);

exit:
    for (size_t i = 0; w.makers && i < threads; i++)
        nnclr_view_maker_free(&w.makers[i]);
    nnclr_free(w.makers);
    nnclr_free(w.views);
    return ok;
}
