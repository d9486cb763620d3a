#include "image/loader.h"

#include <pthread.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "base/threads.h"
#include "image/epoch_order.h"
#include "image/view_maker.h"

enum {
    VIEWS = NNCLR_VIEWS,
    ORDERS = 2, /* epochs whose order is kept: a batch ahead may be in the next one */
    CHUNK = 32  /* records that one pipeline item makes */
};

typedef struct epoch_order {
    uint32_t *record; /* [count] */
    int64_t epoch;    /* -1: none yet */
} epoch_order;

struct nnclr_loader {
    nnclr_shard_set *set; /* what batches come from: pictures, */
    nnclr_views *given;   /* or views as they are; the other is NULL */
    nnclr_loader_options options;
    size_t count;       /* of records in an epoch */
    int64_t batches;    /* in an epoch */
    int view_count;     /* of each record: VIEWS or 1 */
    int rows;           /* of a batch: those of the slice */
    int chunks;         /* in them */
    int depth;          /* batches in memory */
    size_t view_floats; /* of one view of one record */
    float *views;       /* [depth][view_count][rows][size][size][3] */
    size_t views_bytes;
    int64_t *record, *label;  /* [depth][rows] */
    nnclr_view_maker *makers; /* [threads] */
    pthread_mutex_t lock;     /* guards orders */
    epoch_order orders[ORDERS];
    pthread_mutex_t reading[VIEWS]; /* of the given views */
    nnclr_pipeline *pipeline;
    int64_t next_step;
    int held;            /* chunks of the batch that the consumer has */
    nnclr_error failure; /* the first: the loader stays failed */
    nnclr_batch batch;
};

static bool draw_order(nnclr_loader *loader, uint32_t epoch, uint32_t *out, nnclr_error *e) {
    const nnclr_loader_options *options = &loader->options;
    for (size_t i = 0; options->evaluation && i < loader->count; i++)
        out[i] = (uint32_t)i;
    if (options->evaluation)
        return true;
    if (!options->records)
        return nnclr_epoch_order(loader->set, options->seed, epoch, options->window, out, e);
    nnclr_permutation(options->seed, NNCLR_DRAW_ORDER, epoch, (uint32_t)loader->count, out);
    for (size_t i = 0; i < loader->count; i++)
        out[i] = options->records[out[i]];
    return true;
}

/* The order of an epoch, drawn once; NULL on failure. Batches in work span at most depth steps, and
 * depth is at most the batches of an epoch plus one, so they are in two epochs: no producer still
 * reads the order that is replaced. */
static const uint32_t *order_of_epoch(nnclr_loader *loader, int64_t epoch, nnclr_error *e) {
    bool ok = true;
    pthread_mutex_lock(&loader->lock);
    epoch_order *o = &loader->orders[epoch % ORDERS];
    if (o->epoch != epoch) {
        ok = draw_order(loader, (uint32_t)epoch, o->record, e);
        o->epoch = ok ? epoch : -1;
    }
    pthread_mutex_unlock(&loader->lock);
    return ok ? o->record : NULL;
}

static bool make_evaluation(nnclr_loader *loader, nnclr_view_maker *maker, uint32_t record,
                            float *to, nnclr_error *e) {
    const nnclr_loader_options *o = &loader->options;
    nnclr_image image = {0};
    const bool ok = nnclr_view_maker_decode(maker, loader->set, record, &image, e) &&
                    nnclr_augment_evaluation(o->augment.size, o->stretch, o->augment.filter, &image,
                                             to, &maker->scratch, e);
    nnclr_image_free(&image);
    return ok;
}

static bool make_record(nnclr_loader *loader, nnclr_view_maker *maker, uint32_t record,
                        int64_t epoch, float *const to[VIEWS], int64_t *label, nnclr_error *e) {
    const nnclr_augment *augment = &loader->options.augment;
    *label = nnclr_shard_set_record(loader->set, record).label;
    nnclr_view_key key = {loader->options.seed, record, (uint32_t)epoch};
    if (loader->options.evaluation
            ? !make_evaluation(loader, maker, record, to[0], e)
            : !nnclr_view_maker_views(maker, loader->set, augment, key, to, e))
        return false;
    for (int view = 0; view < loader->view_count; view++)
        nnclr_normalize(to[view], (int64_t)augment->size * augment->size, augment->mean,
                        augment->std);
    return true;
}

