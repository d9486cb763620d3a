#include "base/memory.h"
#include "base/numbers.h"
#include "base/threads.h"
#include "image/loader.h"
#include "image/view_maker.h"

struct nnclr_evaluation_loader {
    nnclr_shard_set *set;
    nnclr_evaluation_options options;
    size_t count, view_floats;
    float *views;             /* [depth][batch][size][size][3] */
    nnclr_view_maker *makers; /* [threads] */
    nnclr_pipeline *pipeline;
    bool held;
    size_t next;
    nnclr_error failure; /* the first: the loader stays failed */
    nnclr_evaluation_batch batch;
};

/* An item is a batch: they are all alike, and there are many. */
static bool make_batch(void *context, uint64_t item, int slot, int worker, nnclr_error *e) {
    nnclr_evaluation_loader *loader = context;
    const nnclr_evaluation_options *options = &loader->options;
    nnclr_view_maker *maker = &loader->makers[worker];
    size_t batch = (size_t)options->batch, first = (size_t)item * batch;
    size_t last = first + batch < loader->count ? first + batch : loader->count;
    float *to = loader->views + (size_t)slot * batch * loader->view_floats;
    for (size_t record = first; record < last; record++, to += loader->view_floats) {
        nnclr_image image = {0};
        bool ok = nnclr_view_maker_decode(maker, loader->set, record, &image, e) &&
                  nnclr_augment_evaluation(options->size, options->stretch, options->filter, &image,
                                           to, &maker->scratch, e);
        nnclr_image_free(&image);
        if (!ok)
            return false;
        nnclr_normalize(to, (int64_t)options->size * options->size, options->mean, options->std);
    }
    return true;
}

nnclr_evaluation_loader *nnclr_evaluation_open(nnclr_shard_set *set,
                                               const nnclr_evaluation_options *options,
                                               nnclr_error *e) {
    if (options->batch < 1) {
        nnclr_fail(e, NNCLR_ERROR_USAGE, "a batch of %d pictures cannot be made", options->batch);
        return NULL;
    }
    nnclr_evaluation_loader *loader = nnclr_alloc_zero(1, sizeof *loader, e);
    if (!loader)
        return NULL;
    int depth = options->ahead + options->threads;
    size_t batch = (size_t)options->batch, floats;
    loader->set = set;
    loader->options = *options;
    loader->count = nnclr_shard_set_count(set);
    loader->view_floats = 3 * (size_t)options->size * (size_t)options->size;
    if (!nnclr_size_mul((size_t)depth * batch, loader->view_floats, &floats)) {
        nnclr_fail(e, NNCLR_ERROR_LIMIT, "batches of %d pictures of size %d are too large",
                   options->batch, options->size);
        goto fail;
    }
    loader->views = nnclr_alloc(floats, sizeof *loader->views, e);
    loader->makers = nnclr_alloc_zero((size_t)options->threads, sizeof *loader->makers, e);
    if (!loader->views || !loader->makers)
        goto fail;
    loader->pipeline = nnclr_pipeline_start(
        options->threads, depth, 0, nnclr_pieces(loader->count, batch), make_batch, loader, e);
    if (loader->pipeline)
        return loader;
fail:
    nnclr_evaluation_close(loader);
    return NULL;
}

const nnclr_evaluation_batch *nnclr_evaluation_next(nnclr_evaluation_loader *loader,
                                                    nnclr_error *e) {
    if (loader->failure.code != NNCLR_OK) {
        *e = loader->failure;
        return NULL;
    }
    if (loader->held)
        nnclr_pipeline_release(loader->pipeline);
    loader->held = false;
    int slot;
    nnclr_next next = nnclr_pipeline_next(loader->pipeline, &slot, e);
    if (next == NNCLR_NEXT_FAILED)
        loader->failure = *e;
    if (next != NNCLR_NEXT_ITEM)
        return NULL;
    loader->held = true;
    size_t batch = (size_t)loader->options.batch, left = loader->count - loader->next;
    loader->batch = (nnclr_evaluation_batch){
        .views = loader->views + (size_t)slot * batch * loader->view_floats,
        .n = (int)nnclr_min(left, batch),
        .first = loader->next,
    };
    loader->next += (size_t)loader->batch.n;
    return &loader->batch;
}

void nnclr_evaluation_close(nnclr_evaluation_loader *loader) {
    if (!loader)
        return;
    nnclr_pipeline_stop(loader->pipeline);
    if (loader->makers)
        for (int i = 0; i < loader->options.threads; i++)
            nnclr_view_maker_free(&loader->makers[i]);
    nnclr_free(loader->makers);
    nnclr_free(loader->views);
    nnclr_free(loader);
}
