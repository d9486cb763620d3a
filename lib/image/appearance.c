#include "image/appearance.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "image/loader.h"

enum {
    SIDE = NNCLR_APPEARANCE_SIDE,
    CELLS = 8, /* a side */
    DIRECTIONS = 8,
    STEP = SIDE / CELLS,
    COEFFICIENTS = NNCLR_APPEARANCE_COEFFICIENTS,
    KEPT = NNCLR_APPEARANCE,
    SAMPLE = 10000,
    BATCH = 256,
    BATCHES_AHEAD = 2
};

/* ---- one picture ---- */

/* That of the channel in which it is steepest. */
static void gradient_at(const float *picture, int y, int x, float *down, float *across) {
    const float *above = picture + 3 * (nnclr_max(y - 1, 0) * SIDE + x),
                *below = picture + 3 * (nnclr_min(y + 1, SIDE - 1) * SIDE + x),
                *left = picture + 3 * (y * SIDE + nnclr_max(x - 1, 0)),
                *right = picture + 3 * (y * SIDE + nnclr_min(x + 1, SIDE - 1));
    float most = -1;
    for (int c = 0; c < 3; c++) {
        const float v = below[c] - above[c], h = right[c] - left[c], square = v * v + h * h;
        if (square > most) {
            most = square;
            *down = v;
            *across = h;
        }
    }
}

/* To the cells whose windows hold the pixel: these are twice as wide as cells are apart. */
static void vote(float *histograms, int y, int x, int direction, float amount) {
    const int last_y = (y + STEP / 2) / STEP, last_x = (x + STEP / 2) / STEP;
    for (int cy = nnclr_max(last_y - 1, 0); cy <= nnclr_min(last_y, CELLS - 1); cy++)
        for (int cx = nnclr_max(last_x - 1, 0); cx <= nnclr_min(last_x, CELLS - 1); cx++)
            histograms[(direction * CELLS + cy) * CELLS + cx] += amount;
}

/* Between the two nearest directions, in proportion. */
static void gather_directions(const float *picture, float *histograms) {
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            float down = 0, across = 0;
            gradient_at(picture, y, x, &down, &across);
            const float length = sqrtf(down * down + across * across);
            if (length == 0)
                continue;
            const double turn = atan2(down, across) / (2 * M_PI),
                         place = (turn - floor(turn)) * DIRECTIONS;
            const int first = (int)place % DIRECTIONS;
            const float beyond = (float)(place - floor(place));
            vote(histograms, y, x, first, length * (1 - beyond));
            vote(histograms, y, x, (first + 1) % DIRECTIONS, length * beyond);
        }
}

static void normalise_roots(float *histograms) {
    double squares = 0;
    for (int i = 0; i < COEFFICIENTS; i++)
        squares += (double)histograms[i] * histograms[i];
    const double scale = squares > 0 ? 1 / sqrt(squares) : 0;
    for (int i = 0; i < COEFFICIENTS; i++)
        histograms[i] = (float)sqrt(histograms[i] * scale);
}

/* Orthonormal, 8 to 8: of a line of cells, and of the directions all around. */
static void make_cosines(double basis[8][8]) {
    for (int k = 0; k < 8; k++)
        for (int i = 0; i < 8; i++)
            basis[k][i] = cos(M_PI * (2 * i + 1) * k / 16) * sqrt(k == 0 ? 1. / 8 : 2. / 8);
}

static void make_waves(double basis[8][8]) {
    for (int k = 0; k < 8; k++)
        for (int i = 0; i < 8; i++) {
            const double angle = 2 * M_PI * ((k + 1) / 2) * i / 8;
            basis[k][i] = (k % 2 == 0 && k > 0 ? sin(angle) : cos(angle)) *
                          sqrt(k == 0 || k == 7 ? 1. / 8 : 2. / 8);
        }
}

/* Along one of the three axes, whose numbers are `step` apart. */
static void transform(const double basis[8][8], int step, float *numbers) {
    for (int first = 0; first < COEFFICIENTS; first++) {
        if (first / step % 8 != 0)
            continue;
        double sum[8];
        for (int k = 0; k < 8; k++) {
            sum[k] = 0;
            for (int i = 0; i < 8; i++)
                sum[k] += basis[k][i] * numbers[first + i * step];
        }
        for (int k = 0; k < 8; k++)
            numbers[first + k * step] = (float)sum[k];
    }
}

void nnclr_appearance_coefficients(const float *picture, float coefficients[COEFFICIENTS]) {
    double cosines[8][8], waves[8][8];
    make_cosines(cosines);
    make_waves(waves);
    memset(coefficients, 0, COEFFICIENTS * sizeof *coefficients);
    gather_directions(picture, coefficients);
    normalise_roots(coefficients);
    transform(cosines, 1, coefficients);
    transform(cosines, CELLS, coefficients);
    transform(waves, CELLS * CELLS, coefficients);
}

