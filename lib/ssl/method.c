#include "ssl/method.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "ssl/contrast.h"
#include "ssl/support_metrics.h"

enum { VIEWS = 2, RANK_ROWS = 1024 };
enum { LOSS, CORRECT, SQUARED_NORM, UNUSED_LOSS, SCALARS };

struct nnclr_method {
    nnclr_method_options options;
    nnclr_method_parts parts;
    int d, all; /* width of z; rows of one view over all workers */
    size_t parameter_count;
    int features, projection, projection_unit; /* values of the network */
    int prediction, prediction_unit; /* those of the projection if there is no predictor */

    void *arena; /* engine memory: */
    size_t arena_bytes;
    void *scalars;                      /* reals [SCALARS] */
    void *candidates[VIEWS];            /* p^ (simclr: z^) of all workers: [VIEWS][all][d] */
    void *gradients[VIEWS];             /* of the loss with respect to them, likewise */
    void *positives[VIEWS];             /* reals [n][d] */
    void *all_positives;                /* reals [all][d], if columns are used too */
    void *logits;                       /* reals [n][all], for NT-Xent [n][VIEWS * all] */
    void *picks[VIEWS], *scores[VIEWS]; /* int32 and reals [n][neighbours] */

    int32_t *found, *pick;   /* host: [VIEWS][n][neighbours]; the chosen ones, [VIEWS][n] */
    int *choice;             /* which of the neighbours that is, [VIEWS][n] */
    int64_t *record, *label; /* [max(VIEWS * n, all)] */
    double *cosine;          /* [VIEWS][n] */
    nnclr_buffer scratch;
    double loss, gradient_norm;
    int assignments; /* of the views to query and candidate */
};

/* ---- memory ---- */

typedef struct place {
    void **target;
    size_t bytes;
} place;

static size_t rounded(size_t bytes) {
    return (bytes + 63) & ~(size_t)63;
}

static bool carve_arena(nnclr_method *method, nnclr_error *e) {
    const nnclr_method_options *options = &method->options;
    nnclr_engine *engine = method->parts.engine;
    size_t real = nnclr_real_bytes(engine), n = (size_t)method->parts.n;
    size_t all = (size_t)method->all, d = (size_t)method->d, k = (size_t)options->neighbours;
    bool nnclr = options->kind == NNCLR_METHOD_NNCLR;
    bool columns = nnclr && options->loss == NNCLR_LOSS_ROW_COLUMN;
    bool both = !nnclr && options->negatives == NNCLR_NEGATIVES_ALL;
    bool search = nnclr && options->positive == NNCLR_POSITIVE_NN;
    size_t search_rows = search ? n : 0;
    const place places[] = {
        {&method->scalars, SCALARS * real},
        {&method->candidates[0], VIEWS * all * d * real},
        {&method->gradients[0], VIEWS * all * d * real},
        {&method->positives[0], search_rows * d * real},
        {&method->positives[1], search_rows * d * real},
        {&method->all_positives, columns ? all * d * real : 0},
        {&method->logits, n * (both ? VIEWS : 1) * all * real},
        {&method->picks[0], search_rows * k * sizeof(int32_t)},
        {&method->picks[1], search_rows * k * sizeof(int32_t)},
        {&method->scores[0], search_rows * k * real},
        {&method->scores[1], search_rows * k * real},
    };
    enum { PLACES = sizeof places / sizeof *places };
    for (int i = 0; i < PLACES; i++)
        method->arena_bytes += rounded(places[i].bytes);
    method->arena = engine->table->arena_create(engine, method->arena_bytes, e);
    if (!method->arena)
        return false;
    unsigned char *next = method->arena;
    for (int i = 0; i < PLACES; i++) {
        *places[i].target = next;
        next += rounded(places[i].bytes);
    }
    method->candidates[1] = nnclr_real_at(engine, method->candidates[0], all * d);
    method->gradients[1] = nnclr_real_at(engine, method->gradients[0], all * d);
    return true;
}

static bool allocate_host(nnclr_method *method, nnclr_error *e) {
    size_t queries = VIEWS * (size_t)method->parts.n, all = (size_t)method->all;
    size_t longest = queries > all ? queries : all;
    return (method->found = nnclr_alloc(queries * (size_t)method->options.neighbours,
                                        sizeof *method->found, e)) &&
           (method->pick = nnclr_alloc(queries, sizeof *method->pick, e)) &&
           (method->choice = nnclr_alloc(queries, sizeof *method->choice, e)) &&
           (method->record = nnclr_alloc(longest, sizeof *method->record, e)) &&
           (method->label = nnclr_alloc(longest, sizeof *method->label, e)) &&
           (method->cosine = nnclr_alloc(queries, sizeof *method->cosine, e));
}

