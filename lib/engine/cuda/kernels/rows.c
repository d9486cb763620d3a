/* Rows of features: normalisation, losses, gathering, sums. */
#include "engine/cuda/kernels/kernel.h"

static const double shortest = 1e-12;

/* The sum over a row of a[i] * b[i]. */
DEVICE double multiply_row(const float *a, const float *b, int width, double *sums) {
    EACH(lane, LANES) {
        double sum = 0;
        for (int i = lane; i < width; i += LANES)
            sum += (double)a[i] * (double)b[i];
        sums[lane] = sum;
    }
    BARRIER();
    return add_lanes(sums);
}

/* ---- L2 normalisation ---- */

KERNEL(l2norm) {
    SHARED(double, sums, LANES);
    const float *x = p.x + (size_t)BLOCK * (size_t)p.width;
    float *y = p.out + (size_t)BLOCK * (size_t)p.width;
    double norm = sqrt(multiply_row(x, x, p.width, sums));
    if (norm < shortest)
        norm = shortest;
    if (THREAD == 0)
        p.norms[BLOCK] = (float)norm;
    EACH(i, p.width)
    y[i] = (float)((double)x[i] / norm);
}

/* dx = (dy - y (y dy)) / |x|. A row that was too short was divided by a constant: dx = dy / it. */
KERNEL(l2norm_back) {
    SHARED(double, sums, LANES);
    const float *y = p.y + (size_t)BLOCK * (size_t)p.width,
                *dy = p.dy + (size_t)BLOCK * (size_t)p.width;
    float *dx = p.out + (size_t)BLOCK * (size_t)p.width;
    const double dot = multiply_row(y, dy, p.width, sums), norm = (double)p.norms[BLOCK];
    const double along = p.norms[BLOCK] <= (float)shortest ? 0 : dot;
    EACH(i, p.width) {
        const float gradient = (float)(((double)dy[i] - (double)y[i] * along) / norm);
        dx[i] = p.add ? dx[i] + gradient : gradient;
    }
}

/* ---- linear layers ---- */

KERNEL(add_bias) {
    EACH_OF_SPAN(i, p.count)
    p.y[i] += p.bias[i % (size_t)p.c];
}

KERNEL(sum_columns) {
    SHARED(double, sums, LANES);
    const int first = BLOCK * CHANNELS;
    EACH(lane, LANES) {
        const int column = first + lane % CHANNELS;
        double sum = 0;
        for (size_t row = (size_t)(lane / CHANNELS); column < p.c && row < p.rows;
             row += LANES / CHANNELS)
            sum += (double)p.x[row * (size_t)p.c + (size_t)column];
        sums[lane] = sum;
    }
    BARRIER();
    EACH(i, CHANNELS) {
        double total = 0;
        for (int k = 0; k < LANES; k += CHANNELS)
            total += sums[k + i];
        if (first + i < p.c)
            p.out[first + i] = (p.add ? p.out[first + i] : 0) + (float)total;
    }
}

/* ---- losses ---- */

/* The larger of two numbers at places of a row, of equal ones the first; place -1: there is none.
 * What is no number counts as below all others, as a comparison has it. */
DEVICE int first_of_largest(const float *row, int a, int b) {
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    return row[b] > row[a] || (row[b] == row[a] && b < a) ? b : a;
}

/* The first of a row's largest, except for two columns (-1: none). */
DEVICE int largest_column(const float *row, int columns, int skip, int left_out, int *best) {
    EACH(lane, LANES) {
        best[lane] = -1;
        for (int j = lane; j < columns; j += LANES)
            if (j != skip && j != left_out)
                best[lane] = first_of_largest(row, best[lane], j);
    }
    BARRIER();
    for (int half = LANES / 2; half > 0; half /= 2) {
        EACH(i, half)
        best[i] = first_of_largest(row, best[i], best[i + half]);
        BARRIER();
    }
    const int found = best[0];
    BARRIER();
    return found;
}

/* Turns a row of logits into its gradient. */
KERNEL(entropy) {
    SHARED(double, sums, LANES);
    SHARED(int, best, LANES);
    float *row = p.logits + (size_t)BLOCK * (size_t)p.columns;
    const int target = BLOCK + p.target, skip = p.skips ? BLOCK + p.skip : -1;
    const int left_out = p.decoupled ? target : -1;
    const int first = largest_column(row, p.columns, skip, -1, best);
    const int most =
        first == left_out ? largest_column(row, p.columns, skip, left_out, best) : first;
    const float largest = row[most], aim = row[target] - largest;
    BARRIER();
    EACH(lane, LANES) {
        double sum = 0;
        for (int j = lane; j < p.columns; j += LANES) {
            row[j] = j == skip || j == left_out ? 0 : expf(row[j] - largest);
            sum += (double)row[j];
        }
        sums[lane] = sum;
    }
    BARRIER();
    const double sum = add_lanes(sums), scale = p.weight / p.rows;
    const float factor = (float)(scale / sum);
    EACH(lane, LANES)
    for (int j = lane; j < p.columns; j += LANES)
        row[j] = row[j] * factor - (j == target ? (float)scale : 0);
    if (THREAD == 0) {
        p.losses[BLOCK] = log(sum) - (double)aim;
        p.hits[BLOCK] = first == target;
    }
}

KERNEL(decorrelate) {
    SHARED(double, sums, LANES);
    float *row = p.matrix + (size_t)BLOCK * (size_t)p.d;
    const double squares = multiply_row(row, row, p.d, sums), share = p.weight * p.off_diagonal;
    const double own = (double)row[BLOCK];
    BARRIER();
    EACH(j, p.d)
    row[j] = (float)(j == BLOCK ? -2 * p.weight * (1 - own) : 2 * share * (double)row[j]);
    if (THREAD == 0)
        p.losses[BLOCK] = p.weight * (1 - own) * (1 - own) + share * (squares - own * own);
}

KERNEL(total) {
    SHARED(double, sums, LANES);
    EACH(lane, LANES) {
        double sum = 0;
        for (int i = lane; i < p.count; i += LANES)
            sum += p.parts[i];
        sums[lane] = sum;
    }
    BARRIER();
    const double sum = p.scale * add_lanes(sums);
    if (THREAD == 0)
        *p.out = (float)(p.add ? (double)*p.out + sum : sum);
}

/* ---- gathering, products, blends ---- */

KERNEL(pick) {
    float *y = p.y + (size_t)BLOCK * (size_t)p.d;
    EACH(i, p.d) {
        float sum = p.add ? y[i] : 0;
        for (int j = BLOCK * p.k; j < (BLOCK + 1) * p.k; j++)
            if (p.picks[j] >= 0) {
                const float value = p.table[(size_t)p.picks[j] * (size_t)p.d + (size_t)i];
                sum += p.weights ? p.weights[j] * value : value;
            }
        y[i] = sum;
    }
}

KERNEL(multiply) {
    SHARED(double, sums, LANES);
    const size_t begin = (size_t)BLOCK * SPAN, left = p.count - begin;
    const int size = left < SPAN ? (int)left : SPAN;
    const double sum = multiply_row(p.x + begin, p.y + begin, size, sums);
    if (THREAD == 0)
        p.parts[BLOCK] = sum;
}

KERNEL(blend) {
    EACH_OF_SPAN(i, p.count)
    p.y[i] = (float)(p.keep * (double)p.y[i] + p.take * (double)p.x[i]);
}
