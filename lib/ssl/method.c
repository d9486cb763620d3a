#include "ssl/method.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "ssl/contrast.h"
#include "ssl/decorrelation.h"
#include "ssl/method_state.h"

enum { VIEWS = NNCLR_VIEWS };

/* ---- memory ---- */

static bool has_both_views(const nnclr_recipe *recipe) {
    bool both = false;
    for (int i = 0; i < recipe->term_count; i++)
        both |= recipe->terms[i].both_views;
    return both;
}

static bool gathers_columns(const nnclr_recipe *recipe) {
    bool gathers = false;
    for (int i = 0; i < recipe->term_count; i++)
        gathers |= recipe->terms[i].formula == NNCLR_BY_SOFTMAX &&
                   recipe->terms[i].columns.side != NNCLR_PREDICTION;
    return gathers;
}

static bool decorrelates(const nnclr_recipe *recipe) {
    bool any = false;
    for (int i = 0; i < recipe->term_count; i++)
        any |= recipe->terms[i].formula == NNCLR_BY_DECORRELATION;
    return any;
}

/* Bytes of each block, on lines of the cache of their own; the sum. */
static size_t size_blocks(const nnclr_recipe *recipe, const nnclr_engine *engine, int n, int ranks,
                          int d, size_t bytes[METHOD_BLOCKS]) {
    const size_t real = nnclr_real_bytes(engine), own = (size_t)n, all = own * (size_t)ranks,
                 row = (size_t)d * real, found = VIEWS * own * (size_t)recipe->neighbours,
                 decorrelated = decorrelates(recipe) ? 1 : 0;
    const size_t needed[METHOD_BLOCKS] = {
        [METHOD_SCALARS] = METHOD_NUMBERS * real,
        [METHOD_CANDIDATES] = VIEWS * all * row,
        [METHOD_GRADIENTS] = VIEWS * all * row,
        [METHOD_POSITIVES] = recipe->neighbours > 0 ? VIEWS * own * row : 0,
        [METHOD_GATHERED] = gathers_columns(recipe) ? all * row : 0,
        [METHOD_LOGITS] = own * (has_both_views(recipe) ? VIEWS : 1) * all * real,
        [METHOD_PICKS] = found * sizeof(int32_t),
        [METHOD_SCORES] = found * real,
        [METHOD_WEIGHTS] = recipe->soft ? found / VIEWS * real : 0,
        [METHOD_STANDARD] = decorrelated * VIEWS * all * row,
        [METHOD_MATRIX] = decorrelated * (size_t)d * row,
        [METHOD_AFFINE] = decorrelated * 4 * row,
        [METHOD_STATISTICS] = decorrelated * nnclr_decorrelation_statistics(engine, d),
    };
    size_t sum = 0;
    for (int i = 0; i < METHOD_BLOCKS; i++)
        sum += bytes[i] = (needed[i] + 63) & ~(size_t)63;
    return sum;
}

size_t nnclr_method_bytes(const nnclr_recipe *recipe, const nnclr_engine *engine, int n, int ranks,
                          int d) {
    size_t bytes[METHOD_BLOCKS];
    return size_blocks(recipe, engine, n, ranks, d, bytes);
}

static bool carve_arena(nnclr_method *m, nnclr_error *e) {
    size_t bytes[METHOD_BLOCKS];
    m->arena_bytes =
        size_blocks(&m->recipe, m->engine, m->n, m->parts.communicator->ranks, m->d, bytes);
    m->arena = m->engine->table->arena_create(m->engine, m->arena_bytes, e);
    unsigned char *next = m->arena;
    for (int i = 0; next && i < METHOD_BLOCKS; next += bytes[i], i++)
        m->block[i] = next;
    return m->arena != NULL;
}

static bool allocate_host(nnclr_method *m, nnclr_error *e) {
    const size_t queries = VIEWS * (size_t)m->n, all = VIEWS * (size_t)m->all;
    return (m->found = nnclr_alloc(queries * (size_t)m->recipe.neighbours, sizeof *m->found, e)) &&
           (m->pick = nnclr_alloc(queries, sizeof *m->pick, e)) &&
           (m->share =
                nnclr_alloc(queries / VIEWS * (size_t)m->recipe.neighbours, sizeof *m->share, e)) &&
           (m->choice = nnclr_alloc_zero(queries, sizeof *m->choice, e)) &&
           (m->record = nnclr_alloc(all, sizeof *m->record, e)) &&
           (m->label = nnclr_alloc(all, sizeof *m->label, e)) &&
           (m->picked = nnclr_alloc(all, sizeof *m->picked, e)) &&
           (m->cosine = nnclr_alloc(all, sizeof *m->cosine, e));
}

