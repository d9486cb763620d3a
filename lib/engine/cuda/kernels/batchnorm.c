/* Batch norm with what surrounds it. What is summed over rows is summed in float over a few rows,
 * from the first of them, and in double from there on: a mean far above the deviation costs no
 * digits, and GPUs that are slow in double are not slowed down. */
#include "engine/cuda/kernels/kernel.h"

enum { ROW_LANES = LANES / CHANNELS, RUN = 32 };

/* Where a block of the grid is, and the rows of its piece. */
typedef struct place {
    int tile, piece, group;
    size_t begin, end;
} place;

DEVICE place place_of(const cuts *cut, int block, int tiles) {
    place at;
    at.tile = block % tiles;
    at.piece = block / tiles % cut->pieces;
    at.group = block / tiles / cut->pieces;
    at.begin = (size_t)at.piece * cut->each;
    at.end = at.begin + cut->each < cut->rows ? at.begin + cut->each : cut->rows;
    return at;
}

/* sums [count][LANES] -> partials [count][c] of the block's piece. */
DEVICE void fold_lanes(const cuts *cut, const place *at, const double *sums, int count,
                       double *partials) {
    double *to = partials + ((size_t)at->group * (size_t)cut->pieces + (size_t)at->piece) *
                                (size_t)count * (size_t)cut->c;
    EACH(i, count * CHANNELS) {
        const int which = i / CHANNELS, channel = at->tile * CHANNELS + i % CHANNELS;
        double total = 0;
        for (int k = 0; k < ROW_LANES; k++)
            total += sums[which * LANES + k * CHANNELS + i % CHANNELS];
        if (channel < cut->c)
            to[(size_t)which * (size_t)cut->c + (size_t)channel] = total;
    }
}

/* ---- sums ---- */

KERNEL(norm_sums) {
    SHARED(double, sums, 2 * LANES);
    const place at = place_of(&p.cut, BLOCK, p.cut.tiles);
    EACH(lane, LANES) {
        const int channel = at.tile * CHANNELS + lane % CHANNELS;
        size_t row = at.begin + (size_t)(lane / CHANNELS);
        double sum = 0, squares = 0;
        while (channel < p.cut.c && row < at.end) {
            size_t i = ((size_t)at.group * p.cut.rows + row) * (size_t)p.cut.c + (size_t)channel;
            const float first = load(p.x, i);
            float apart = 0, square = 0;
            int n = 0;
            for (; n < RUN && row < at.end; n++) {
                const float d = load(p.x, i) - first;
                apart += d;
                square += d * d;
                row += ROW_LANES;
                i += (size_t)ROW_LANES * (size_t)p.cut.c;
            }
            const double from = (double)first;
            sum += n * from + (double)apart;
            squares += (double)square + from * (2 * (double)apart + n * from);
        }
        sums[lane] = sum;
        sums[LANES + lane] = squares;
    }
    BARRIER();
    fold_lanes(&p.cut, &at, sums, 2, p.partials);
}

KERNEL(norm_fold) {
    const size_t wide = (size_t)p.wide;
    EACH_OF_SPAN(i, (size_t)p.groups * wide) {
        const double *from = p.partials + i / wide * (size_t)p.pieces * wide + i % wide;
        double total = 0;
        for (int piece = 0; piece < p.pieces; piece++)
            total += from[(size_t)piece * wide];
        p.out[i] = total;
    }
}

/* ---- forward ---- */

DEVICE double variance_of(double squares, double count, double mean) {
    const double variance = squares / count - mean * mean;
    return variance < 0 ? 0 : variance;
}

KERNEL(norm_prepare) {
    const size_t c = (size_t)p.c;
    EACH_OF_SPAN(i, (size_t)p.groups * c) {
        const size_t k = i % c, at = i / c * 2 * c + k;
        double mean, variance;
        if (p.sums) {
            mean = p.sums[at] / p.count;
            variance = variance_of(p.sums[at + c], p.count, mean);
        } else {
            mean = (double)p.running_mean[k];
            variance = (double)p.running_var[k];
        }
        const double inverse = 1 / sqrt(variance + 1e-5), scale = (double)p.gamma[k] * inverse;
        p.affine[at] = (float)scale;
        p.affine[at + c] = (float)((double)p.beta[k] - mean * scale);
        if (p.sums) {
            p.saved[at] = mean;
            p.saved[at + c] = inverse;
        }
        if (p.sums && p.pool) { /* (Chan, Golub and LeVeque 1983) */
            const double old = p.before > 0 ? p.pool[at] : mean, total = p.before + p.count;
            const double apart = mean - old, squares = p.before > 0 ? p.pool[at + c] : 0;
            p.pool[at] = old + apart * p.count / total;
            p.pool[at + c] =
                squares + variance * p.count + apart * apart * p.before * p.count / total;
        }
    }
}

/* The values of a block's rows, with the channel of each. */
#define EACH_VALUE(i, channel, at, cut)                                                            \
    for (size_t i = ((size_t)at.group * cut.rows + at.begin) * (size_t)cut.c + (size_t)THREAD,     \
                last_ = ((size_t)at.group * cut.rows + at.end) * (size_t)cut.c,                    \
                channel = (size_t)THREAD % (size_t)cut.c;                                          \
         i < last_; i += (size_t)THREADS, channel += (size_t)THREADS % (size_t)cut.c,              \
                channel -= channel < (size_t)cut.c ? 0 : (size_t)cut.c)

