#include "image/loader.h"

#include <pthread.h>

#include "base/memory.h"
#include "base/threads.h"
#include "image/view_maker.h"

enum {
    VIEWS = 2,
    ORDERS = 2, /* epochs whose order is kept: a batch ahead may lie in the next one */
    CHUNK = 32  /* records that one pipeline item makes */
};

typedef struct epoch_order {
    uint32_t *record; /* [count] */
    int64_t epoch;    /* -1: none yet */
} epoch_order;

struct nnclr_loader {
    nnclr_shard_set *set;
    nnclr_loader_options options;
    size_t count;             /* of the set */
    int64_t batches;          /* in an epoch */
    int chunks;               /* in a batch */
    int depth;                /* batches in memory */
    size_t view_floats;       /* of one view of one record */
    float *views;             /* [depth][VIEWS][batch][size][size][3] */
    int64_t *record, *label;  /* [depth][batch] */
    nnclr_view_maker *makers; /* [threads] */
    pthread_mutex_t lock;     /* guards orders */
    epoch_order orders[ORDERS];
    nnclr_pipeline *pipeline;
    int64_t next_step;
    int held;            /* chunks of the batch that the consumer has */
    nnclr_error failure; /* the first: the loader stays failed */
    nnclr_batch batch;
};

/* The order of an epoch, drawn once. Batches in work span at most depth steps, and depth is at most
 * the batches of an epoch plus one, so they lie in two epochs: no producer still reads the order
 * that is replaced. */
static const uint32_t *order_of_epoch(nnclr_loader *loader, int64_t epoch) {
    pthread_mutex_lock(&loader->lock);
    epoch_order *o = &loader->orders[epoch % ORDERS];
    if (o->epoch != epoch) {
        nnclr_permutation(loader->options.seed, NNCLR_DRAW_ORDER, (uint32_t)epoch,
                          (uint32_t)loader->count, o->record);
        o->epoch = epoch;
    }
    pthread_mutex_unlock(&loader->lock);
    return o->record;
}

static bool make_record(nnclr_loader *loader, nnclr_view_maker *maker, uint32_t record,
                        int64_t epoch, float *const to[VIEWS], int64_t *label, nnclr_error *e) {
    const nnclr_augment *augment = &loader->options.augment;
    nnclr_record info;
    nnclr_shard_set_record(loader->set, record, &info);
    *label = info.label;
    nnclr_image image = {0};
    bool ok = nnclr_view_maker_decode(maker, loader->set, record, &image, e);
    for (int view = 0; ok && view < VIEWS; view++) {
        nnclr_view_parameters drawn =
            nnclr_augment_draw(augment, image.width, image.height, loader->options.seed,
                               (uint32_t)epoch, record, view);
        ok = nnclr_augment_apply(augment, &drawn, &image, to[view], &maker->scratch, e);
        if (ok)
            nnclr_normalize(to[view], (int64_t)augment->size * augment->size, augment->mean,
                            augment->std);
    }
    nnclr_image_free(&image);
    return ok;
}

static bool make_chunk(void *context, uint64_t item, int slot, int worker, nnclr_error *e) {
    nnclr_loader *loader = context;
    int64_t step = (int64_t)(item / (uint64_t)loader->chunks), epoch = step / loader->batches;
    size_t batch = (size_t)loader->options.batch, at = (size_t)(slot / loader->chunks);
    int first = (int)(item % (uint64_t)loader->chunks) * CHUNK;
    int last = first + CHUNK < (int)batch ? first + CHUNK : (int)batch;
    const uint32_t *order =
        order_of_epoch(loader, epoch) + (size_t)(step % loader->batches) * batch;
    float *views = loader->views + at * VIEWS * batch * loader->view_floats;
    for (int i = first; i < last; i++) {
        float *to[VIEWS];
        for (size_t view = 0; view < VIEWS; view++)
            to[view] = views + (view * batch + (size_t)i) * loader->view_floats;
        loader->record[at * batch + (size_t)i] = order[i];
        if (!make_record(loader, &loader->makers[worker], order[i], epoch, to,
                         &loader->label[at * batch + (size_t)i], e))
            return false;
    }
    return true;
}

static bool allocate(nnclr_loader *loader, nnclr_error *e) {
    const nnclr_loader_options *options = &loader->options;
    size_t records, floats;
    loader->view_floats = 3 * (size_t)options->augment.size * (size_t)options->augment.size;
    if (!nnclr_size_mul((size_t)loader->depth, (size_t)options->batch, &records) ||
        !nnclr_size_mul(records, VIEWS * loader->view_floats, &floats))
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "batches of %d views of size %d are too large",
                          options->batch, options->augment.size);
    loader->views = nnclr_alloc(floats, sizeof *loader->views, e);
    loader->record = nnclr_alloc(records, sizeof *loader->record, e);
    loader->label = nnclr_alloc(records, sizeof *loader->label, e);
    loader->makers = nnclr_alloc_zero((size_t)options->threads, sizeof *loader->makers, e);
    if (!loader->views || !loader->record || !loader->label || !loader->makers)
        return false;
    for (int i = 0; i < ORDERS; i++) {
        loader->orders[i].epoch = -1;
        loader->orders[i].record = nnclr_alloc(loader->count, sizeof *loader->orders[i].record, e);
        if (!loader->orders[i].record)
            return false;
    }
    return true;
}

nnclr_loader *nnclr_loader_open(nnclr_shard_set *set, const nnclr_loader_options *options,
                                nnclr_error *e) {
    size_t count = nnclr_shard_set_count(set);
    if (options->batch < 1 || (size_t)options->batch > count || count > UINT32_MAX) {
        nnclr_fail(e, NNCLR_ERROR_USAGE, "a batch of %d does not fit a set of %zu records",
                   options->batch, count);
        return NULL;
    }
    nnclr_loader *loader = nnclr_alloc_zero(1, sizeof *loader, e);
    if (!loader)
        return NULL;
    pthread_mutex_init(&loader->lock, NULL);
    loader->set = set;
    loader->options = *options;
    loader->count = count;
    loader->batches = (int64_t)(count / (size_t)options->batch);
    loader->chunks = (options->batch + CHUNK - 1) / CHUNK;
    loader->depth = options->ahead + 1;
    if (loader->depth > loader->batches + 1)
        loader->depth = (int)loader->batches + 1;
    loader->next_step = options->first_step;
    if (!allocate(loader, e))
        goto fail;
    /* Items are numbered from step 0, so that a slot is a fixed place of a fixed batch buffer. */
    uint64_t chunks = (uint64_t)loader->chunks;
    loader->pipeline = nnclr_pipeline_start(
        options->threads, loader->depth * loader->chunks, (uint64_t)options->first_step * chunks,
        (uint64_t)options->steps * chunks, make_chunk, loader, e);
    if (loader->pipeline)
        return loader;
fail:
    nnclr_loader_close(loader);
    return NULL;
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
    size_t at = (size_t)(slot / loader->chunks), batch = (size_t)loader->options.batch;
    loader->batch = (nnclr_batch){
        .views = loader->views + at * VIEWS * batch * loader->view_floats,
        .record = loader->record + at * batch,
        .label = loader->label + at * batch,
        .step = loader->next_step,
        .epoch = (uint32_t)(loader->next_step / loader->batches),
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
    nnclr_free(loader->views);
    pthread_mutex_destroy(&loader->lock);
    nnclr_free(loader);
}
