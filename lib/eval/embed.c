#include "eval/embed.h"

#include <math.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "net/execution.h"

enum {
    SMALL_SIDE = 64,
    SMALL_BATCH = 256, /* pictures at a time below SMALL_SIDE */
    LARGE_BATCH = 64,
    BATCHES_AHEAD = 2
};

static int batch_for(int size) {
    return size < SMALL_SIDE ? SMALL_BATCH : LARGE_BATCH;
}

nnclr_evaluation_options nnclr_embed_view(const nnclr_config *config, int threads) {
    const nnclr_augment *augment = &config->augment;
    const int size = config->model.size;
    nnclr_evaluation_options view = {.size = size,
                                     .stretch = nnclr_config_stretches(config),
                                     .filter = augment->filter,
                                     .batch = batch_for(size),
                                     .threads = threads,
                                     .ahead = BATCHES_AHEAD};
    for (int c = 0; c < 3; c++) {
        view.mean[c] = augment->mean[c];
        view.std[c] = augment->std[c];
    }
    return view;
}

/* What turns a batch of views into rows [n][d]. */
typedef struct converter {
    bool (*run)(void *context, const nnclr_batch *batch, float *rows, nnclr_error *e);
    void *context;
    int d;
} converter;

/* The first row that is not finite, or -1. */
static int64_t not_finite(const float *rows, int64_t n, int d) {
    for (int64_t i = 0; i < n * d; i++)
        if (!isfinite(rows[i]))
            return i / d;
    return -1;
}

/* What embeds the pictures of a set, a round of batches at a time: one of each rank. */
typedef struct rounds {
    nnclr_communicator self, *ranks;
    nnclr_shard_set *set;
    nnclr_loader *loader;
    const converter *converter;
    size_t batch_floats; /* rows of a batch */
    float *own, *all;    /* [batch][d], [ranks][batch][d]; the same of one rank */
} rounds;

static bool open_rounds(rounds *r, const nnclr_evaluation_options *view, nnclr_error *e) {
    const size_t ranks = (size_t)r->ranks->ranks;
    nnclr_evaluation_options own = *view;
    own.share = r->ranks->rank;
    own.shares = r->ranks->ranks;
    r->batch_floats = (size_t)view->batch * (size_t)r->converter->d;
    r->loader = nnclr_loader_open_evaluation(r->set, &own, e);
    if (r->loader)
        r->own = nnclr_alloc_zero((size_t)view->batch, (size_t)r->converter->d * sizeof *r->own, e);
    r->all = r->own;
    if (r->own && ranks > 1)
        r->all = nnclr_alloc(ranks, r->batch_floats * sizeof *r->all, e);
    return r->all;
}

static void close_rounds(rounds *r) {
    if (r->all != r->own)
        nnclr_free(r->all);
    nnclr_free(r->own);
    nnclr_loader_close(r->loader);
}

/* This rank's batch of the next round, which is empty if the records end before it. */
static bool make_rows(rounds *r, nnclr_error *e) {
    const nnclr_batch *batch = nnclr_loader_next(r->loader, e);
    if (!batch)
        return false;
    if (batch->n == 0)
        return true;
    if (!r->converter->run(r->converter->context, batch, r->own, e))
        return false;
    const int64_t bad = not_finite(r->own, batch->n, r->converter->d);
    if (bad < 0)
        return true;
    const nnclr_record record = nnclr_shard_set_record(r->set, (size_t)batch->record[bad]);
    return nnclr_fail(e, NNCLR_ERROR_NUMERIC, "the embedding of record %zu (%s) is not finite",
                      (size_t)batch->record[bad], record.name);
}

static bool gather_rows(rounds *r, nnclr_error *e) {
    if (r->ranks->ranks > 1)
        nnclr_gather_bytes(r->ranks, r->own, r->batch_floats * sizeof *r->own, r->all);
    return nnclr_communicator_sync(r->ranks, e);
}

static bool embed(nnclr_shard_set *set, const nnclr_evaluation_options *view, const converter *c,
                  const nnclr_row_sink *sink, nnclr_error *e) {
    rounds r = {.self = nnclr_communicator_self(), .set = set, .converter = c};
    r.ranks = sink->ranks ? sink->ranks : &r.self;
    const int64_t count = (int64_t)nnclr_shard_set_count(set),
                  round = (int64_t)view->batch * r.ranks->ranks;
    nnclr_error own = NNCLR_NO_ERROR; /* of this rank, until all know of it */
    bool ready = open_rounds(&r, view, &own), ok = false;
    for (int64_t first = 0; first < count; first += round) {
        ready = ready && make_rows(&r, &own);
        if (!nnclr_agree(r.ranks, NULL, &own) || !gather_rows(&r, &own))
            goto done;
        /* The batches of a round follow one another, and only the last one can be small. */
        ready = sink->put(sink->context, first, nnclr_min(count - first, round), r.all, &own);
    }
    ok = nnclr_agree(r.ranks, NULL, &own);
done:
    close_rounds(&r);
    if (!ok)
        *e = own;
    return ok;
}

