/* What each operator on rows means: products and linear layers, what losses are made of, the search
 * of the support set and the optimiser's step, by their definitions in double. */
#ifndef NNCLR_TESTS_ENGINE_ROW_OPS_H
#define NNCLR_TESTS_ENGINE_ROW_OPS_H

#include <limits.h>

#include "tests/unit/engine_battery.h"

/* ---- products and linear layers ---- */

/* alpha op(A) op(B) + beta C: op(A) is m x k, op(B) k x n; dense, row-major */
static inline double *product_of(bool ta, bool tb, int m, int n, int k, double alpha,
                                 const double *a, const double *b, double beta, const double *c) {
    double *out = zero_reals((size_t)(m * n));
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int l = 0; l < k; l++)
                sum += a[ta ? l * m + i : i * k + l] * b[tb ? j * k + l : l * n + j];
            out[i * n + j] = alpha * sum + (beta != 0 ? beta * c[i * n + j] : 0);
        }
    return out;
}

/* y = x W^T + b, W [out][in] */
typedef struct linear_problem {
    int rows, in, out;
    bool add, biased;
    double *x, *w, *b, *dy, *dx, *dw, *db; /* the last three: before */
} linear_problem;

static inline void define_linear(const linear_problem *p, results *want) {
    const int rows = p->rows, in = p->in, out = p->out;
    double *y = product_of(false, true, rows, out, in, 1, p->x, p->w, 0, NULL);
    double *db = moved(p->db, p->add - 1.0, p->db, (size_t)out);
    for (int i = 0; i < rows * out; i++) {
        y[i] += p->biased ? p->b[i % out] : 0;
        db[i % out] += p->dy[i];
    }
    add_part(want, "y", y, (size_t)(rows * out), false);
    add_part(want, "dx", product_of(false, false, rows, in, out, 1, p->dy, p->w, p->add, p->dx),
             (size_t)(rows * in), false);
    add_part(want, "dw", product_of(true, false, out, in, rows, 1, p->dy, p->x, p->add, p->dw),
             (size_t)(out * in), false);
    add_part(want, "db", db, (size_t)out, false);
}

/* ---- rows ---- */

/* y = x / max(|x|, 1e-12): a shorter row is divided by a constant. */
static inline void define_l2norm(int rows, int width, const double *x, const double *dy,
                                 const double *before, results *want) {
    const size_t count = (size_t)(rows * width);
    double *y = add_part(want, "y", zero_reals(count), count, false);
    double *norms = add_part(want, "norms", zero_reals((size_t)rows), (size_t)rows, false);
    double *dx = add_part(want, "dx", zero_reals(count), count, false);
    for (int r = 0; r < rows; r++) {
        const double *row = x + r * width, *to = dy + r * width;
        const double norm = sqrt(dot_product(row, row, (size_t)width));
        const double along = norm < 1e-12 ? 0 : dot_product(row, to, (size_t)width) / norm / norm;
        norms[r] = fmax(norm, 1e-12);
        for (int i = r * width; i < (r + 1) * width; i++) {
            y[i] = x[i] / norms[r];
            dx[i] = (dy[i] - x[i] * along) / norms[r] + (before ? before[i] : 0);
        }
    }
}

typedef struct entropy {
    int rows, columns, target, skip;
    double weight;
    bool decoupled;
} entropy;

/* weight * mean over i of logsumexp_j S[i][j] - S[i][i + target], j not i + skip, and if decoupled
 * not i + target either */
static inline double define_entropy(entropy s, const double *logits, double *gradient,
                                    double *correct) {
    double loss = 0;
    *correct = 0;
    for (int i = 0; i < s.rows; i++) {
        const double *row = logits + i * s.columns;
        const int skip = s.skip == INT_MIN ? -1 : i + s.skip, target = i + s.target;
        int best = -1;
        double sum = 0;
        for (int j = 0; j < s.columns; j++) {
            if (j == skip)
                continue;
            if (!s.decoupled || j != target)
                sum += exp(row[j] - row[target]);
            if (best < 0 || row[j] > row[best])
                best = j;
        }
        loss += s.weight * log(sum) / s.rows;
        *correct += best == target;
        for (int j = 0; j < s.columns; j++) {
            const bool out = j == skip || (s.decoupled && j == target);
            gradient[i * s.columns + j] =
                s.weight / s.rows * ((out ? 0 : exp(row[j] - row[target]) / sum) - (j == target));
        }
    }
    return loss;
}

