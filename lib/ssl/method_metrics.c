#include <math.h>
#include <string.h>

#include "base/numbers.h"
#include "ssl/eigenvalues.h"
#include "ssl/method_state.h"
#include "ssl/support_metrics.h"

enum { VIEWS = NNCLR_VIEWS, RANK_ROWS = 1024, FEATURE_ROWS = 512 };

/* ---- what the network makes ---- */

/* Both views' rows of a value, and room for `more` doubles after them; NULL: no memory. */
static double *fetch(nnclr_method *m, const nnclr_tensor *tensor, size_t more, nnclr_error *e) {
    const size_t reals = VIEWS * (size_t)m->n * (size_t)tensor->shape.c;
    m->scratch.size = 0;
    if (!nnclr_buffer_reserve(&m->scratch, (reals + more) * sizeof(double), e))
        return NULL;
    m->engine->table->get(m->engine, tensor->place, reals, NNCLR_F64, (void *)m->scratch.data);
    return (void *)m->scratch.data;
}

/* Mean over the dimensions of their standard deviation over all ranks' rows; room [c]. */
static double deviation(const nnclr_method *m, const double *host, int c, double *room) {
    const int rows = VIEWS * m->n, all = VIEWS * m->all;
    double sum = 0;
    for (int j = 0; j < c; j++) {
        room[j] = 0;
        for (int i = 0; i < rows; i++)
            room[j] += host[(size_t)i * (size_t)c + (size_t)j] / all;
    }
    nnclr_sum_doubles(m->parts.communicator, room, (size_t)c);
    for (int j = 0; j < c; j++) {
        const double mean = room[j];
        room[j] = 0;
        for (int i = 0; i < rows; i++) {
            double distance = host[(size_t)i * (size_t)c + (size_t)j] - mean;
            room[j] += distance * distance;
        }
    }
    nnclr_sum_doubles(m->parts.communicator, room, (size_t)c);
    for (int j = 0; j < c; j++)
        sum += sqrt(room[j] / all);
    return sum / c;
}

static bool measure_prediction(nnclr_method *m, nnclr_method_metrics *metrics, nnclr_error *e) {
    const nnclr_tensor *tensor = nnclr_pass_tensor(m->parts.pass, m->prediction);
    const int c = tensor->shape.c;
    double *rows = fetch(m, tensor, (size_t)c, e);
    if (rows)
        metrics->p_std = deviation(m, rows, c, rows + VIEWS * (size_t)m->n * (size_t)c);
    return rows != NULL;
}

/* The first `each` rows of both views of the batch, of which this rank has some: where those of
 * others belong there are zeros, and the sum is all of them. */
static void take_first(const nnclr_method *m, const double *rows, int each, int c, double *to) {
    const int own = nnclr_method_own_row(m), count = nnclr_clamp(each - own, 0, m->n);
    const size_t row = (size_t)c, part = (size_t)each * row;
    memset(to, 0, VIEWS * part * sizeof *to);
    for (size_t view = 0; view < VIEWS && count > 0; view++)
        memcpy(to + view * part + (size_t)own * row, rows + view * (size_t)m->n * row,
               (size_t)count * row * sizeof *to);
    nnclr_sum_doubles(m->parts.communicator, to, VIEWS * part);
}

static bool measure_features(nnclr_method *m, nnclr_method_metrics *metrics, nnclr_error *e) {
    const nnclr_tensor *tensor = nnclr_pass_tensor(m->parts.pass, m->features);
    const int c = tensor->shape.c, each = nnclr_min(m->all, FEATURE_ROWS / VIEWS);
    const size_t all = VIEWS * (size_t)m->n * (size_t)c, part = VIEWS * (size_t)each * (size_t)c;
    double spread, *rows = fetch(m, tensor, part + nnclr_rank_scratch(VIEWS * each, c), e);
    if (!rows)
        return false;
    metrics->h_std = deviation(m, rows, c, rows + all);
    take_first(m, rows, each, c, rows + all);
    return nnclr_rows_rank(rows + all, VIEWS * each, c, rows + all + part, &metrics->h_rank,
                           &spread, e);
}

/* The share of right rows. Terms of the loss have counted theirs on the way; the others need
 * products of their own. */