static bool find_values(nnclr_method *method, nnclr_error *e) {
    const nnclr_network *net = method->parts.pass->parameters->net;
    method->features = nnclr_network_find(net, "features");
    method->projection = nnclr_network_find(net, "projection");
    method->projection_unit = nnclr_network_find(net, "projection_unit");
    method->prediction = nnclr_network_find(net, "prediction");
    method->prediction_unit = nnclr_network_find(net, "prediction_unit");
    if (method->features < 0 || method->projection < 0 || method->projection_unit < 0)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "the network has no projector to train");
    if (method->prediction_unit < 0) {
        method->prediction = method->projection;
        method->prediction_unit = method->projection_unit;
    } else if (method->options.kind == NNCLR_METHOD_SIMCLR) {
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "simclr has no predictor");
    }
    method->d = nnclr_network_value(net, (size_t)method->projection)->c;
    method->parameter_count = nnclr_network_parameter_count(net);
    return true;
}

nnclr_method *nnclr_method_create(const nnclr_method_options *options,
                                  const nnclr_method_parts *parts, nnclr_error *e) {
    nnclr_method *method = nnclr_alloc_zero(1, sizeof *method, e);
    if (!method)
        return NULL;
    method->options = *options;
    method->parts = *parts;
    method->all = parts->communicator->ranks * parts->n;
    method->assignments = options->swap ? VIEWS : 1;
    if (find_values(method, e) && carve_arena(method, e) && allocate_host(method, e))
        return method;
    nnclr_method_free(method);
    return NULL;
}

void nnclr_method_free(nnclr_method *method) {
    if (!method)
        return;
    nnclr_engine *engine = method->parts.engine;
    if (method->arena)
        engine->table->arena_free(engine, method->arena, method->arena_bytes);
    nnclr_buffer_free(&method->scratch);
    nnclr_free(method->cosine);
    nnclr_free(method->label);
    nnclr_free(method->record);
    nnclr_free(method->choice);
    nnclr_free(method->pick);
    nnclr_free(method->found);
    nnclr_free(method);
}

/* ---- one step ---- */

static void *scalar(const nnclr_method *method, int which) {
    return nnclr_real_at(method->parts.engine, method->scalars, (size_t)which);
}

/* One view's part of rows [VIEWS][n][d]. */
static void *view_rows(const nnclr_method *method, const nnclr_tensor *rows, int view) {
    return nnclr_real_at(method->parts.engine, rows->place,
                         (size_t)view * (size_t)method->parts.n * (size_t)method->d);
}

static void *unit_projection(const nnclr_method *method, int view) {
    return view_rows(method, nnclr_pass_tensor(method->parts.pass, method->projection_unit), view);
}

/* Picks a random one of the rows found for each query; none if all of them are -1. */
static void choose_neighbours(nnclr_method *method, int view, int64_t step) {
    int n = method->parts.n, k = method->options.neighbours;
    for (int i = 0; i < n; i++) {
        const int32_t *found = method->found + ((size_t)view * (size_t)n + (size_t)i) * (size_t)k;
        int count = 0, choice = 0;
        while (count < k && found[count] >= 0)
            count++;
        if (count > 1) {
            uint64_t query = (uint64_t)method->parts.communicator->rank * (uint64_t)n + (uint64_t)i;
            nnclr_rng rng = nnclr_rng_at(method->parts.seed, NNCLR_DRAW_NEIGHBOUR, (uint32_t)step,
                                         query, (uint32_t)view);
            choice = (int)nnclr_rng_below(&rng, (uint64_t)count);
        }
        method->choice[view * n + i] = choice;
        method->pick[view * n + i] = found[choice];
    }
}

