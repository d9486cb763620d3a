#include "eval/label_draw.h"

#include <math.h>

#include "base/memory.h"
#include "base/rng.h"

/* Which of the draws of a seed: they must not be the same rows. */
enum { DRAW_KEPT = 0, DRAW_HELD_OUT = 1 };

static bool count_rows(const int64_t *label, int64_t n, int64_t classes, int64_t **out,
                       nnclr_error *e) {
    int64_t *count = nnclr_alloc_zero((size_t)classes, sizeof *count, e);
    if (!count)
        return false;
    for (int64_t i = 0; i < n; i++)
        if (label[i] >= 0)
            count[label[i]]++;
    *out = count;
    return true;
}

static int64_t share_of(int64_t rows, double fraction) {
    int64_t share = (int64_t)floor((double)rows * fraction + 0.5);
    return share > 1 ? share : rows > 0;
}

/* drawn [n]: of each class the first quota[class] rows in the order of the draw, which is an order
 * of the labelled rows. Uses up `quota`. */
static bool draw(const int64_t *label, int64_t n, int64_t *quota, uint64_t seed, uint32_t which,
                 bool *drawn, nnclr_error *e) {
    int64_t labelled = 0;
    for (int64_t i = 0; i < n; i++)
        labelled += label[i] >= 0;
    if (labelled > UINT32_MAX)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%lld rows are above the limit of %u",
                          (long long)labelled, UINT32_MAX);
    uint32_t *order = nnclr_alloc((size_t)labelled, sizeof *order, e);
    int64_t *row = nnclr_alloc((size_t)labelled, sizeof *row, e);
    const bool ok = order && row;
    if (ok) {
        nnclr_permutation(seed, NNCLR_DRAW_SAMPLE, which, (uint32_t)labelled, order);
        for (int64_t i = 0, at = 0; i < n; i++) {
            drawn[i] = false;
            if (label[i] >= 0)
                row[at++] = i;
        }
    }
    for (int64_t i = 0; ok && i < labelled; i++) {
        const int64_t one = row[order[i]];
        drawn[one] = quota[label[one]]-- > 0;
    }
    nnclr_free(row);
    nnclr_free(order);
    return ok;
}

bool nnclr_label_keep(int64_t *label, int64_t n, int64_t classes, double fraction, uint64_t seed,
                      nnclr_error *e) {
    int64_t *quota = NULL;
    bool *kept = nnclr_alloc((size_t)n, sizeof *kept, e);
    bool ok = kept && count_rows(label, n, classes, &quota, e);
    for (int64_t c = 0; ok && c < classes; c++)
        quota[c] = share_of(quota[c], fraction);
    ok = ok && draw(label, n, quota, seed, DRAW_KEPT, kept, e);
    for (int64_t i = 0; ok && i < n; i++)
        if (!kept[i])
            label[i] = -1;
    nnclr_free(quota);
    nnclr_free(kept);
    return ok;
}

bool nnclr_label_hold_out(const int64_t *label, int64_t n, int64_t classes, uint64_t seed,
                          bool *held_out, int64_t *count, nnclr_error *e) {
    int64_t *quota = NULL;
    if (!count_rows(label, n, classes, &quota, e))
        return false;
    *count = 0;
    for (int64_t c = 0; c < classes; c++) {
        quota[c] = quota[c] > 1 ? share_of(quota[c], 0.1) : 0;
        *count += quota[c];
    }
    bool ok = draw(label, n, quota, seed, DRAW_HELD_OUT, held_out, e);
    nnclr_free(quota);
    return ok;
}