static double measure_contrast(nnclr_method *m) {
    void *count_at = nnclr_method_scalar(m, METHOD_CORRECT);
    int terms = 0;
    bool late = false;
    for (int i = 0; i < m->recipe.term_count; i++) {
        const nnclr_term *term = &m->recipe.terms[i];
        terms += term->counted;
        if (!term->counted || m->weight[i] != 0)
            continue;
        if (!late)
            m->engine->table->zero(m->engine, count_at, nnclr_real_bytes(m->engine));
        late = true;
        nnclr_method_add_term(m, term, 0);
    }
    if (late)
        nnclr_average_reals(m->parts.communicator, m->engine, count_at, 1);
    double correct;
    m->engine->table->get(m->engine, count_at, 1, NNCLR_F64, &correct);
    return correct / m->n / terms;
}

/* ---- neighbours ---- */

const int32_t *nnclr_method_picks(nnclr_method *m) {
    const size_t queries = VIEWS * (size_t)m->n;
    if (m->recipe.neighbours == 0)
        return NULL;
    if (!nnclr_method_chooses(m))
        m->engine->table->get_picks(m->engine, m->block[METHOD_PICKS], queries, m->pick);
    return m->pick;
}

/* Picks and cosines of all ranks, view by view; host [views][n][neighbours]: scores. */
static bool gather_picks(nnclr_method *m, double *host, nnclr_error *e) {
    nnclr_communicator *communicator = m->parts.communicator;
    const size_t n = (size_t)m->n, all = (size_t)m->all;
    const int32_t *picks = nnclr_method_picks(m);
    for (size_t i = 0; i < VIEWS * n; i++)
        host[i] = host[i * (size_t)m->recipe.neighbours + (size_t)m->choice[i]];
    for (size_t view = 0; view < VIEWS; view++) {
        nnclr_gather_bytes(communicator, picks + view * n, n * sizeof *picks,
                           m->picked + view * all);
        nnclr_gather_bytes(communicator, host + view * n, n * sizeof *host, m->cosine + view * all);
    }
    return nnclr_communicator_sync(communicator, e); /* otherwise they point nowhere */
}

static bool measure_neighbours(nnclr_method *m, int64_t step, nnclr_method_metrics *metrics,
                               nnclr_error *e) {
    const size_t scores = VIEWS * (size_t)m->n * (size_t)m->recipe.neighbours;
    m->scratch.size = 0;
    if (!nnclr_buffer_reserve(&m->scratch, scores * sizeof(double), e))
        return false;
    double *host = (void *)m->scratch.data;
    m->engine->table->get(m->engine, m->block[METHOD_SCORES], scores, NNCLR_F64, host);
    if (!gather_picks(m, host, e))
        return false;
    memcpy(m->record + m->all, m->record, (size_t)m->all * sizeof *m->record);
    memcpy(m->label + m->all, m->label, (size_t)m->all * sizeof *m->label);
    nnclr_pick_metrics picks;
    if (!nnclr_measure_picks(m->parts.support, VIEWS * m->all, m->picked, m->cosine, m->record,
                             m->label, step, &picks, &m->scratch, e))
        return false;
    metrics->nn_sim = picks.sim;
    metrics->nn_initial = picks.initial;
    metrics->nn_self = picks.self;
    metrics->nn_age = picks.age;
    metrics->nn_distinct = picks.distinct;
    metrics->nn_agree = picks.agree;
    metrics->nn_acc = picks.acc;
    return true;
}

/* ---- all ---- */

const int64_t *nnclr_method_records(const nnclr_method *m) {
    return m->record;
}

static bool measure_support(nnclr_method *m, int64_t step, nnclr_method_metrics *metrics,
                            nnclr_error *e) {
    const nnclr_support_set *support = m->parts.support;
    double chance;
    if (!nnclr_measure_presence(support, m->all, m->record, m->label, &metrics->self_present,
                                &chance, &m->scratch, e) ||
        !nnclr_measure_rank(support, RANK_ROWS, &metrics->z_rank, &metrics->z_spread, &m->scratch,
                            e))
        return false;
    if (m->recipe.neighbours == 0)
        return true;
    metrics->nn_chance = chance;
    return measure_neighbours(m, step, metrics, e);
}

bool nnclr_method_measure(nnclr_method *m, const nnclr_method_batch *batch,
                          nnclr_method_metrics *metrics, nnclr_error *e) {
    *metrics = (nnclr_method_metrics)NNCLR_METHOD_UNDEFINED;
    nnclr_method_gather_records(m, batch);
    metrics->contrast_acc = measure_contrast(m);
    return nnclr_communicator_sync(m->parts.communicator, e) && measure_features(m, metrics, e) &&
           measure_prediction(m, metrics, e) &&
           (!m->parts.support || measure_support(m, batch->step, metrics, e)) &&
           nnclr_communicator_sync(m->parts.communicator, e);
}
