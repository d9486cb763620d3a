#include "eval/tsne.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "base/sorted.h"

enum { CHUNK = 500 }; /* points of a task */

/* ---- affinities ---- */

typedef struct link {
    int other;
    double p;
} link;

typedef struct calibration {
    const nnclr_neighbour *neighbours;
    int n, k;
    double entropy; /* wanted, in nats */
    link *links;    /* [n][k]: p_j|i; .other -1: none */
} calibration;

/* p_j|i of one point for precision `beta`; returns their entropy. */
static double weigh(const nnclr_neighbour *of, int count, double beta, link *links) {
    double sum = 0, spread = 0;
    for (int j = 0; j < count; j++) {
        const double further = 2 * (of[0].cosine - of[j].cosine); /* than the nearest, squared */
        links[j].p = exp(-beta * further);
        sum += links[j].p;
        spread += links[j].p * further;
    }
    for (int j = 0; j < count; j++)
        links[j].p /= sum;
    return log(sum) + beta * spread / sum;
}

/* Bisects the precision; entropy falls as it rises. */
static void calibrate(void *context, int task, int worker) {
    enum { HALVINGS = 100 };
    static const double exact = 1e-7;
    const calibration *c = context;
    (void)worker;
    for (int i = task * CHUNK; i < nnclr_min((task + 1) * CHUNK, c->n); i++) {
        const nnclr_neighbour *of = c->neighbours + (int64_t)i * c->k;
        link *links = c->links + (int64_t)i * c->k;
        double beta = 1, low = 0, high = INFINITY;
        int count = 0;
        for (int j = 0; j < c->k; j++) {
            links[j].other = (int)of[j].row;
            count += of[j].row >= 0;
        }
        for (int t = 0; count > 0 && t < HALVINGS; t++) {
            const double over = weigh(of, count, beta, links) - c->entropy;
            if (fabs(over) < exact)
                break;
            *(over > 0 ? &low : &high) = beta;
            beta = isinf(high) ? 2 * beta : (low + high) / 2;
        }
    }
}

static int by_other(const void *a, const void *b) {
    const link *x = a, *y = b;
    return (x->other > y->other) - (x->other < y->other);
}

/* p_ij = (p_j|i + p_i|j) / 2n. `both` [2 n k]: links in both directions, point by point. */
static void symmetrise(const calibration *c, link *both, nnclr_affinities *out) {
    size_t *const first = out->first, kept = 0;
    double total = 0;
    for (int pass = 0; pass < 2; pass++) { /* first[i + 2] counts, then first[i + 1] is filled */
        for (int64_t at = 0; at < (int64_t)c->n * c->k; at++) {
            const int i = (int)(at / c->k), j = c->links[at].other;
            if (j < 0)
                continue;
            total += pass ? 2 * c->links[at].p : 0;
            if (pass) {
                both[first[i + 1]++] = (link){j, c->links[at].p};
                both[first[j + 1]++] = (link){i, c->links[at].p};
            } else {
                first[i + 2]++;
                first[j + 2]++;
            }
        }
        for (int i = 0; i < c->n && !pass; i++)
            first[i + 2] += first[i + 1];
    }
    for (int i = 0; i < c->n; i++) {
        const size_t begin = first[i], end = first[i + 1];
        first[i] = kept;
        qsort(both + begin, end - begin, sizeof *both, by_other);
        for (size_t at = begin; at < end; at++) {
            const bool again = at > begin && both[at].other == both[at - 1].other;
            out->other[kept - again] = both[at].other;
            out->p[kept - again] = (again ? out->p[kept - 1] : 0) + both[at].p / total;
            kept += !again;
        }
    }
    first[c->n] = kept;
}