/* ---- a set ---- */

/* Which coefficients count, and how; of those seen so far while they are counted. */
typedef struct scale {
    int64_t count;
    double mean[COEFFICIENTS], squares[COEFFICIENTS]; /* of distances from the mean */
    int kept[KEPT];
    double factor[KEPT];
} scale;

/* Welford's way. */
static void count_in(scale *s, const float *coefficients) {
    s->count++;
    for (int i = 0; i < COEFFICIENTS; i++) {
        const double distance = coefficients[i] - s->mean[i];
        s->mean[i] += distance / (double)s->count;
        s->squares[i] += distance * (coefficients[i] - s->mean[i]);
    }
}

/* The largest variances, equal ones in order. */
static void choose_kept(scale *s) {
    bool taken[COEFFICIENTS] = {false};
    for (int k = 0; k < KEPT; k++) {
        int best = -1;
        for (int i = 0; i < COEFFICIENTS; i++)
            if (!taken[i] && (best < 0 || s->squares[i] > s->squares[best]))
                best = i;
        taken[best] = true;
        const double variance = s->squares[best] / (double)s->count;
        s->kept[k] = best;
        s->factor[k] = variance > 0 ? pow(variance, -0.25) : 0;
    }
}

static void make_row(const scale *s, const float *coefficients, float *row) {
    double numbers[KEPT], squares = 0;
    for (int k = 0; k < KEPT; k++) {
        const int i = s->kept[k];
        numbers[k] = (coefficients[i] - s->mean[i]) * s->factor[k];
        squares += numbers[k] * numbers[k];
    }
    const double unit = squares > 0 ? 1 / sqrt(squares) : 0;
    for (int k = 0; k < KEPT; k++)
        row[k] = (float)(numbers[k] * unit);
}

/* One of `shares` batches, to count them in, or all, to make rows. */
static bool look(scale *s, nnclr_shard_set *set, int threads, int shares, float *rows,
                 const nnclr_progress *progress, nnclr_error *e) {
    const nnclr_evaluation_options view = {.size = SIDE,
                                           .stretch = true,
                                           .filter = NNCLR_BILINEAR,
                                           .std = {1, 1, 1},
                                           .batch = BATCH,
                                           .threads = threads,
                                           .ahead = BATCHES_AHEAD,
                                           .shares = shares};
    const int64_t count = (int64_t)nnclr_shard_set_count(set);
    float coefficients[COEFFICIENTS];
    nnclr_error own = NNCLR_NO_ERROR;
    nnclr_loader *loader = nnclr_loader_open_evaluation(set, &view, e);
    if (!loader)
        return false;
    for (const nnclr_batch *b; (b = nnclr_loader_next(loader, &own));) {
        for (int i = 0; i < b->n; i++) {
            nnclr_appearance_coefficients(b->views + (size_t)i * 3 * SIDE * SIDE, coefficients);
            if (rows)
                make_row(s, coefficients, rows + (size_t)b->record[i] * KEPT);
            else
                count_in(s, coefficients);
        }
        if (rows && b->n > 0 &&
            !nnclr_progress_tell(progress, "appearances", b->record[0] + b->n, count, NULL, &own))
            break;
    }
    nnclr_loader_close(loader);
    if (own.code != NNCLR_OK)
        *e = own;
    return own.code == NNCLR_OK;
}

bool nnclr_appearances_make(nnclr_appearances *a, nnclr_shard_set *set, int threads,
                            const nnclr_progress *progress, nnclr_error *e) {
    *a = (nnclr_appearances){.count = nnclr_shard_set_count(set)};
    scale *s = nnclr_alloc_zero(1, sizeof *s, e);
    a->rows = s ? nnclr_alloc(a->count, KEPT * sizeof *a->rows, e) : NULL;
    const int shares = (int)nnclr_pieces((int64_t)a->count, SAMPLE);
    bool ok = a->rows && look(s, set, threads, shares, NULL, progress, e);
    if (ok) {
        choose_kept(s);
        ok = look(s, set, threads, 1, a->rows, progress, e);
    }
    nnclr_free(s);
    if (!ok)
        nnclr_appearances_free(a);
    return ok;
}

void nnclr_appearances_free(nnclr_appearances *a) {
    nnclr_free(a->rows);
    *a = (nnclr_appearances){0};
}

size_t nnclr_appearances_bytes(size_t count) {
    size_t bytes;
    return nnclr_size_mul(count, KEPT * sizeof(float), &bytes) ? bytes : SIZE_MAX;
}
