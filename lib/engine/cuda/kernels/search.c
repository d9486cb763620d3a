/* Nearest rows. Products of a matrix multiplication round the same sum in one way or another, so
 * they only say which rows can be among the best: their scores are summed again, all in one order,
 * and equal rows get equal scores wherever they are. */
#include <float.h>

#include "engine/cuda/kernels/kernel.h"

typedef struct best {
    float product;
    int column; /* -1: none */
} best;

/* Whether a comes before b in a list: the larger product, of equal ones the lower column. */
DEVICE int precedes(best a, best b) {
    if (a.column < 0 || b.column < 0)
        return b.column < 0;
    return a.product > b.product || (a.product == b.product && a.column < b.column);
}

DEVICE int is_excluded(const select_call *p, int query, int column) {
    return p->query_numbers && p->query_numbers[query] >= 0 &&
           p->row_numbers[p->first + column] == p->query_numbers[query];
}

/* The first candidate of the piece after `last` in the order of its products. */
DEVICE best next_best(const select_call *p, int query, best last, best *found) {
    const float *products = p->products + (size_t)query * (size_t)p->columns;
    EACH(lane, LANES) {
        best mine;
        mine.column = -1;
        mine.product = 0;
        for (int j = lane; j < p->columns; j += LANES) {
            best other;
            other.product = products[j];
            other.column = j;
            if (precedes(other, mine) && (last.column < 0 || precedes(last, other)) &&
                !is_excluded(p, query, j))
                mine = other;
        }
        found[lane] = mine;
    }
    BARRIER();
    for (int half = LANES / 2; half > 0; half /= 2) {
        EACH(i, half)
        if (precedes(found[i + half], found[i]))
            found[i] = found[i + half];
        BARRIER();
    }
    const best first = found[0];
    BARRIER();
    return first;
}

/* How far the sums of a product and of a score can be apart: both are within d roundings of |query|
 * |row| (Higham 2002, sec. 3.1), and rows are no longer than 1. */
DEVICE float doubt_of(const float *query, int d, double *sums) {
    EACH(lane, LANES) {
        double sum = 0;
        for (int i = lane; i < d; i += LANES)
            sum += (double)query[i] * (double)query[i];
        sums[lane] = sum;
    }
    BARRIER();
    return (float)(2.1 * (d + 1) * (FLT_EPSILON / 2) * sqrt(add_lanes(sums)));
}

DEVICE float score_of(const float *query, const float *row, int d) {
    double sum = 0;
    for (int i = 0; i < d; i++)
        sum += (double)query[i] * (double)row[i];
    return (float)sum;
}

/* An equal one comes after those before it. */
DEVICE void insert(float *scores, int32_t *picks, int k, float score, int32_t pick) {
    int at = k - 1;
    for (; at > 0 && score > scores[at - 1]; at--) {
        scores[at] = scores[at - 1];
        picks[at] = picks[at - 1];
    }
    scores[at] = score;
    picks[at] = pick;
}

/* What a product must reach to be scored: the k-th largest of the piece, and the worst of the
 * list, less what they may be off. A query that is not finite leaves every row in doubt. */
DEVICE float floor_of(best last, int complete, float worst, float doubt) {
    const float piece = complete ? last.product - 2 * doubt : -INFINITY, list = worst - doubt;
    const float least = piece > list ? piece : list;
    return isnan(least) || isnan(doubt) ? -INFINITY : least;
}

KERNEL(select) {
    SHARED(double, sums, LANES);
    SHARED(best, found, LANES);
    SHARED(float, scores, LANES);
    SHARED(float, list, MOST_PICKS);
    SHARED(int32_t, picks, MOST_PICKS);
    const float *query = p.queries + (size_t)BLOCK * (size_t)p.d;
    const float *products = p.products + (size_t)BLOCK * (size_t)p.columns;
    float *out_scores = p.scores + (size_t)BLOCK * (size_t)p.k;
    int32_t *out_picks = p.picks + (size_t)BLOCK * (size_t)p.k;
    EACH(i, p.k) {
        list[i] = p.begins ? -INFINITY : out_scores[i];
        picks[i] = p.begins ? -1 : out_picks[i];
    }
    const float doubt = doubt_of(query, p.d, sums);
    best last;
    last.column = -1;
    last.product = 0;
    int wanted = p.k;
    for (; wanted > 0; wanted--) {
        const best next = next_best(&p, BLOCK, last, found);
        if (next.column < 0)
            break;
        last = next;
    }
    BARRIER();
    const float least = floor_of(last, wanted == 0, list[p.k - 1], doubt);
    BARRIER();
    for (int from = 0; from < p.columns; from += LANES) {
        const int some = p.columns - from < LANES ? p.columns - from : LANES;
        EACH(i, some) {
            scores[i] = -INFINITY;
            if (!(products[from + i] < least) && !is_excluded(&p, BLOCK, from + i))
                scores[i] =
                    score_of(query, p.rows + (size_t)(p.first + from + i) * (size_t)p.d, p.d);
        }
        BARRIER();
        if (THREAD == 0)
            for (int i = 0; i < some; i++)
                if (scores[i] > list[p.k - 1])
                    insert(list, picks, p.k, scores[i], p.first + from + i);
        BARRIER();
    }
    EACH(i, p.k) {
        out_scores[i] = p.ends && picks[i] < 0 ? 0 : list[i];
        out_picks[i] = picks[i];
    }
}