bool nnclr_affinities_make(nnclr_pool *pool, const nnclr_neighbour *neighbours, int64_t n, int k,
                           double perplexity, nnclr_affinities *out, nnclr_error *e) {
    const size_t links = (size_t)n * (size_t)k;
    *out = (nnclr_affinities){.n = (int)n};
    if (n > NNCLR_TSNE_MOST)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "a map of %lld points, over the limit of %d",
                          (long long)n, NNCLR_TSNE_MOST);
    calibration c = {neighbours, (int)n, k, log(perplexity),
                     nnclr_alloc_zero(links, sizeof *c.links, e)};
    link *both = nnclr_alloc(2 * links, sizeof *both, e);
    out->first = nnclr_alloc_zero((size_t)n + 2, sizeof *out->first, e);
    out->other = nnclr_alloc(2 * links, sizeof *out->other, e);
    out->p = nnclr_alloc(2 * links, sizeof *out->p, e);
    const bool ok = c.links && both && out->first && out->other && out->p;
    if (ok) {
        nnclr_pool_for(pool, nnclr_pieces((int)n, CHUNK), calibrate, &c);
        symmetrise(&c, both, out);
    } else {
        nnclr_affinities_free(out);
    }
    nnclr_free(both);
    nnclr_free(c.links);
    return ok;
}

void nnclr_affinities_free(nnclr_affinities *affinities) {
    nnclr_free(affinities->p);
    nnclr_free(affinities->other);
    nnclr_free(affinities->first);
    *affinities = (nnclr_affinities){0};
}

/* ---- the tree ---- */

enum { BITS = 21, INDEX_BITS = 20 }; /* of each coordinate in a code, and of a point's number */

/* A square with at least one point. A cell is followed by the cells in it; `next` is the one after
 * these. A leaf has one point, or points that can hardly be told apart. */
typedef struct cell {
    double x, y;      /* mean of its points */
    double side;      /* squared */
    int first, count; /* of its points, in the order of their codes */
    int next;
} cell;

struct nnclr_tsne {
    nnclr_pool *pool;
    const nnclr_affinities *p;
    int64_t *code; /* [n]: bits of both coordinates, in turn, then the point's number; ascending */
    cell *cells;   /* [2 n] */
    int cell_count;
    double extent;                  /* side of the whole */
    double *repulsion, *attraction; /* [n][2] */
    double *sums;                   /* [tasks]: of weights */

    const double *y; /* arguments of the tasks */
    double theta;
};

/* Puts a zero before each of the lower 21 bits. */
static uint64_t spread_bits(uint64_t x) {
    x = (x | x << 16) & 0x0000ffff0000ffffU;
    x = (x | x << 8) & 0x00ff00ff00ff00ffU;
    x = (x | x << 4) & 0x0f0f0f0f0f0f0f0fU;
    x = (x | x << 2) & 0x3333333333333333U;
    return (x | x << 1) & 0x5555555555555555U;
}

static void sort_points(nnclr_tsne *t) {
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (int i = 0; i < 2 * t->p->n; i++) {
        low[i % 2] = fmin(low[i % 2], t->y[i]);
        high[i % 2] = fmax(high[i % 2], t->y[i]);
    }
    t->extent = fmax(fmax(high[0] - low[0], high[1] - low[1]), 1e-300) * (1 + 1e-9);
    const double scale = (double)(1 << BITS) / t->extent;
    for (int i = 0; i < t->p->n; i++) {
        const uint64_t x = (uint64_t)((t->y[2 * i] - low[0]) * scale);
        const uint64_t y = (uint64_t)((t->y[2 * i + 1] - low[1]) * scale);
        t->code[i] = (int64_t)((spread_bits(x) | spread_bits(y) << 1) << INDEX_BITS | (uint64_t)i);
    }
    nnclr_sort(t->code, (size_t)t->p->n);
}

static uint64_t place_of(const nnclr_tsne *t, int at) {
    return (uint64_t)t->code[at] >> INDEX_BITS;
}

static int point_at(const nnclr_tsne *t, int at) {
    return (int)(t->code[at] & ((1 << INDEX_BITS) - 1));
}

/* The cell of the points [first, end) and those in it: four quarters by the highest pair of bits in
 * which their codes differ. A cell with only one quarter is left out, so that there are fewer than
 * 2 n; recursion goes no deeper than BITS. */
