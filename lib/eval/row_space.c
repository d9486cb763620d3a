#include "eval/row_space.h"

#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "base/wide.h"
#include "eval/neighbours.h"

enum {
    PIECE_BYTES = 4 << 20, /* of rows that are read at a time */
    SAMPLE_ROWS = 512,     /* that the directions are taken from */
    ROUNDS = 3             /* in which the directions settle */
};

/* Squares of lengths may be off by this much, from rounding of the basis. */
static const double rest_slack = 4e-6;

/* ---- the mean ---- */

static NNCLR_WIDE void add_scaled(double *sum, const float *row, double scale, int d) {
    for (int c = 0; c < d; c++)
        sum[c] += scale * (double)row[c];
}

static bool sum_rows(const nnclr_row_source *rows, const bool *candidate, double *sum,
                     const nnclr_progress *progress, nnclr_error *e) {
    const int64_t fit = PIECE_BYTES / ((int64_t)rows->d * (int64_t)sizeof(float));
    const int64_t piece = nnclr_clamp(fit, 1, rows->n);
    int64_t count = 1; /* the row of zeros */
    float *read = nnclr_alloc((size_t)piece, (size_t)rows->d * sizeof *read, e);
    bool ok = read != NULL;
    for (int64_t first = 0; ok && first < rows->n; first += piece) {
        const int64_t some = nnclr_min(rows->n - first, piece);
        ok = nnclr_progress_tell(progress, "rows read", first, rows->n, NULL, e) &&
             rows->read(rows, first, some, read, e);
        for (int64_t i = 0; ok && i < some; i++) {
            const float *row = read + i * rows->d;
            const double norm = sqrt(nnclr_row_dot(row, row, rows->d));
            if (!candidate[first + i] || norm == 0)
                continue;
            ok = isfinite(norm) || nnclr_refuse_row("", first + i, e);
            add_scaled(sum, row, 1 / norm, rows->d);
            count++;
        }
    }
    for (int c = 0; c < rows->d; c++)
        sum[c] /= (double)count;
    nnclr_free(read);
    return ok;
}

/* ---- the directions ---- */

/* The part of a row that is compared: row/|row| - m, or minus the means of the channels; zeros if
 * the row has no direction. False: it is not finite. */
static bool place_row(const nnclr_row_space *space, const float *row, nnclr_row_place *place,
                      float *out) {
    const int d = space->d;
    *place = (nnclr_row_place){.norm = sqrt(nnclr_row_dot(row, row, d))};
    memset(out, 0, (size_t)d * sizeof *out);
    if (!isfinite(place->norm))
        return false;
    if (place->norm == 0)
        return true;
    double square = 0;
    for (int c = 0; space->pixels && c < d; c++)
        place->tint[c % 3] += 3 * (double)row[c] / (place->norm * d);
    for (int c = 0; c < d; c++) {
        const double unit = (double)row[c] / place->norm;
        const double m = space->pixels ? place->tint[c % 3] : space->mean[c];
        place->along += space->pixels ? 0 : unit * m;
        square += (unit - m) * (unit - m);
        out[c] = (float)(unit - m);
    }
    if (square < 1e-12) { /* what is left is rounding */
        memset(out, 0, (size_t)d * sizeof *out);
        return true;
    }
    place->length = sqrt(square);
    for (int c = 0; c < d; c++)
        out[c] = (float)((double)out[c] / place->length);
    return true;
}

/* Makes the rows of x [r][d] orthonormal by Gram and Schmidt, twice each; those that depend on the
 * ones before them become zeros. */
static void orthonormalise(float *x, int r, int d) {
    for (int i = 0; i < r; i++) {
        float *row = x + (size_t)i * (size_t)d;
        const double before = sqrt(nnclr_row_dot(row, row, d));
        for (int pass = 0; pass < 2; pass++)
            for (int j = 0; j < i; j++) {
                const float *other = x + (size_t)j * (size_t)d;
                const double along = nnclr_row_dot(row, other, d);
                for (int c = 0; c < d; c++)
                    row[c] = (float)((double)row[c] - along * (double)other[c]);
            }
        const double after = sqrt(nnclr_row_dot(row, row, d));
        const double scale = after > 1e-4 * before ? 1 / after : 0;
        for (int c = 0; c < d; c++)
            row[c] = (float)((double)row[c] * scale);
    }
}

/* y [r][d] = x sample^T sample, which turns x towards the sample's main directions. */
static void turn(const float *x, int r, const float *sample, int n, int d, double *sum, float *y) {
    for (int i = 0; i < r; i++) {
        memset(sum, 0, (size_t)d * sizeof *sum);
        for (int j = 0; j < n; j++) {
            const float *row = sample + (size_t)j * (size_t)d;
            add_scaled(sum, row, nnclr_row_dot(x + (size_t)i * (size_t)d, row, d), d);
        }
        for (int c = 0; c < d; c++)
            y[(size_t)i * (size_t)d + (size_t)c] = (float)sum[c];
    }
}