/* Where a pipeline item's records belong in a batch, and in memory. */
typedef struct chunk {
    int64_t step, epoch;
    size_t first, n;         /* within the batch */
    float *to[VIEWS];        /* of the first record; NULL: that view is not made */
    int64_t *record, *label; /* the same */
} chunk;

/* Where the slice of a step's batch begins in its epoch. */
static size_t batch_begin(const nnclr_loader *loader, int64_t step) {
    return (size_t)(step % loader->batches) * (size_t)loader->options.batch +
           (size_t)loader->options.slice_first;
}

/* How many records it has. */
static size_t batch_rows(const nnclr_loader *loader, int64_t step) {
    const size_t begin = batch_begin(loader, step);
    return begin < loader->count ? nnclr_min(loader->count - begin, (size_t)loader->rows) : 0;
}

static chunk chunk_of(const nnclr_loader *loader, uint64_t item, int slot) {
    size_t rows = (size_t)loader->rows, at = (size_t)(slot / loader->chunks);
    chunk c = {.step = (int64_t)(item / (uint64_t)loader->chunks),
               .first = (size_t)(item % (uint64_t)loader->chunks) * CHUNK};
    c.epoch = c.step / loader->batches;
    size_t there = batch_rows(loader, c.step);
    c.n = there <= c.first ? 0 : nnclr_min(there - c.first, (size_t)CHUNK);
    size_t views = (size_t)loader->view_count;
    for (size_t view = 0; view < views; view++)
        c.to[view] = loader->views + ((at * views + view) * rows + c.first) * loader->view_floats;
    c.record = loader->record + at * rows + c.first;
    c.label = loader->label + at * rows + c.first;
    return c;
}

/* Records of the batch that are not in the slice, said once: with its first chunk. */
static void pass_over(nnclr_loader *loader, const chunk *c, const uint32_t *order) {
    const size_t batch = (size_t)loader->options.batch, first = (size_t)loader->options.slice_first,
                 begin = batch_begin(loader, c->step) - first;
    for (size_t i = 0; c->first == 0 && i < batch; i++)
        if (i < first || i >= first + (size_t)loader->rows)
            nnclr_shard_set_pass_in_epoch(loader->set, order[begin + i], (uint32_t)c->epoch);
}

static bool make_chunk(void *context, uint64_t item, int slot, int worker, nnclr_error *e) {
    nnclr_loader *loader = context;
    chunk c = chunk_of(loader, item, slot);
    const uint32_t *order = order_of_epoch(loader, c.epoch, e);
    if (!order)
        return false;
    if (loader->options.window > 0)
        pass_over(loader, &c, order);
    for (size_t i = 0; i < c.n; i++) {
        const uint32_t record = order[batch_begin(loader, c.step) + c.first + i];
        float *to[VIEWS];
        for (size_t view = 0; view < VIEWS; view++)
            to[view] = c.to[view] ? c.to[view] + i * loader->view_floats : NULL;
        c.record[i] = record;
        if (!make_record(loader, &loader->makers[worker], record, c.epoch, to, &c.label[i], e))
            return false;
    }
    return true;
}