static void add_cells(nnclr_tsne *t, int first, int end) {
    cell *const c = &t->cells[t->cell_count++];
    const uint64_t differ = place_of(t, first) ^ place_of(t, end - 1);
    *c = (cell){.first = first, .count = end - first};
    if (differ) {
        const int low = (63 - __builtin_clzll(differ)) / 2 * 2; /* bit of the quarter's number */
        c->side = ldexp(t->extent, low / 2 + 1 - BITS);
        c->side *= c->side;
        for (int from = first, to; from < end; from = to) {
            const cell *in = &t->cells[t->cell_count];
            const uint64_t quarter = place_of(t, from) >> low;
            for (to = from + 1; to < end && place_of(t, to) >> low == quarter;)
                to++;
            add_cells(t, from, to);
            c->x += in->x * in->count;
            c->y += in->y * in->count;
        }
    } else {
        for (int at = first; at < end; at++) {
            c->x += t->y[2 * point_at(t, at)];
            c->y += t->y[2 * point_at(t, at) + 1];
        }
    }
    c->x /= c->count;
    c->y /= c->count;
    c->next = t->cell_count;
}

/* ---- the gradient ---- */

/* Repulsion of point number `at` from all others; returns the sum of its weights. */
static double repel(const nnclr_tsne *t, int at, double force[2]) {
    const double wide = t->theta * t->theta;
    const int i = point_at(t, at);
    const double x = t->y[2 * i], y = t->y[2 * i + 1];
    double fx = 0, fy = 0, sum = 0;
    for (int number = 0; number < t->cell_count;) {
        const cell *c = &t->cells[number];
        const double dx = x - c->x, dy = y - c->y, distance = dx * dx + dy * dy;
        if (c->next > number + 1 && c->side >= wide * distance) {
            number++;
            continue;
        }
        const bool own = at >= c->first && at < c->first + c->count;
        const double q = 1 / (1 + distance), weight = (c->count - own) * q;
        sum += weight;
        fx += weight * q * dx;
        fy += weight * q * dy;
        number = c->next;
    }
    force[0] = fx;
    force[1] = fy;
    return sum;
}

static void attract(const nnclr_tsne *t, int i, double force[2]) {
    const double x = t->y[2 * i], y = t->y[2 * i + 1];
    double fx = 0, fy = 0;
    for (size_t at = t->p->first[i]; at < t->p->first[i + 1]; at++) {
        const double *other = t->y + 2 * (size_t)t->p->other[at];
        const double dx = x - other[0], dy = y - other[1];
        const double pq = t->p->p[at] / (1 + dx * dx + dy * dy);
        fx += pq * dx;
        fy += pq * dy;
    }
    force[0] = fx;
    force[1] = fy;
}

/* The points of a task lie together, and so they visit the same cells. */
static void push_and_pull(void *context, int task, int worker) {
    const nnclr_tsne *t = context;
    double sum = 0;
    (void)worker;
    for (int at = task * CHUNK; at < nnclr_min((task + 1) * CHUNK, t->p->n); at++) {
        const int i = point_at(t, at);
        sum += repel(t, at, t->repulsion + 2 * i);
        attract(t, i, t->attraction + 2 * i);
    }
    t->sums[task] = sum;
}

/* Both forces, of which repulsion is yet to be divided by the sum of all weights: returns that. */
static double compute(nnclr_tsne *t, const double *y, double theta) {
    const int tasks = nnclr_pieces(t->p->n, CHUNK);
    double total = 0;
    t->y = y;
    t->theta = theta;
    t->cell_count = 0;
    sort_points(t);
    add_cells(t, 0, t->p->n);
    nnclr_pool_for(t->pool, tasks, push_and_pull, t);
    for (int i = 0; i < tasks; i++)
        total += t->sums[i];
    return total > 0 ? total : 1; /* a point alone */
}