/* The rows of the support set nearest to one view's projections become its positives. */
static void find_neighbours(nnclr_method *method, const nnclr_method_batch *batch, int view) {
    nnclr_engine *engine = method->parts.engine;
    const nnclr_engine_table *table = engine->table;
    nnclr_search *search = method->parts.support->search;
    const nnclr_exclusion own = {batch->record, method->parts.support->record};
    int n = method->parts.n, k = method->options.neighbours, d = method->d;
    table->search_nearest(engine, search, unit_projection(method, view), n, k,
                          method->options.exclude_self ? &own : NULL, method->picks[view],
                          method->scores[view]);
    table->get_picks(engine, method->picks[view], (size_t)n * (size_t)k,
                     method->found + (size_t)view * (size_t)n * (size_t)k);
    choose_neighbours(method, view, batch->step);

    const void *rows = table->search_rows(engine, search);
    if (k == 1) {
        table->gather(engine, rows, d, method->picks[view], 1, n, method->positives[view]);
        return;
    }
    for (int i = 0; i < n; i++) {
        size_t at = (size_t)i * (size_t)k + (size_t)method->choice[view * n + i];
        table->gather(engine, rows, d, (unsigned char *)method->picks[view] + at * sizeof(int32_t),
                      k, 1, nnclr_real_at(engine, method->positives[view], (size_t)i * (size_t)d));
    }
}

static nnclr_contrast_term plain_term(const nnclr_method *method, double weight) {
    return (nnclr_contrast_term){
        .n = method->parts.n,
        .d = method->d,
        .column_count = method->all,
        .target = method->parts.communicator->rank * method->parts.n,
        .skip = INT_MIN,
        .temperature = method->options.temperature,
        .weight = weight,
        .logits = method->logits,
        .loss = scalar(method, LOSS),
    };
}

/* NN . p^T of one assignment: `view` is the query's, the candidates are the other view's. */
static void add_nnclr_terms(nnclr_method *method, int view) {
    nnclr_engine *engine = method->parts.engine;
    nnclr_communicator *communicator = method->parts.communicator;
    size_t share = (size_t)method->parts.n * (size_t)method->d;
    const void *positives = method->options.positive == NNCLR_POSITIVE_NN
                                ? method->positives[view]
                                : unit_projection(method, view);
    bool columns_too = method->options.loss == NNCLR_LOSS_ROW_COLUMN;
    int other = 1 - view;

    nnclr_contrast_term rows =
        plain_term(method, 1.0 / method->assignments / (columns_too ? 2 : 1));
    rows.rows = positives;
    rows.columns = method->candidates[other];
    rows.columns_gradient = method->gradients[other];
    rows.correct = scalar(method, CORRECT);
    nnclr_contrast(engine, &rows);
    if (!columns_too)
        return;

    /* Down the columns means along the rows of the transpose: this worker's candidates against
     * everyone's positives. */
    communicator->table->all_gather(communicator, engine, positives, share, method->all_positives);
    nnclr_contrast_term columns = plain_term(method, rows.weight);
    size_t own = (size_t)communicator->rank * share;
    columns.rows = nnclr_real_at(engine, method->candidates[other], own);
    columns.columns = method->all_positives;
    columns.rows_gradient = nnclr_real_at(engine, method->gradients[other], own);
    nnclr_contrast(engine, &columns);
}

static bool is_ntxent(const nnclr_method *method) {
    return method->options.kind == NNCLR_METHOD_SIMCLR &&
           method->options.negatives == NNCLR_NEGATIVES_ALL;
}

/* Equation 2 of the paper for one assignment: this worker's rows of the view against the other
 * view's candidates. */
static nnclr_contrast_term simclr_term(const nnclr_method *method, int view, double weight) {
    nnclr_engine *engine = method->parts.engine;
    size_t own =
        (size_t)method->parts.communicator->rank * (size_t)method->parts.n * (size_t)method->d;
    nnclr_contrast_term term = plain_term(method, weight);
    term.rows = nnclr_real_at(engine, method->candidates[view], own);
    term.rows_gradient = nnclr_real_at(engine, method->gradients[view], own);
    term.columns = method->candidates[1 - view];
    term.columns_gradient = method->gradients[1 - view];
    term.correct = scalar(method, CORRECT);
    return term;
}

/* The same, or one view's half of NT-Xent: the candidates are then both views (one after the other
 * in memory), except the row itself. */
static void add_simclr_terms(nnclr_method *method, int view) {
    int other = 1 - view, all = method->all;
    bool both = is_ntxent(method);
    nnclr_contrast_term term = simclr_term(method, view, both ? 0.5 : 1.0 / method->assignments);
    if (both) {
        term.correct = NULL;
        term.skip = term.target + view * all;
        term.target += other * all;
        term.columns = method->candidates[0];
        term.columns_gradient = method->gradients[0];
        term.column_count = VIEWS * all;
    }
    nnclr_contrast(method->parts.engine, &term);
}