static bool find_values(nnclr_method *m, nnclr_error *e) {
    const nnclr_network *net = m->parts.pass->parameters->net;
    m->features = nnclr_network_find(net, "features");
    m->projection = nnclr_network_find(net, "projection");
    m->projection_unit = nnclr_network_find(net, "projection_unit");
    m->prediction = nnclr_network_find(net, "prediction");
    m->prediction_unit = nnclr_network_find(net, "prediction_unit");
    if (m->features < 0 || m->projection < 0 || m->projection_unit < 0)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "the network has no projector to train");
    if (m->prediction_unit < 0) {
        m->prediction = m->projection;
        m->prediction_unit = m->projection_unit;
    }
    m->candidate = decorrelates(&m->recipe) ? m->prediction : m->prediction_unit;
    m->d = nnclr_network_value(net, (size_t)m->projection)->c;
    m->parameter_count = nnclr_network_parameter_count(net);
    return true;
}

/* What standardising leaves standard vectors as: a scale of 1 and no shift. */
static bool fill_affine(nnclr_method *m, nnclr_error *e) {
    if (!decorrelates(&m->recipe))
        return true;
    const size_t d = (size_t)m->d;
    if (!nnclr_buffer_reserve(&m->scratch, d * sizeof(double), e))
        return false;
    double *ones = (void *)m->scratch.data;
    for (size_t i = 0; i < d; i++)
        ones[i] = 1;
    m->engine->table->put(m->engine, m->block[METHOD_AFFINE], d, NNCLR_F64, ones);
    return true;
}

nnclr_method *nnclr_method_create(const nnclr_recipe *recipe, const nnclr_method_parts *parts,
                                  nnclr_error *e) {
    nnclr_method *m = nnclr_alloc_zero(1, sizeof *m, e);
    if (!m)
        return NULL;
    m->recipe = *recipe;
    m->parts = *parts;
    m->engine = parts->pass->parameters->engine;
    m->n = parts->pass->n;
    m->all = parts->communicator->ranks * m->n;
    nnclr_pass_share(parts->pass, parts->communicator);
    if (parts->target)
        nnclr_pass_share(parts->target, parts->communicator);
    if (find_values(m, e) && carve_arena(m, e) && allocate_host(m, e) && fill_affine(m, e))
        return m;
    nnclr_method_free(m);
    return NULL;
}

void nnclr_method_free(nnclr_method *m) {
    if (!m)
        return;
    if (m->arena)
        m->engine->table->arena_free(m->engine, m->arena, m->arena_bytes);
    nnclr_buffer_free(&m->scratch);
    nnclr_free(m->cosine);
    nnclr_free(m->picked);
    nnclr_free(m->label);
    nnclr_free(m->record);
    nnclr_free(m->share);
    nnclr_free(m->choice);
    nnclr_free(m->pick);
    nnclr_free(m->found);
    nnclr_free(m);
}

/* ---- whose rows ---- */

/* Rows from `row` on of a block of rows of d. */
static void *rows_at(const nnclr_method *m, nnclr_method_block block, int row) {
    return nnclr_real_at(m->engine, m->block[block], (size_t)row * (size_t)m->d);
}

/* One view's part of a value of the network, this rank's n rows. */
static void *view_rows(const nnclr_method *m, const nnclr_tensor *rows, int view) {
    return nnclr_real_at(m->engine, rows->place, (size_t)view * (size_t)m->n * (size_t)m->d);
}

static void *unit_projection(const nnclr_method *m, int view) {
    const nnclr_pass *pass = m->parts.target ? m->parts.target : m->parts.pass;
    return view_rows(m, nnclr_pass_tensor(pass, m->projection_unit), view);
}

static const void *own_rows(const nnclr_method *m, nnclr_rows rows) {
    switch (rows.side) {
    case NNCLR_PREDICTION:
        return rows_at(m, METHOD_CANDIDATES, rows.view * m->all + nnclr_method_own_row(m));
    case NNCLR_NEIGHBOUR:
        return rows_at(m, METHOD_POSITIVES, rows.view * m->n);
    case NNCLR_PROJECTION:
        break;
    }
    return unit_projection(m, rows.view);
}

static void gather_rows(const nnclr_method *m, const void *own, void *all) {
    nnclr_gather_reals(m->parts.communicator, m->engine, own, (size_t)m->n * (size_t)m->d, all);
}

