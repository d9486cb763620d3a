/* Rows of features: normalisation, losses, gathering, products, blends. Rows are independent;
 * what is summed over rows is summed by pieces of them. */
#include "engine/cpu/cpu.h"

#include <limits.h>
#include <string.h>

static const double shortest = 1e-12;

/* Eight sums side by side, so that the compiler can keep them in vectors; added up in order. */
enum { SIDE = 8 };

static double add_up(const double *sums) {
    double total = 0;
    for (int i = 0; i < SIDE; i++)
        total += sums[i];
    return total;
}

static double multiply(const real *a, const real *b, size_t count) {
    double sums[SIDE] = {0};
    size_t i = 0;
    for (; i + SIDE <= count; i += SIDE)
        for (size_t k = 0; k < SIDE; k++)
            sums[k] += (double)a[i + k] * (double)b[i + k];
    for (size_t k = 0; i < count; i++, k++)
        sums[k] += (double)a[i] * (double)b[i];
    return add_up(sums);
}

static pieces cut_rows(size_t rows, size_t width) {
    return cut(rows, width < 4096 ? 4096 / width : 1, 1);
}

/* ---- L2 normalisation ---- */

typedef struct l2norm_call {
    const real *x, *y_in, *dy; /* forward x; backward y and dy */
    real *out;                 /* y or dx */
    real *norms;
    const real *norms_in;
    size_t width;
    bool add;
    pieces pieces;
} l2norm_call;

static void normalise_piece(void *context, int piece, int worker) {
    (void)worker;
    const l2norm_call *call = context;
    size_t width = call->width, end = piece_end(&call->pieces, piece);
    for (size_t row = piece_begin(&call->pieces, piece); row < end; row++) {
        const real *x = call->x + row * width;
        real *y = call->out + row * width;
        double norm = sqrt(multiply(x, x, width));
        if (norm < shortest)
            norm = shortest;
        call->norms[row] = (real)norm;
        for (size_t i = 0; i < width; i++)
            y[i] = (real)((double)x[i] / norm);
    }
}

void CPU(l2norm_forward)(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y,
                         void *norms) {
    size_t rows = all_rows(x->shape), width = (size_t)x->shape.c;
    l2norm_call call = {.x = x->place,
                        .out = y->place,
                        .norms = norms,
                        .width = width,
                        .pieces = cut_rows(rows, width)};
    nnclr_pool_for(g->pool, call.pieces.count, normalise_piece, &call);
}

/* dx = (dy - y (y dy)) / |x|. A row that was too short was divided by a constant: dx = dy / it. */
static void normalise_back(void *context, int piece, int worker) {
    (void)worker;
    const l2norm_call *call = context;
    size_t width = call->width, end = piece_end(&call->pieces, piece);
    for (size_t row = piece_begin(&call->pieces, piece); row < end; row++) {
        const real *y = call->y_in + row * width, *dy = call->dy + row * width;
        real *dx = call->out + row * width;
        bool constant = call->norms_in[row] <= (real)shortest;
        double along = constant ? 0 : multiply(y, dy, width), norm = (double)call->norms_in[row];
        for (size_t i = 0; i < width; i++) {
            real gradient = (real)(((double)dy[i] - (double)y[i] * along) / norm);
            dx[i] = call->add ? dx[i] + gradient : gradient;
        }
    }
}

void CPU(l2norm_backward)(nnclr_engine *g, const nnclr_tensor *y, const void *norms,
                          const nnclr_tensor *dy, const nnclr_tensor *dx, bool add) {
    size_t rows = all_rows(y->shape), width = (size_t)y->shape.c;
    l2norm_call call = {.y_in = y->place,
                        .dy = dy->place,
                        .out = dx->place,
                        .norms_in = norms,
                        .width = width,
                        .add = add,
                        .pieces = cut_rows(rows, width)};
    nnclr_pool_for(g->pool, call.pieces.count, normalise_back, &call);
}

/* ---- softmax cross-entropy ---- */

typedef struct entropy_call {
    const nnclr_cross_entropy_call *call;
    pieces pieces;
    double loss[MAX_PIECES], correct[MAX_PIECES];
} entropy_call;

/* The first of the largest, except for two columns (-1: none). */
static int largest_column(const real *row, int columns, int skip, int left_out) {
    int best = -1;
    for (int j = 0; j < columns; j++)
        if (j != skip && j != left_out && (best < 0 || row[j] > row[best]))
            best = j;
    return best;
}

/* Turns a row of logits into its gradient; returns its loss. */
static double entropy_row(const nnclr_cross_entropy_call *call, real *row, int target, int skip,
                          bool *correct) {
    const int columns = call->columns, left_out = call->decoupled ? target : -1;
    int best = largest_column(row, columns, skip, -1);
    *correct = best == target;
    if (best == left_out)
        best = largest_column(row, columns, skip, left_out);
    real largest = row[best], aim = row[target] - largest;
    double sum = 0;
    for (int j = 0; j < columns; j++) {
        row[j] = j == skip || j == left_out ? 0 : REAL_EXP(row[j] - largest);
        sum += (double)row[j];
    }
    double scale = call->weight / call->rows;
    real factor = (real)(scale / sum);
    for (int j = 0; j < columns; j++)
        row[j] *= factor;
    row[target] -= (real)scale;
    return log(sum) - (double)aim;
}

static void entropy_piece(void *context, int piece, int worker) {
    (void)worker;
    entropy_call *all = context;
    const nnclr_cross_entropy_call *call = all->call;
    double loss = 0, count = 0;
    size_t end = piece_end(&all->pieces, piece);
    for (size_t i = piece_begin(&all->pieces, piece); i < end; i++) {
        real *row = (real *)call->logits + i * (size_t)call->columns;
        int skip = call->skip == INT_MIN ? -1 : (int)i + call->skip;
        bool correct;
        loss += entropy_row(call, row, (int)i + call->target, skip, &correct);
        count += correct;
    }
    all->loss[piece] = loss;
    all->correct[piece] = count;
}