static void gather_candidates(nnclr_method *method) {
    nnclr_engine *engine = method->parts.engine;
    nnclr_communicator *communicator = method->parts.communicator;
    const nnclr_tensor *unit = nnclr_pass_tensor(method->parts.pass, method->prediction_unit);
    for (int view = 0; view < VIEWS; view++)
        communicator->table->all_gather(communicator, engine, view_rows(method, unit, view),
                                        (size_t)method->parts.n * (size_t)method->d,
                                        method->candidates[view]);
}

static void backward(nnclr_method *method, const float *views) {
    nnclr_engine *engine = method->parts.engine;
    nnclr_communicator *communicator = method->parts.communicator;
    const nnclr_tensor *seed = nnclr_pass_seed(method->parts.pass, method->prediction_unit);
    for (int view = 0; view < VIEWS; view++)
        communicator->table->all_gather_backward(communicator, engine, method->gradients[view],
                                                 (size_t)method->parts.n * (size_t)method->d,
                                                 view_rows(method, seed, view));
    nnclr_pass_backward(method->parts.pass, views, method->prediction_unit);
    communicator->table->all_reduce_mean(
        communicator, engine, method->parts.pass->parameters->gradients, method->parameter_count);
    communicator->table->all_reduce_mean(communicator, engine, method->scalars, CORRECT + 1);
}

bool nnclr_method_compute(nnclr_method *method, const nnclr_method_batch *batch, nnclr_error *e) {
    nnclr_engine *engine = method->parts.engine;
    const nnclr_engine_table *table = engine->table;
    bool simclr = method->options.kind == NNCLR_METHOD_SIMCLR;
    bool search = !simclr && method->options.positive == NNCLR_POSITIVE_NN;

    nnclr_pass_forward(method->parts.pass, batch->views, method->prediction_unit);

    size_t view_bytes = (size_t)method->all * (size_t)method->d * nnclr_real_bytes(engine);
    table->zero(engine, method->scalars, SCALARS * nnclr_real_bytes(engine));
    for (int view = 0; view < VIEWS; view++) {
        table->zero(engine, method->gradients[view], view_bytes);
        if (search)
            find_neighbours(method, batch, view);
    }
    gather_candidates(method);
    int assignments = is_ntxent(method) ? VIEWS : method->assignments;
    for (int view = 0; view < assignments; view++)
        (simclr ? add_simclr_terms : add_nnclr_terms)(method, view);
    backward(method, batch->views);

    table->squared_norm(engine, method->parts.pass->parameters->gradients, method->parameter_count,
                        scalar(method, SQUARED_NORM));
    double scalars[SCALARS];
    table->get(engine, method->scalars, SCALARS, NNCLR_F64, scalars);
    method->loss = scalars[LOSS];
    method->gradient_norm = sqrt(scalars[SQUARED_NORM]);
    return table->sync(engine, e);
}

double nnclr_method_loss(const nnclr_method *method) {
    return method->loss;
}

double nnclr_method_gradient_norm(const nnclr_method *method) {
    return method->gradient_norm;
}

size_t nnclr_method_bytes(const nnclr_method *method) {
    return method->arena_bytes;
}

const int32_t *nnclr_method_picks(const nnclr_method *method) {
    bool search =
        method->options.kind == NNCLR_METHOD_NNCLR && method->options.positive == NNCLR_POSITIVE_NN;
    return search ? method->pick : NULL;
}

bool nnclr_method_enqueue(nnclr_method *method, const nnclr_method_batch *batch, nnclr_error *e) {
    nnclr_communicator *communicator = method->parts.communicator;
    size_t n = (size_t)method->parts.n;
    if (!method->parts.support || method->options.queue_frozen)
        return true;
    communicator->table->all_gather_int(communicator, batch->record, n, method->record);
    communicator->table->all_gather_int(communicator, batch->label, n, method->label);
    int views = method->options.enqueue == NNCLR_ENQUEUE_BOTH ? VIEWS : 1;
    for (int view = 0; view < views; view++) {
        /* The candidates are no longer needed in this step. */
        communicator->table->all_gather(communicator, method->parts.engine,
                                        unit_projection(method, view), n * (size_t)method->d,
                                        method->candidates[view]);
        if (!nnclr_support_set_enqueue(method->parts.support, method->candidates[view], method->all,
                                       method->record, method->label, batch->step, e))
            return false;
    }
    return true;
}

/* ---- metrics ---- */