/* The predictions of all ranks have been gathered already. */
static const void *columns_of(const nnclr_method *m, const nnclr_term *term) {
    if (term->columns.side == NNCLR_PREDICTION)
        return rows_at(m, METHOD_CANDIDATES, term->both_views ? 0 : term->columns.view * m->all);
    gather_rows(m, own_rows(m, term->columns), m->block[METHOD_GATHERED]);
    return m->block[METHOD_GATHERED];
}

static void *gradient_of(const nnclr_method *m, nnclr_side side, double weight, int row) {
    return side == NNCLR_PREDICTION && weight != 0 ? rows_at(m, METHOD_GRADIENTS, row) : NULL;
}

static void add_softmax(nnclr_method *m, const nnclr_term *term, double weight) {
    const int own = nnclr_method_own_row(m), before_rows = term->rows.view * m->all,
              before_columns = term->columns.view * m->all, both = term->both_views;
    const nnclr_contrast_term call = {
        .n = m->n,
        .d = m->d,
        .rows = own_rows(m, term->rows),
        .columns = columns_of(m, term),
        .column_count = (both ? VIEWS : 1) * m->all,
        .target = own + (both ? before_columns : 0),
        .skip = both ? own + before_rows : INT_MIN,
        .temperature = m->recipe.temperature,
        .weight = weight,
        .decoupled = m->recipe.decoupled,
        .logits = m->block[METHOD_LOGITS],
        .loss = nnclr_method_scalar(m, METHOD_LOSS),
        .correct = term->counted ? nnclr_method_scalar(m, METHOD_CORRECT) : NULL,
        .rows_gradient = gradient_of(m, term->rows.side, weight, before_rows + own),
        .columns_gradient = gradient_of(m, term->columns.side, weight, both ? 0 : before_columns),
    };
    nnclr_contrast(m->engine, &call);
}

/* Row by row, so that no rank needs another's. */
static void add_cosine(nnclr_method *m, const nnclr_term *term, double weight) {
    const nnclr_engine_table *table = m->engine->table;
    const nnclr_rows sides[2] = {term->rows, term->columns};
    const void *vectors[2] = {own_rows(m, sides[0]), own_rows(m, sides[1])};
    const size_t count = (size_t)m->n * (size_t)m->d;
    const double share = -weight / m->n;
    table->dot(m->engine, vectors[0], vectors[1], count, nnclr_method_scalar(m, METHOD_PRODUCT));
    table->blend(m->engine, nnclr_method_scalar(m, METHOD_LOSS), 1,
                 nnclr_method_scalar(m, METHOD_PRODUCT), share, 1);
    for (int i = 0; i < 2; i++) {
        void *gradient =
            gradient_of(m, sides[i].side, weight, sides[i].view * m->all + nnclr_method_own_row(m));
        if (gradient)
            table->blend(m->engine, gradient, 1, vectors[1 - i], share, count);
    }
}

/* Each rank computes the whole of it, of which backward takes its share. */
static void add_decorrelation(nnclr_method *m, const nnclr_term *term, double weight) {
    (void)term;
    const nnclr_decorrelation call = {
        .n = m->all,
        .d = m->d,
        .weight = weight,
        .off_diagonal = m->recipe.off_diagonal,
        .rows = m->block[METHOD_CANDIDATES],
        .gradient = m->block[METHOD_GRADIENTS],
        .loss = nnclr_method_scalar(m, METHOD_LOSS),
        .standard = m->block[METHOD_STANDARD],
        .matrix = m->block[METHOD_MATRIX],
        .affine = m->block[METHOD_AFFINE],
        .statistics = m->block[METHOD_STATISTICS],
    };
    nnclr_decorrelate(m->engine, &call);
}

void nnclr_method_add_term(nnclr_method *m, const nnclr_term *term, double weight) {
    static void (*const add[])(nnclr_method * m, const nnclr_term *term,
                               double weight) = {[NNCLR_BY_SOFTMAX] = add_softmax,
                                                 [NNCLR_BY_COSINE] = add_cosine,
                                                 [NNCLR_BY_DECORRELATION] = add_decorrelation};
    add[term->formula](m, term, weight);
}

/* ---- neighbours ---- */

static int32_t *picks_of(const nnclr_method *m, int view) {
    return (int32_t *)m->block[METHOD_PICKS] +
           (size_t)view * (size_t)m->n * (size_t)m->recipe.neighbours;
}

static void *scores_of(const nnclr_method *m, int view) {
    return nnclr_real_at(m->engine, m->block[METHOD_SCORES],
                         (size_t)view * (size_t)m->n * (size_t)m->recipe.neighbours);
}

