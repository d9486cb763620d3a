#include "eval/lbfgs.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

enum { HISTORY = 20, TRIALS = 20 };

/* Constants of the weak Wolfe conditions. */
static const double enough_decrease = 1e-4, enough_curvature = 0.9;

typedef struct minimiser {
    nnclr_function function;
    void *context;
    size_t n;
    double *x, *gradient, *direction, *next_x, *next_gradient;
    double value, next_value;
    double *step[HISTORY], *change[HISTORY]; /* of x and gradient, the newest at (count - 1) % H */
    double curvature[HISTORY];               /* step . change */
    int count;
    double *memory;
} minimiser;

static double dot(const double *a, const double *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void add(double *to, double scale, const double *from, size_t n) {
    for (size_t i = 0; i < n; i++)
        to[i] += scale * from[i];
}

static bool allocate(minimiser *m, nnclr_error *e) {
    double **const parts[] = {&m->gradient, &m->direction, &m->next_x, &m->next_gradient};
    const size_t part_count = sizeof parts / sizeof *parts;
    m->memory = nnclr_alloc(m->n, (part_count + 2 * HISTORY) * sizeof *m->memory, e);
    if (!m->memory)
        return false;
    double *place = m->memory;
    for (size_t i = 0; i < part_count; i++, place += m->n)
        *parts[i] = place;
    for (int i = 0; i < HISTORY; i++, place += 2 * m->n) {
        m->step[i] = place;
        m->change[i] = place + m->n;
    }
    return true;
}

/* direction = -H gradient, H being the inverse Hessian as the history knows it. */
static void find_direction(minimiser *m) {
    double alpha[HISTORY];
    const int oldest = m->count > HISTORY ? m->count - HISTORY : 0;
    for (size_t i = 0; i < m->n; i++)
        m->direction[i] = -m->gradient[i];
    for (int i = m->count - 1; i >= oldest; i--) {
        const int at = i % HISTORY;
        alpha[at] = dot(m->step[at], m->direction, m->n) / m->curvature[at];
        add(m->direction, -alpha[at], m->change[at], m->n);
    }
    if (m->count > 0) {
        const int at = (m->count - 1) % HISTORY;
        const double scale = m->curvature[at] / dot(m->change[at], m->change[at], m->n);
        for (size_t i = 0; i < m->n; i++)
            m->direction[i] *= scale;
    }
    for (int i = oldest; i < m->count; i++) {
        const int at = i % HISTORY;
        const double beta = dot(m->change[at], m->direction, m->n) / m->curvature[at];
        add(m->direction, alpha[at] - beta, m->step[at], m->n);
    }
}

/* Finds next_x along the direction; *found is false if there is none. */
static bool search_line(minimiser *m, bool *found, nnclr_error *e) {
    const double slope = dot(m->gradient, m->direction, m->n);
    double low = 0, high = INFINITY, length = 1;
    if (m->count == 0) /* the direction is the gradient, of any length */
        length = 1 / fmax(1, sqrt(-slope));
    *found = false;
    if (!(slope < 0))
        return true;
    for (int trial = 0; trial < TRIALS; trial++) {
        memcpy(m->next_x, m->x, m->n * sizeof *m->x);
        add(m->next_x, length, m->direction, m->n);
        if (!m->function(m->context, m->next_x, &m->next_value, m->next_gradient, e))
            return false;
        if (!(m->next_value <= m->value + enough_decrease * length * slope))
            high = length;
        else if (dot(m->next_gradient, m->direction, m->n) < enough_curvature * slope)
            low = length;
        else {
            *found = true;
            return true;
        }
        length = isfinite(high) ? (low + high) / 2 : 2 * length;
    }
    return true;
}

static void remember(minimiser *m) {
    const int at = m->count % HISTORY;
    for (size_t i = 0; i < m->n; i++) {
        m->step[at][i] = m->next_x[i] - m->x[i];
        m->change[at][i] = m->next_gradient[i] - m->gradient[i];
    }
    m->curvature[at] = dot(m->step[at], m->change[at], m->n);
    m->count += m->curvature[at] > 0;
    memcpy(m->x, m->next_x, m->n * sizeof *m->x);
    memcpy(m->gradient, m->next_gradient, m->n * sizeof *m->gradient);
    m->value = m->next_value;
}

bool nnclr_lbfgs(nnclr_function function, void *context, size_t n, double *x,
                 const nnclr_lbfgs_options *options, nnclr_lbfgs_result *result, nnclr_error *e) {
    minimiser m = {.function = function, .context = context, .n = n, .x = x};
    bool ok = allocate(&m, e) && function(context, x, &m.value, m.gradient, e);
    if (ok && !isfinite(m.value))
        ok = nnclr_fail(e, NNCLR_ERROR_NUMERIC, "the function to minimise is not finite");
    *result = (nnclr_lbfgs_result){0};
    while (ok) {
        bool found;
        result->gradient_norm = sqrt(dot(m.gradient, m.gradient, n));
        if (result->gradient_norm <= options->gradient_norm ||
            result->iterations == options->iterations)
            break;
        find_direction(&m);
        ok = search_line(&m, &found, e);
        if (!ok)
            break;
        if (found) {
            remember(&m);
            result->iterations++;
        } else if (m.count > 0) {
            m.count = 0; /* the history may be misleading: try again along the gradient */
        } else {
            break;
        }
    }
    result->value = m.value;
    nnclr_free(m.memory);
    return ok;
}
