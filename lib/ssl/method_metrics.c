#include <math.h>
#include <string.h>

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

/* Mean over the dimensions of their standard deviation. */
static double deviation(const double *host, int rows, int c) {
    double sum = 0;
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
    return sum / c;
}

static bool measure_prediction(nnclr_method *m, nnclr_method_metrics *metrics, nnclr_error *e) {
    const nnclr_tensor *tensor = nnclr_pass_tensor(m->parts.pass, m->prediction);
    const double *rows = fetch(m, tensor, 0, e);
    if (rows)
        metrics->p_std = deviation(rows, VIEWS * m->n, tensor->shape.c);
    return rows != NULL;
}

static bool measure_features(nnclr_method *m, nnclr_method_metrics *metrics, nnclr_error *e) {
    const nnclr_tensor *tensor = nnclr_pass_tensor(m->parts.pass, m->features);
    const int c = tensor->shape.c, each = m->n < FEATURE_ROWS / VIEWS ? m->n : FEATURE_ROWS / VIEWS;
    const size_t view = (size_t)m->n * (size_t)c, part = (size_t)each * (size_t)c;
    double spread, *rows = fetch(m, tensor, nnclr_rank_scratch(VIEWS * each, c), e);
    if (!rows)
        return false;
    metrics->h_std = deviation(rows, VIEWS * m->n, c);
    memmove(rows + part, rows + view, part * sizeof *rows);
    return nnclr_rows_rank(rows, VIEWS * each, c, rows + VIEWS * part, &metrics->h_rank, &spread,
                           e);
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

static bool measure_neighbours(nnclr_method *m, const nnclr_method_batch *batch,
                               nnclr_method_metrics *metrics, nnclr_error *e) {
    const int n = m->n, k = m->recipe.neighbours, queries = VIEWS * n;
    const size_t scores = (size_t)queries * (size_t)k;
    m->scratch.size = 0;
    if (!nnclr_buffer_reserve(&m->scratch, scores * sizeof(double), e))
        return false;
    double *host = (void *)m->scratch.data;
    m->engine->table->get(m->engine, m->block[METHOD_SCORES], scores, NNCLR_F64, host);
    for (int i = 0; i < queries; i++) {
        m->cosine[i] = host[(size_t)i * (size_t)k + (size_t)m->choice[i]];
        m->record[i] = batch->record[i % n];
        m->label[i] = batch->label[i % n];
    }
    nnclr_pick_metrics picks;
    if (!nnclr_measure_picks(m->parts.support, queries, nnclr_method_picks(m), m->cosine, m->record,
                             m->label, batch->step, &picks, &m->scratch, e))
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

bool nnclr_method_measure(nnclr_method *m, const nnclr_method_batch *batch,
                          nnclr_method_metrics *metrics, nnclr_error *e) {
    *metrics = (nnclr_method_metrics)NNCLR_METHOD_UNDEFINED;
    const nnclr_support_set *support = m->parts.support;
    double chance;
    metrics->contrast_acc = measure_contrast(m);
    if (!measure_features(m, metrics, e) || !measure_prediction(m, metrics, e))
        return false;
    if (!support)
        return true;
    if (!nnclr_measure_presence(support, m->n, batch->record, batch->label, &metrics->self_present,
                                &chance, &m->scratch, e) ||
        !nnclr_measure_rank(support, RANK_ROWS, &metrics->z_rank, &metrics->z_spread, &m->scratch,
                            e))
        return false;
    if (m->recipe.neighbours == 0)
        return true;
    metrics->nn_chance = chance;
    return measure_neighbours(m, batch, metrics, e);
}