/* The rows of the support set nearest to one view's projections. */
static void search(const nnclr_method *m, const nnclr_method_batch *batch, int view) {
    nnclr_support_set_nearest(m->parts.support, unit_projection(m, view), batch->record, m->n,
                              m->recipe.neighbours, m->recipe.exclude_self, picks_of(m, view),
                              scores_of(m, view));
}

bool nnclr_method_chooses(const nnclr_method *m) {
    return m->recipe.neighbours > 1 || m->recipe.soft || m->recipe.agree;
}

/* Picks a random one of the rows found for each query, or the nearest of soft ones; none if all of
 * them are -1. */
static void choose_neighbours(nnclr_method *m, int view, int64_t step) {
    int n = m->n, k = m->recipe.neighbours;
    for (int i = 0; i < n; i++) {
        const int32_t *found = m->found + ((size_t)view * (size_t)n + (size_t)i) * (size_t)k;
        int count = 0, choice = 0;
        while (count < k && found[count] >= 0)
            count++;
        if (count > 1 && !m->recipe.soft) {
            nnclr_rng rng = nnclr_rng_at(m->parts.seed, NNCLR_DRAW_NEIGHBOUR, (uint32_t)step,
                                         (uint64_t)(nnclr_method_own_row(m) + i), (uint32_t)view);
            choice = (int)nnclr_rng_below(&rng, (uint64_t)count);
        }
        m->choice[view * n + i] = choice;
        m->pick[view * n + i] = found[choice];
    }
}

/* Leaves those picks on which the views agree. */
static void keep_agreed(nnclr_method *m) {
    int32_t *first = m->pick, *second = first + m->n;
    for (int i = 0; i < m->n; i++)
        if (!nnclr_same_record(m->parts.support, first[i], second[i]))
            first[i] = second[i] = -1;
}

static void choose(nnclr_method *m, int64_t step) {
    m->engine->table->get_picks(m->engine, m->block[METHOD_PICKS],
                                VIEWS * (size_t)m->n * (size_t)m->recipe.neighbours, m->found);
    for (int view = 0; view < VIEWS; view++)
        choose_neighbours(m, view, step);
    if (m->recipe.agree)
        keep_agreed(m);
}

/* weights = softmax of a query's scores / temperature, over the rows that were found. */
static void weigh_neighbours(nnclr_method *m, int view) {
    const nnclr_engine_table *table = m->engine->table;
    const size_t k = (size_t)m->recipe.neighbours, count = (size_t)m->n * k;
    const int32_t *found = m->found + (size_t)view * count;
    table->get(m->engine, scores_of(m, view), count, NNCLR_F64, m->share);
    for (int i = 0; i < m->n; i++) {
        double *share = m->share + (size_t)i * k, best = share[0], sum = 0;
        const bool counts = m->pick[view * m->n + i] >= 0;
        for (size_t j = 0; j < k; j++) {
            const bool there = counts && found[(size_t)i * k + j] >= 0;
            share[j] = there ? exp((share[j] - best) / m->recipe.temperature) : 0;
            sum += share[j];
        }
        for (size_t j = 0; j < k && sum > 0; j++)
            share[j] /= sum;
    }
    table->put(m->engine, m->block[METHOD_WEIGHTS], count, NNCLR_F64, m->share);
}

/* What was picked for one view becomes its positives: a row, or the direction of a mean; and z^
 * for pictures whose views do not agree. */
static void take_positives(nnclr_method *m, int view) {
    const nnclr_engine_table *table = m->engine->table;
    const int n = m->n, k = m->recipe.neighbours, d = m->d;
    int32_t *picks = picks_of(m, view);
    nnclr_gather_call call = {
        .table = table->search_rows(m->engine, m->parts.support->search),
        .picks = picks,
        .d = d,
        .n = n,
        .k = 1,
        .y = rows_at(m, METHOD_POSITIVES, view * n),
    };
    if (m->recipe.soft) {
        const nnclr_tensor mean = {{1, n, 1, 1, d}, NNCLR_ROWS, call.y};
        weigh_neighbours(m, view);
        call.k = k;
        call.weights = m->block[METHOD_WEIGHTS];
        table->gather(m->engine, &call);
        table->l2norm_forward(m->engine, &mean, &mean, m->block[METHOD_WEIGHTS]);
    } else {
        if (nnclr_method_chooses(m))
            table->put_picks(m->engine, picks, (size_t)n, m->pick + view * n);
        table->gather(m->engine, &call);
    }
    if (!m->recipe.agree)
        return;
    int32_t *own = m->found + (size_t)view * (size_t)n * (size_t)k;
    for (int i = 0; i < n; i++)
        own[i] = m->pick[view * n + i] < 0 ? i : -1;
    table->put_picks(m->engine, picks, (size_t)n, own);
    call.table = unit_projection(m, view);
    call.weights = NULL;
    call.k = 1;
    call.add = true;
    table->gather(m->engine, &call);
}