/* Mean over the dimensions of the standard deviation over both views' rows of a value. */
static bool measure_deviation(nnclr_method *method, int value, double *out, nnclr_error *e) {
    nnclr_engine *engine = method->parts.engine;
    const nnclr_tensor *tensor = nnclr_pass_tensor(method->parts.pass, value);
    int rows = VIEWS * method->parts.n, c = tensor->shape.c;
    size_t reals = (size_t)rows * (size_t)c;
    method->scratch.size = 0;
    if (!nnclr_buffer_reserve(&method->scratch, reals * sizeof(double), e))
        return false;
    double *host = (void *)method->scratch.data, sum = 0;
    engine->table->get(engine, tensor->place, reals, NNCLR_F64, host);
    for (int j = 0; j < c; j++) {
        double mean = 0, squares = 0;
        for (int i = 0; i < rows; i++)
            mean += host[(size_t)i * (size_t)c + (size_t)j] / rows;
        for (int i = 0; i < rows; i++) {
            double distance = host[(size_t)i * (size_t)c + (size_t)j] - mean;
            squares += distance * distance;
        }
        sum += sqrt(squares / rows);
    }
    *out = sum / c;
    return true;
}

static bool measure_neighbours(nnclr_method *method, const nnclr_method_batch *batch,
                               nnclr_method_metrics *metrics, nnclr_error *e) {
    nnclr_engine *engine = method->parts.engine;
    int n = method->parts.n, k = method->options.neighbours;
    size_t scores = (size_t)n * (size_t)k;
    method->scratch.size = 0;
    if (!nnclr_buffer_reserve(&method->scratch, scores * sizeof(double), e))
        return false;
    double *host = (void *)method->scratch.data;
    for (int view = 0; view < VIEWS; view++) {
        engine->table->get(engine, method->scores[view], scores, NNCLR_F64, host);
        for (int i = 0; i < n; i++)
            method->cosine[view * n + i] = host[i * k + method->choice[view * n + i]];
        memcpy(method->record + view * n, batch->record, (size_t)n * sizeof *batch->record);
        memcpy(method->label + view * n, batch->label, (size_t)n * sizeof *batch->label);
    }
    nnclr_pick_metrics picks;
    if (!nnclr_measure_picks(method->parts.support, VIEWS * n, method->pick, method->cosine,
                             method->record, method->label, batch->step, &picks, &method->scratch,
                             e))
        return false;
    metrics->nn_sim = picks.sim;
    metrics->nn_initial = picks.initial;
    metrics->nn_self = picks.self;
    metrics->nn_age = picks.age;
    metrics->nn_distinct = picks.distinct;
    metrics->nn_acc = picks.acc;
    return true;
}

/* contrast_acc compares with the opposite view's candidates only. If the loss does so too, it has
 * counted on the way; NT-Xent has other candidates, so this needs products of its own. */
static double count_correct(nnclr_method *method) {
    nnclr_engine *engine = method->parts.engine;
    nnclr_communicator *communicator = method->parts.communicator;
    void *count_at = scalar(method, CORRECT);
    double correct;
    if (is_ntxent(method)) {
        engine->table->zero(engine, count_at, nnclr_real_bytes(engine));
        for (int view = 0; view < VIEWS; view++) {
            nnclr_contrast_term count = simclr_term(method, view, 0);
            count.loss = scalar(method, UNUSED_LOSS);
            count.rows_gradient = count.columns_gradient = NULL;
            nnclr_contrast(engine, &count);
        }
        communicator->table->all_reduce_mean(communicator, engine, count_at, 1);
    }
    engine->table->get(engine, count_at, 1, NNCLR_F64, &correct);
    return correct;
}

bool nnclr_method_measure(nnclr_method *method, const nnclr_method_batch *batch,
                          nnclr_method_metrics *metrics, nnclr_error *e) {
    *metrics =
        (nnclr_method_metrics){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    const nnclr_support_set *support = method->parts.support;
    int n = method->parts.n;
    metrics->contrast_acc =
        count_correct(method) / n / (is_ntxent(method) ? VIEWS : method->assignments);
    if (!measure_deviation(method, method->features, &metrics->h_std, e) ||
        !measure_deviation(method, method->prediction, &metrics->p_std, e))
        return false;
    if (!support)
        return true;
    if (!nnclr_measure_presence(support, n, batch->record, batch->label, &metrics->self_present,
                                &metrics->nn_chance, &method->scratch, e) ||
        !nnclr_measure_rank(support, RANK_ROWS, &metrics->z_rank, &metrics->z_spread,
                            &method->scratch, e))
        return false;
    if (method->options.positive == NNCLR_POSITIVE_NN)
        return measure_neighbours(method, batch, metrics, e);
    metrics->nn_chance = NAN;
    return true;
}