struct nnclr_embedder {
    nnclr_engine *engine;
    nnclr_execution *execution;
    nnclr_evaluation_options view;
    int cut, d;
    double *values; /* [batch][d], as the engine returns them */
};

void nnclr_embedder_pack(nnclr_embedder *embedder) {
    nnclr_execution_pack(embedder->execution);
}

bool nnclr_embedder_rows(nnclr_embedder *embedder, const float *views, int n, float *rows,
                         nnclr_error *e) {
    nnclr_execution_input(embedder->execution, views, n);
    nnclr_execution_forward(embedder->execution, 0, embedder->cut);
    embedder->engine->table->download(embedder->engine,
                                      nnclr_execution_tensor(embedder->execution, embedder->cut),
                                      embedder->values);
    if (!embedder->engine->table->sync(embedder->engine, e))
        return false;
    for (int64_t i = 0; i < (int64_t)n * embedder->d; i++)
        rows[i] = (float)embedder->values[i];
    return true;
}

static bool run_network(void *context, const nnclr_batch *batch, float *rows, nnclr_error *e) {
    return nnclr_embedder_rows(context, batch->views, batch->n, rows, e);
}

nnclr_embedder *nnclr_embedder_create(nnclr_parameters *parameters, int cut,
                                      const nnclr_evaluation_options *view, nnclr_error *e) {
    nnclr_embedder *embedder = nnclr_alloc_zero(1, sizeof *embedder, e);
    if (!embedder)
        return NULL;
    embedder->engine = parameters->engine;
    embedder->view = *view;
    embedder->cut = cut;
    embedder->d = nnclr_network_value(parameters->net, (size_t)cut)->c;
    embedder->execution =
        nnclr_execution_create(parameters, NNCLR_EVALUATION, 1, view->batch, cut, e);
    if (embedder->execution)
        embedder->values =
            nnclr_alloc((size_t)view->batch, (size_t)embedder->d * sizeof *embedder->values, e);
    if (embedder->values)
        return embedder;
    nnclr_embedder_free(embedder);
    return NULL;
}

void nnclr_embedder_free(nnclr_embedder *embedder) {
    if (!embedder)
        return;
    nnclr_free(embedder->values);
    nnclr_execution_free(embedder->execution);
    nnclr_free(embedder);
}

size_t nnclr_embedder_bytes(const nnclr_embedder *embedder) {
    return nnclr_execution_bytes(embedder->execution) +
           (size_t)embedder->view.batch * (size_t)embedder->d * sizeof *embedder->values;
}

bool nnclr_embedder_run(nnclr_embedder *embedder, nnclr_shard_set *set, const nnclr_row_sink *sink,
                        nnclr_error *e) {
    nnclr_embedder_pack(embedder);
    return embed(set, &embedder->view,
                 &(converter){.run = run_network, .context = embedder, .d = embedder->d}, sink, e);
}

bool nnclr_embed_network(nnclr_parameters *parameters, int cut, nnclr_shard_set *set,
                         const nnclr_evaluation_options *view, const nnclr_row_sink *sink,
                         nnclr_error *e) {
    nnclr_embedder *embedder = nnclr_embedder_create(parameters, cut, view, e);
    bool ok = embedder && nnclr_embedder_run(embedder, set, sink, e);
    nnclr_embedder_free(embedder);
    return ok;
}

/* Minus its mean. A picture that is flat except for the resize's rounding becomes zeros, so that it
 * is like flat pictures only. */
static void centre_pixels(const float *view, int d, float *row) {
    static const double flat = 1e-6; /* a step of 8 bits is 4e-3 */
    double sum = 0, most = 0;
    for (int j = 0; j < d; j++)
        sum += view[j];
    for (int j = 0; j < d; j++)
        most = fmax(most, fabs(view[j] - sum / d));
    for (int j = 0; j < d; j++)
        row[j] = most > flat ? (float)(view[j] - sum / d) : 0;
}

static bool run_pixels(void *context, const nnclr_batch *batch, float *rows, nnclr_error *e) {
    (void)e;
    const int d = *(const int *)context;
    for (int i = 0; i < batch->n; i++)
        centre_pixels(batch->views + (size_t)i * (size_t)d, d, rows + (size_t)i * (size_t)d);
    return true;
}

bool nnclr_embed_pixels(nnclr_shard_set *set, int size, nnclr_filter filter, int threads,
                        const nnclr_row_sink *sink, nnclr_error *e) {
    int d = 3 * size * size;
    const nnclr_evaluation_options view = {.size = size,
                                           .stretch = true,
                                           .filter = filter,
                                           .std = {1, 1, 1},
                                           .batch = batch_for(size),
                                           .threads = threads,
                                           .ahead = BATCHES_AHEAD};
    return embed(set, &view, &(converter){.run = run_pixels, .context = &d, .d = d}, sink, e);
}