static void find_neighbours(nnclr_method *m, const nnclr_method_batch *batch) {
    for (int view = 0; view < VIEWS; view++)
        search(m, batch, view);
    if (nnclr_method_chooses(m))
        choose(m, batch->step);
    for (int view = 0; view < VIEWS; view++)
        take_positives(m, view);
}

/* ---- one step ---- */

static void backward(nnclr_method *m, const float *views) {
    nnclr_communicator *communicator = m->parts.communicator;
    const nnclr_tensor *seed = nnclr_pass_seed(m->parts.pass, m->candidate);
    for (int view = 0; view < VIEWS; view++)
        nnclr_gather_reals_backward(communicator, m->engine,
                                    rows_at(m, METHOD_GRADIENTS, view * m->all),
                                    (size_t)m->n * (size_t)m->d, view_rows(m, seed, view));
    nnclr_pass_backward(m->parts.pass, views, m->candidate);
    nnclr_average_reals(communicator, m->engine, m->parts.pass->parameters->gradients,
                        m->parameter_count);
    nnclr_average_reals(communicator, m->engine, m->block[METHOD_SCALARS], METHOD_CORRECT + 1);
}

bool nnclr_method_compute(nnclr_method *m, const nnclr_method_batch *batch, nnclr_error *e) {
    const nnclr_engine_table *table = m->engine->table;
    const size_t real = nnclr_real_bytes(m->engine);
    if (m->parts.target)
        nnclr_pass_forward(m->parts.target, batch->views, m->projection_unit);
    nnclr_pass_forward(m->parts.pass, batch->views, m->prediction_unit);

    table->zero(m->engine, m->block[METHOD_SCALARS], METHOD_NUMBERS * real);
    table->zero(m->engine, m->block[METHOD_GRADIENTS],
                VIEWS * (size_t)m->all * (size_t)m->d * real);
    const nnclr_tensor *compared = nnclr_pass_tensor(m->parts.pass, m->candidate);
    if (m->recipe.neighbours > 0)
        find_neighbours(m, batch);
    for (int view = 0; view < VIEWS; view++)
        gather_rows(m, view_rows(m, compared, view), rows_at(m, METHOD_CANDIDATES, view * m->all));
    for (int i = 0; i < m->recipe.term_count; i++) {
        m->weight[i] = nnclr_term_weight(&m->recipe, &m->recipe.terms[i], batch->step);
        if (m->weight[i] != 0)
            nnclr_method_add_term(m, &m->recipe.terms[i], m->weight[i]);
    }
    backward(m, batch->views);

    const void *gradients = m->parts.pass->parameters->gradients;
    table->dot(m->engine, gradients, gradients, m->parameter_count,
               nnclr_method_scalar(m, METHOD_SQUARED_NORM));
    double numbers[METHOD_NUMBERS];
    table->get(m->engine, m->block[METHOD_SCALARS], METHOD_NUMBERS, NNCLR_F64, numbers);
    m->loss = m->recipe.constant + numbers[METHOD_LOSS];
    m->gradient_norm = sqrt(numbers[METHOD_SQUARED_NORM]);
    return nnclr_communicator_sync(m->parts.communicator, e) && table->sync(m->engine, e);
}

double nnclr_method_loss(const nnclr_method *m) {
    return m->loss;
}

double nnclr_method_gradient_norm(const nnclr_method *m) {
    return m->gradient_norm;
}

void nnclr_method_gather_records(nnclr_method *m, const nnclr_method_batch *batch) {
    const size_t column = (size_t)m->n * sizeof(int64_t);
    nnclr_gather_bytes(m->parts.communicator, batch->record, column, m->record);
    nnclr_gather_bytes(m->parts.communicator, batch->label, column, m->label);
}

bool nnclr_method_enqueue(nnclr_method *m, const nnclr_method_batch *batch, nnclr_error *e) {
    if (m->recipe.enqueued == 0)
        return true;
    nnclr_method_gather_records(m, batch);
    for (int view = 0; view < m->recipe.enqueued; view++) {
        /* The candidates are no longer needed in this step. */
        void *rows = m->block[METHOD_CANDIDATES];
        gather_rows(m, unit_projection(m, view), rows);
        if (!nnclr_support_set_enqueue(m->parts.support, rows, m->all, m->record, m->label,
                                       batch->step, e))
            return false;
    }
    return nnclr_communicator_sync(m->parts.communicator, e);
}