void CPU(cross_entropy)(nnclr_engine *g, const nnclr_cross_entropy_call *call) {
    entropy_call all = {.call = call,
                        .pieces = cut_rows((size_t)call->rows, (size_t)call->columns)};
    nnclr_pool_for(g->pool, all.pieces.count, entropy_piece, &all);
    double loss = 0, correct = 0;
    for (int i = 0; i < all.pieces.count; i++) {
        loss += all.loss[i];
        correct += all.correct[i];
    }
    real *loss_out = call->loss, *correct_out = call->correct;
    *loss_out = (real)((double)*loss_out + call->weight * loss / call->rows);
    if (correct_out)
        *correct_out = (real)((double)*correct_out + correct);
}

/* ---- decorrelation ---- */

typedef struct decorrelation_call {
    const nnclr_decorrelation_call *call;
    pieces pieces;
    double loss[MAX_PIECES];
} decorrelation_call;

static void decorrelate_piece(void *context, int piece, int worker) {
    (void)worker;
    decorrelation_call *all = context;
    const nnclr_decorrelation_call *call = all->call;
    const size_t d = (size_t)call->d, end = piece_end(&all->pieces, piece);
    const double share = call->weight * call->off_diagonal;
    double loss = 0;
    for (size_t i = piece_begin(&all->pieces, piece); i < end; i++) {
        real *row = (real *)call->matrix + i * d;
        const double missing = 1 - (double)row[i], own = (double)row[i];
        loss += call->weight * missing * missing + share * (multiply(row, row, d) - own * own);
        for (size_t j = 0; j < d; j++)
            row[j] = (real)(2 * share * (double)row[j]);
        row[i] = (real)(-2 * call->weight * missing);
    }
    all->loss[piece] = loss;
}

void CPU(decorrelation)(nnclr_engine *g, const nnclr_decorrelation_call *call) {
    decorrelation_call all = {.call = call, .pieces = cut_rows((size_t)call->d, (size_t)call->d)};
    nnclr_pool_for(g->pool, all.pieces.count, decorrelate_piece, &all);
    double loss = 0;
    for (int i = 0; i < all.pieces.count; i++)
        loss += all.loss[i];
    *(real *)call->loss = (real)((double)*(real *)call->loss + loss);
}

/* ---- gather ---- */

typedef struct gather_call {
    const nnclr_gather_call *call;
    pieces pieces;
} gather_call;

/* y[i] (+)= one row, or a multiple of it. */
static void add_row(real *y, const real *row, const real *weight, size_t width) {
    for (size_t j = 0; j < width; j++)
        y[j] += weight ? *weight * row[j] : row[j];
}

static void gather_piece(void *context, int piece, int worker) {
    (void)worker;
    const gather_call *all = context;
    const nnclr_gather_call *call = all->call;
    const size_t width = (size_t)call->d, k = (size_t)call->k;
    const int32_t *picks = call->picks;
    const real *table = call->table, *weights = call->weights;
    size_t end = piece_end(&all->pieces, piece);
    for (size_t i = piece_begin(&all->pieces, piece); i < end; i++) {
        real *y = (real *)call->y + i * width;
        if (!call->add)
            memset(y, 0, width * sizeof *y);
        for (size_t at = i * k; at < (i + 1) * k; at++)
            if (picks[at] >= 0)
                add_row(y, table + (size_t)picks[at] * width, weights ? &weights[at] : NULL, width);
    }
}

void CPU(gather)(nnclr_engine *g, const nnclr_gather_call *call) {
    gather_call all = {.call = call, .pieces = cut_rows((size_t)call->n, (size_t)call->d)};
    nnclr_pool_for(g->pool, all.pieces.count, gather_piece, &all);
}

/* ---- dot product ---- */

typedef struct dot_call {
    const real *x, *y;
    pieces pieces;
    double partial[MAX_PIECES];
} dot_call;

static void dot_piece(void *context, int piece, int worker) {
    (void)worker;
    dot_call *call = context;
    size_t begin = piece_begin(&call->pieces, piece), end = piece_end(&call->pieces, piece);
    call->partial[piece] = multiply(call->x + begin, call->y + begin, end - begin);
}

void CPU(dot)(nnclr_engine *g, const void *x, const void *y, size_t count, void *out) {
    dot_call call = {.x = x, .y = y, .pieces = cut(count, 16384, SIDE)};
    nnclr_pool_for(g->pool, call.pieces.count, dot_piece, &call);
    double total = 0;
    for (int i = 0; i < call.pieces.count; i++)
        total += call.partial[i];
    *(real *)out = (real)total;
}

/* ---- blend ---- */

typedef struct blend_call {
    real *y;
    const real *x;
    double keep, take;
    pieces pieces;
} blend_call;

static void blend_piece(void *context, int piece, int worker) {
    (void)worker;
    const blend_call *call = context;
    const size_t end = piece_end(&call->pieces, piece);
    for (size_t i = piece_begin(&call->pieces, piece); i < end; i++)
        call->y[i] = (real)(call->keep * (double)call->y[i] + call->take * (double)call->x[i]);
}

void CPU(blend)(nnclr_engine *g, void *y, double keep, const void *x, double take, size_t count) {
    blend_call call = {y, x, keep, take, cut(count, 16384, 1)};
    nnclr_pool_for(g->pool, call.pieces.count, blend_piece, &call);
}