/* Given views: rows that follow one another in the file. */
static bool read_chunk(void *context, uint64_t item, int slot, int worker, nnclr_error *e) {
    (void)worker;
    nnclr_loader *loader = context;
    const nnclr_augment *augment = &loader->options.augment;
    chunk c = chunk_of(loader, item, slot);
    size_t row = batch_begin(loader, c.step) + c.first;
    memcpy(c.record, nnclr_views_record(loader->given) + row, c.n * sizeof *c.record);
    memcpy(c.label, nnclr_views_label(loader->given) + row, c.n * sizeof *c.label);
    for (int view = 0; view < VIEWS; view++) {
        pthread_mutex_lock(&loader->reading[view]);
        bool ok = nnclr_views_read(loader->given, view, row, c.n, c.to[view], e);
        pthread_mutex_unlock(&loader->reading[view]);
        if (!ok)
            return false;
        nnclr_normalize(c.to[view], (int64_t)c.n * augment->size * augment->size, augment->mean,
                        augment->std);
    }
    return true;
}

static bool allocate(nnclr_loader *loader, nnclr_error *e) {
    const nnclr_loader_options *options = &loader->options;
    size_t records, floats;
    loader->view_floats = 3 * (size_t)options->augment.size * (size_t)options->augment.size;
    if (!nnclr_size_mul((size_t)loader->depth, (size_t)loader->rows, &records) ||
        !nnclr_size_mul(records, (size_t)loader->view_count * loader->view_floats, &floats) ||
        !nnclr_size_mul(floats, sizeof *loader->views, &loader->views_bytes))
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "batches of %d views of size %d are too large",
                          loader->rows, options->augment.size);
    /* As a block: the largest part of a run's memory may be here. */
    loader->views = nnclr_block_alloc(loader->views_bytes, e);
    if (!loader->views)
        return false;
    loader->record = nnclr_alloc(records, sizeof *loader->record, e);
    loader->label = nnclr_alloc(records, sizeof *loader->label, e);
    loader->makers = nnclr_alloc_zero((size_t)options->threads, sizeof *loader->makers, e);
    if (!loader->views || !loader->record || !loader->label || !loader->makers)
        return false;
    for (int i = 0; !loader->given && i < ORDERS; i++) {
        loader->orders[i].epoch = -1;
        loader->orders[i].record = nnclr_alloc(loader->count, sizeof *loader->orders[i].record, e);
        if (!loader->orders[i].record)
            return false;
    }
    return true;
}

static nnclr_loader *open_loader(nnclr_shard_set *set, nnclr_views *given, size_t count,
                                 const nnclr_loader_options *options, nnclr_error *e) {
    if (options->batch < 1 || (size_t)options->batch > count || count > UINT32_MAX) {
        nnclr_fail(e, NNCLR_ERROR_USAGE, "a batch of %d does not fit a set of %zu records",
                   options->batch, count);
        return NULL;
    }
    nnclr_loader *loader = nnclr_alloc_zero(1, sizeof *loader, e);
    if (!loader)
        return NULL;
    pthread_mutex_init(&loader->lock, NULL);
    for (int view = 0; view < VIEWS; view++)
        pthread_mutex_init(&loader->reading[view], NULL);
    loader->set = set;
    loader->given = given;
    loader->options = *options;
    loader->count = count;
    loader->view_count = options->single ? 1 : VIEWS;
    loader->batches = (int64_t)(count / (size_t)options->batch);
    loader->batches += options->single && !options->whole && count % (size_t)options->batch > 0;
    loader->rows = options->slice_count > 0 ? options->slice_count : options->batch;
    loader->chunks = nnclr_pieces(loader->rows, CHUNK);
    loader->depth = options->ahead + 1;
    if (loader->depth > loader->batches + 1)
        loader->depth = (int)loader->batches + 1;
    loader->next_step = options->first_step;
    if (!allocate(loader, e))
        goto fail;
    /* Items are numbered from step 0, so that a slot is a fixed place in a fixed batch buffer. */
    uint64_t chunks = (uint64_t)loader->chunks;
    loader->pipeline = nnclr_pipeline_start(
        options->threads, loader->depth * loader->chunks, (uint64_t)options->first_step * chunks,
        (uint64_t)options->steps * chunks, given ? read_chunk : make_chunk, loader, e);
    if (loader->pipeline)
        return loader;
fail:
    nnclr_loader_close(loader);
    return NULL;
}