KERNEL(norm_apply) {
    const place at = place_of(&p.cut, BLOCK, 1);
    const size_t c = (size_t)p.cut.c, group = (size_t)at.group * 2 * c;
    EACH_VALUE(i, channel, at, p.cut) {
        const float *affine = p.affine + group + channel;
        float y = load(p.x, i) * affine[0] + affine[c];
        if (p.rest_affine) {
            const float *rest = p.rest_affine + group + channel;
            y += load(p.rest, i) * rest[0] + rest[c];
        } else if (p.rest.at) {
            y += load(p.rest, i);
        }
        store(p.y, i, p.relu && y < 0 ? 0 : y); /* keeps a NaN */
    }
}

KERNEL(norm_running) {
    const double unbiased = p.count > 1 ? p.count / (p.count - 1) : 1;
    const size_t c = (size_t)p.c;
    EACH_OF_SPAN(k, c) {
        for (int group = 0; group < p.groups; group++) {
            const double *from = p.from + (size_t)group * 2 * c + k;
            const double mean = p.pooled ? from[0] : from[0] / p.count;
            const double variance =
                p.pooled ? from[c] / p.count : variance_of(from[c], p.count, mean);
            p.running_mean[k] = (float)(.9 * (double)p.running_mean[k] + (1 - .9) * mean);
            p.running_var[k] =
                (float)(.9 * (double)p.running_var[k] + (1 - .9) * variance * unbiased);
        }
    }
}

/* ---- backward ---- */

/* The gradient after the ReLU. */
DEVICE float find_dz(values dy, values y, size_t i) {
    return !y.at || load(y, i) > 0 ? load(dy, i) : 0;
}

KERNEL(norm_slopes) {
    SHARED(double, sums, 3 * LANES);
    const place at = place_of(&p.cut, BLOCK, p.cut.tiles);
    const size_t c = (size_t)p.cut.c;
    EACH(lane, LANES) {
        const int channel = at.tile * CHANNELS + lane % CHANNELS;
        size_t row = at.begin + (size_t)(lane / CHANNELS);
        double sum = 0, product = 0, other = 0;
        float mean = 0, second_mean = 0;
        if (channel < p.cut.c) {
            const size_t k = (size_t)at.group * 2 * c + (size_t)channel;
            mean = (float)p.saved[k];
            second_mean = p.second.at ? (float)p.second_saved[k] : 0;
        }
        while (channel < p.cut.c && row < at.end) {
            float run = 0, run_product = 0, run_other = 0;
            for (int n = 0; n < RUN && row < at.end; n++, row += ROW_LANES) {
                const size_t i = ((size_t)at.group * p.cut.rows + row) * c + (size_t)channel;
                const float dz = find_dz(p.dy, p.y, i);
                run += dz;
                run_product += dz * (load(p.x, i) - mean);
                if (p.second.at)
                    run_other += dz * (load(p.second, i) - second_mean);
            }
            sum += (double)run;
            product += (double)run_product;
            other += (double)run_other;
        }
        sums[lane] = sum;
        sums[LANES + lane] = product;
        sums[2 * LANES + lane] = other;
    }
    BARRIER();
    fold_lanes(&p.cut, &at, sums, 3, p.partials);
}

KERNEL(norm_finish) {
    const size_t c = (size_t)p.c;
    EACH_OF_SPAN(k, c) {
        double gamma = p.add ? (double)p.dgamma[k] : 0, beta = p.add ? (double)p.dbeta[k] : 0;
        for (size_t group = 0; group < (size_t)p.groups; group++) {
            const double *from = p.sums + group * 3 * c + k;
            const double product = from[(size_t)p.which * c];
            p.slopes[group * 2 * c + k] = from[0];
            p.slopes[(group * 2 + 1) * c + k] = product;
            gamma += product * p.saved[(group * 2 + 1) * c + k];
            beta += from[0];
        }
        p.dgamma[k] = (float)gamma;
        p.dbeta[k] = (float)beta;
    }
}

KERNEL(norm_gradient) {
    const size_t c = (size_t)p.c;
    EACH_OF_SPAN(i, (size_t)p.groups * c) {
        const size_t k = i % c, at = i / c * 2 * c + k;
        const double inverse = p.saved[at + c], scale = (double)p.gamma[k] * inverse;
        const double along = p.slopes[at + c] * inverse; /* sum of dz xhat */
        float *to = p.gradient + i / c * 4 * c + k;
        to[0] = (float)scale;
        to[c] = (float)(-scale * inverse * along / p.count);
        to[2 * c] = (float)(-scale * p.slopes[at] / p.count);
        to[3 * c] = (float)p.saved[at];
    }
}

DEVICE float input_gradient(float dz, float x, const float *a, size_t c) {
    return a[0] * dz + (a[c] * (x - a[3 * c]) + a[2 * c]);
}

KERNEL(norm_backward) {
    const place at = place_of(&p.cut, BLOCK, 1);
    const size_t c = (size_t)p.cut.c, group = (size_t)at.group * 4 * c;
    EACH_VALUE(i, channel, at, p.cut) {
        const float dz = find_dz(p.dy, p.y, i);
        store(p.dx, i, input_gradient(dz, load(p.x, i), p.gradient + group + channel, c));
        if (p.second.at)
            store(p.second_dx, i,
                  input_gradient(dz, load(p.second, i), p.second_gradient + group + channel, c));
        if (p.dresidual.at)
            store(p.dresidual, i, p.add_residual ? load(p.dresidual, i) + dz : dz);
    }
}