/* ---- search ---- */

typedef struct search_problem {
    int m, d, n, k;
    double *rows, *queries;
    int64_t *records, *exclude; /* exclude NULL: none */
} search_problem;

static inline void free_search(search_problem *p) {
    free(p->rows), free(p->queries), free(p->records), free(p->exclude);
}

static inline double similarity(const search_problem *p, int query, int row) {
    return dot_product(p->queries + query * p->d, p->rows + row * p->d, (size_t)p->d);
}

/* The k rows with the largest product, best first, equal ones by their number; none that has the
 * record to exclude; -1 and 0 if there are no more. */
static inline void define_search(const search_problem *p, results *want) {
    const size_t lists = (size_t)(p->n * p->k);
    double *picks = add_part(want, "picks", zero_reals(lists), lists, false);
    double *scores = add_part(want, "scores", zero_reals(lists), lists, false);
    double *product = zero_reals((size_t)p->m);
    for (int i = 0; i < p->n; i++) {
        for (int row = 0; row < p->m; row++) {
            bool own = p->exclude && p->exclude[i] >= 0 && p->records[row] == p->exclude[i];
            product[row] = own ? -INFINITY : similarity(p, i, row);
        }
        for (int k = i * p->k; k < (i + 1) * p->k; k++) {
            int best = 0;
            for (int row = 1; row < p->m; row++)
                best = product[row] > product[best] ? row : best;
            picks[k] = product[best] > -INFINITY ? best : -1;
            scores[k] = product[best] > -INFINITY ? product[best] : 0;
            product[best] = -INFINITY;
        }
    }
    free(product);
}

/* ---- optimiser ---- */

static inline double norm_of(const double *a, size_t count) {
    return sqrt(dot_product(a, a, count));
}

/* u = g + decay w; v = momentum v + gain u; w -= step v, or nesterov w -= step (gain u + momentum
 * v). LARS sets the gain, of SIMCLR with the rate inside the momentum: SIMCLR, BYOL    trust |w| /
 * |u| LIGHTLY, SOLO   trust |w| / (|g| + decay |w| + 1e-8), SOLO's not above the rate, in rates;
 * without a gradient or weights no decay and a gain of 1 */
static inline void define_update(const nnclr_update_call *call, double *w, double *v,
                                 const double *g) {
    for (size_t k = 0; k < call->segment_count; k++) {
        const nnclr_segment *s = &call->segments[k];
        const double *gradient = g + s->offset;
        double decay = s->decays ? call->weight_decay : 0, gain = 1, step = call->lr;
        double of_w = norm_of(w + s->offset, s->count), of_g = norm_of(gradient, s->count);
        if (call->optimizer == NNCLR_LARS && s->adapts) {
            double *u = moved(gradient, decay, w + s->offset, s->count);
            double of_u = norm_of(u, s->count);
            free(u);
            if (call->lars == NNCLR_LARS_SIMCLR || call->lars == NNCLR_LARS_BYOL)
                gain = of_w > 0 && of_u > 0 ? call->trust * of_w / of_u : 1;
            else if (of_w > 0 && of_g > 0)
                gain = call->trust * of_w / (of_g + decay * of_w + 1e-8);
            else
                decay = 0;
            if (call->lars == NNCLR_LARS_SOLO && of_w > 0 && of_g > 0)
                gain = fmin(gain / call->lr, 1);
        }
        if (call->optimizer == NNCLR_LARS && call->lars == NNCLR_LARS_SIMCLR) {
            gain *= call->lr;
            step = 1;
        }
        for (size_t i = s->offset; i < s->offset + s->count; i++) {
            const double u = gain * (g[i] + decay * w[i]);
            v[i] = call->momentum * v[i] + u;
            w[i] -= step * (call->nesterov ? u + call->momentum * v[i] : v[i]);
        }
    }
}

#endif