nnclr_loader *nnclr_loader_open(nnclr_shard_set *set, const nnclr_loader_options *options,
                                nnclr_error *e) {
    if (options->window > 0 && !nnclr_shard_set_pin(set, e))
        return NULL;
    size_t count = options->records ? options->record_count : nnclr_shard_set_count(set);
    return open_loader(set, NULL, count, options, e);
}

nnclr_loader *nnclr_loader_open_views(nnclr_views *views, const nnclr_loader_options *options,
                                      nnclr_error *e) {
    if (nnclr_views_size(views) == options->augment.size)
        return open_loader(NULL, views, nnclr_views_count(views), options, e);
    nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: the views are %d pixels wide, not %d",
               nnclr_views_path(views), nnclr_views_size(views), options->augment.size);
    return NULL;
}

nnclr_loader *nnclr_loader_open_evaluation(nnclr_shard_set *set, const nnclr_evaluation_options *o,
                                           nnclr_error *e) {
    const size_t count = nnclr_shard_set_count(set);
    /* A batch of the loader is one of each share, this one's a slice of it. */
    const int64_t shares = nnclr_max(o->shares, 1);
    const int rows = (int)nnclr_min((int64_t)count, o->batch),
              batch = (int)nnclr_min((int64_t)count, rows * shares),
              chunks = nnclr_max(nnclr_pieces(rows, CHUNK), 1);
    const nnclr_loader_options options = {
        .augment = {.size = o->size,
                    .filter = o->filter,
                    .mean = {o->mean[0], o->mean[1], o->mean[2]},
                    .std = {o->std[0], o->std[1], o->std[2]}},
        .batch = batch,
        .slice_first = o->share * rows,
        .slice_count = rows,
        .steps = nnclr_pieces((int64_t)count, nnclr_max(batch, 1)),
        .threads = o->threads,
        .ahead = o->ahead + nnclr_pieces(o->threads, chunks), /* so that no thread waits */
        .single = true,
        .evaluation = true,
        .stretch = o->stretch,
    };
    return open_loader(set, NULL, count, &options, e);
}

const nnclr_batch *nnclr_loader_next(nnclr_loader *loader, nnclr_error *e) {
    if (loader->failure.code != NNCLR_OK) {
        *e = loader->failure;
        return NULL;
    }
    for (; loader->held > 0; loader->held--)
        nnclr_pipeline_release(loader->pipeline);
    int slot = 0;
    for (int i = 0; i < loader->chunks; i++) {
        nnclr_next next = nnclr_pipeline_next(loader->pipeline, &slot, e);
        if (next == NNCLR_NEXT_FAILED)
            loader->failure = *e;
        if (next != NNCLR_NEXT_ITEM)
            return NULL;
        loader->held++;
    }
    size_t at = (size_t)(slot / loader->chunks), rows = (size_t)loader->rows;
    loader->batch = (nnclr_batch){
        .views = loader->views + at * (size_t)loader->view_count * rows * loader->view_floats,
        .record = loader->record + at * rows,
        .label = loader->label + at * rows,
        .step = loader->next_step,
        .epoch = (uint32_t)(loader->next_step / loader->batches),
        .n = (int)batch_rows(loader, loader->next_step),
    };
    loader->next_step++;
    return &loader->batch;
}

void nnclr_loader_close(nnclr_loader *loader) {
    if (!loader)
        return;
    nnclr_pipeline_stop(loader->pipeline);
    if (loader->makers)
        for (int i = 0; i < loader->options.threads; i++)
            nnclr_view_maker_free(&loader->makers[i]);
    for (int i = 0; i < ORDERS; i++)
        nnclr_free(loader->orders[i].record);
    nnclr_free(loader->makers);
    nnclr_free(loader->label);
    nnclr_free(loader->record);
    nnclr_block_free(loader->views, loader->views_bytes);
    for (int view = 0; view < VIEWS; view++)
        pthread_mutex_destroy(&loader->reading[view]);
    pthread_mutex_destroy(&loader->lock);
    nnclr_free(loader);
}