/* Rows of the space, spread evenly over the candidates, at most SAMPLE_ROWS. */
static int draw_sample(const nnclr_row_space *space, const nnclr_row_source *rows,
                       const bool *candidate, float *sample, float *scratch, nnclr_error *e) {
    int64_t candidates = 0, seen = 0;
    int taken = 0;
    for (int64_t i = 0; i < rows->n; i++)
        candidates += candidate[i];
    const int64_t most = nnclr_min(candidates, SAMPLE_ROWS);
    for (int64_t i = 0; i < rows->n && taken < most; i++) {
        nnclr_row_place place;
        if (!candidate[i] || seen++ * most / candidates < taken)
            continue;
        if (!rows->read(rows, i, 1, scratch, e))
            return -1;
        if (!place_row(space, scratch, &place, sample + (size_t)taken * (size_t)space->d)) {
            nnclr_refuse_row("", i, e);
            return -1;
        }
        taken++;
    }
    return taken;
}

static bool find_directions(nnclr_row_space *space, const nnclr_row_source *rows,
                            const bool *candidate, nnclr_error *e) {
    const size_t d = (size_t)space->d;
    bool ok = false;
    float *sample = nnclr_alloc(SAMPLE_ROWS, d * sizeof *sample, e);
    float *scratch = nnclr_alloc(NNCLR_SKETCH_MOST, d * sizeof *scratch, e);
    double *sum = nnclr_alloc(d, sizeof *sum, e);
    if (!sample || !scratch || !sum)
        goto done;
    const int n = draw_sample(space, rows, candidate, sample, scratch, e);
    if (n < 0)
        goto done;
    space->r = nnclr_min(n, NNCLR_SKETCH_MOST);
    space->r = nnclr_min(space->r, space->d);
    space->basis = nnclr_alloc((size_t)space->r, d * sizeof *space->basis, e);
    if (!space->basis)
        goto done;
    for (int i = 0; i < space->r; i++)
        memcpy(space->basis + (size_t)i * d, sample + (size_t)i * (size_t)n / (size_t)space->r * d,
               d * sizeof *sample);
    orthonormalise(space->basis, space->r, space->d);
    for (int round = 0; round < ROUNDS; round++) {
        turn(space->basis, space->r, sample, n, space->d, sum, scratch);
        memcpy(space->basis, scratch, (size_t)space->r * d * sizeof *scratch);
        orthonormalise(space->basis, space->r, space->d);
    }
    ok = true;
done:
    nnclr_free(sum);
    nnclr_free(scratch);
    nnclr_free(sample);
    return ok;
}

bool nnclr_row_space_make(const nnclr_row_source *rows, const bool *candidate, bool pixels,
                          const nnclr_progress *progress, nnclr_row_space *out, nnclr_error *e) {
    *out = (nnclr_row_space){.d = rows->d, .pixels = pixels};
    double *mean = out->mean = nnclr_alloc_zero((size_t)rows->d, sizeof *mean, e);
    bool ok = mean && (pixels || sum_rows(rows, candidate, mean, progress, e));
    for (int c = 0; ok && c < rows->d; c++)
        out->mean_square += mean[c] * mean[c];
    ok = ok && find_directions(out, rows, candidate, e);
    if (!ok)
        nnclr_row_space_free(out);
    return ok;
}

void nnclr_row_space_free(nnclr_row_space *space) {
    nnclr_free(space->basis);
    nnclr_free(space->mean);
    *space = (nnclr_row_space){0};
}

/* ---- rows ---- */

bool nnclr_row_space_place(const nnclr_row_space *space, const float *row, float *scratch,
                           nnclr_row_place *place, float *sketch) {
    double square = 0;
    const bool finite = place_row(space, row, place, scratch);
    for (int i = 0; i < space->r; i++) {
        const double x =
            nnclr_row_dot(scratch, space->basis + (size_t)i * (size_t)space->d, space->d);
        sketch[i] = (float)x;
        square += x * x;
    }
    sketch[space->r] =
        place->length > 0 ? (float)sqrt((square < 1 ? 1 - square : 0) + rest_slack) : 0;
    return finite;
}

double nnclr_row_space_cosine(const nnclr_row_space *space, const float *a,
                              const nnclr_row_place *a_place, const float *b,
                              const nnclr_row_place *b_place) {
    if (!(a_place->length > 0) || !(b_place->length > 0))
        return 0;
    const double product = nnclr_row_dot(a, b, space->d) / (a_place->norm * b_place->norm);
    double less = a_place->along + b_place->along - space->mean_square;
    for (int c = 0; c < 3; c++)
        less += space->d / 3.0 * a_place->tint[c] * b_place->tint[c];
    return (product - less) / (a_place->length * b_place->length);
}