void nnclr_tsne_gradient(nnclr_tsne *t, const double *y, double exaggeration, double theta,
                         double *gradient) {
    const double total = compute(t, y, theta);
    for (int i = 0; i < 2 * t->p->n; i++)
        gradient[i] = 4 * (exaggeration * t->attraction[i] - t->repulsion[i] / total);
}

double nnclr_tsne_divergence(nnclr_tsne *t, const double *y, double theta) {
    const double total = compute(t, y, theta);
    double sum = 0;
    for (int i = 0; i < t->p->n; i++)
        for (size_t at = t->p->first[i]; at < t->p->first[i + 1]; at++) {
            const double *other = y + 2 * (size_t)t->p->other[at], p = t->p->p[at];
            const double dx = y[2 * i] - other[0], dy = y[2 * i + 1] - other[1];
            sum += p > 0 ? p * log(p * total * (1 + dx * dx + dy * dy)) : 0;
        }
    return sum;
}

nnclr_tsne *nnclr_tsne_create(nnclr_pool *pool, const nnclr_affinities *p, nnclr_error *e) {
    nnclr_tsne *t = nnclr_alloc_zero(1, sizeof *t, e);
    if (!t)
        return NULL;
    t->pool = pool;
    t->p = p;
    t->code = nnclr_alloc((size_t)p->n, sizeof *t->code, e);
    t->cells = nnclr_alloc((size_t)p->n, 2 * sizeof *t->cells, e);
    t->repulsion = nnclr_alloc((size_t)p->n, 2 * sizeof *t->repulsion, e);
    t->attraction = nnclr_alloc((size_t)p->n, 2 * sizeof *t->attraction, e);
    t->sums = nnclr_alloc((size_t)nnclr_pieces(p->n, CHUNK), sizeof *t->sums, e);
    if (t->code && t->cells && t->repulsion && t->attraction && t->sums)
        return t;
    nnclr_tsne_free(t);
    return NULL;
}

void nnclr_tsne_free(nnclr_tsne *t) {
    if (!t)
        return;
    nnclr_free(t->sums);
    nnclr_free(t->attraction);
    nnclr_free(t->repulsion);
    nnclr_free(t->cells);
    nnclr_free(t->code);
    nnclr_free(t);
}

/* ---- descent ---- */

/* Jacobs' gains: a coordinate that keeps its direction goes faster. */
static void move(double *y, double *update, double *gain, const double *gradient, int count,
                 double rate, double momentum) {
    for (int i = 0; i < count; i++) {
        gain[i] = update[i] * gradient[i] < 0 ? gain[i] + 0.2 : fmax(gain[i] * 0.8, 0.01);
        update[i] = momentum * update[i] - rate * gain[i] * gradient[i];
        y[i] += update[i];
    }
}

bool nnclr_tsne_descend(nnclr_tsne *t, double *y, const nnclr_progress *progress, nnclr_error *e) {
    static const double theta = 0.5, exaggeration = 12;
    const int count = 2 * t->p->n;
    const double rate = fmax(t->p->n / exaggeration / 4, 50);
    double *gradient = nnclr_alloc((size_t)count, sizeof *gradient, e);
    double *update = nnclr_alloc_zero((size_t)count, sizeof *update, e);
    double *gain = nnclr_alloc((size_t)count, sizeof *gain, e);
    bool ok = gradient && update && gain;
    for (int i = 0; ok && i < count; i++)
        gain[i] = 1;
    for (int step = 0; ok && step < NNCLR_TSNE_STEPS; step++) {
        const bool early = step < NNCLR_TSNE_EARLY;
        ok = nnclr_progress_tell(progress, "steps of the map", step, NNCLR_TSNE_STEPS, NULL, e);
        if (!ok)
            break;
        nnclr_tsne_gradient(t, y, early ? exaggeration : 1, theta, gradient);
        move(y, update, gain, gradient, count, rate, early ? 0.5 : 0.8);
    }
    nnclr_free(gain);
    nnclr_free(update);
    nnclr_free(gradient);
    return ok;
}
