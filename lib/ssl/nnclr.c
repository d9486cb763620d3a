/* NNCLR (Dwibedi et al. 2021, eq. 3): the nearest row of the support set is the positive.
 *
 *   NN1 = nearest rows of Q to z1^      S12 = NN1 . p2^T / temperature
 *   NN2 = nearest rows of Q to z2^      S21 = NN2 . p1^T / temperature
 *   loss = ( rows(S12) + rows(S21) ) / 2,  rows(S) = mean_i( logsumexp_k S[i][k] - S[i][i] ) */
#include "ssl/recipe.h"

const char *const nnclr_positive_names[] = {
    [NNCLR_POSITIVE_NN] = "nn", [NNCLR_POSITIVE_VIEW] = "view", NULL};
const char *const nnclr_loss_names[] = {
    [NNCLR_LOSS_ROW] = "row", [NNCLR_LOSS_ROW_COLUMN] = "row+col", NULL};
const char *const nnclr_enqueue_names[] = {
    [NNCLR_ENQUEUE_VIEW1] = "view1", [NNCLR_ENQUEUE_BOTH] = "both", NULL};

static nnclr_recipe recipe(const nnclr_method_options *o) {
    const bool nearest = o->positive == NNCLR_POSITIVE_NN,
               columns_too = o->loss == NNCLR_LOSS_ROW_COLUMN;
    const int assignments = o->swap ? NNCLR_VIEWS : 1;
    const double weight = 1.0 / assignments / (columns_too ? 2 : 1);
    nnclr_recipe r = {
        .temperature = o->temperature,
        .queue = o->queue,
        .neighbours = nearest ? o->neighbours : 0,
        .exclude_self = o->exclude_self,
        .enqueued = o->queue_frozen                    ? 0
                    : o->enqueue == NNCLR_ENQUEUE_BOTH ? NNCLR_VIEWS
                                                       : 1,
    };
    for (int view = 0; view < assignments; view++) {
        const nnclr_rows positive = {nearest ? NNCLR_NEIGHBOUR : NNCLR_PROJECTION, view},
                         other = {NNCLR_PREDICTION, 1 - view};
        r.terms[r.term_count++] =
            (nnclr_term){.rows = positive, .columns = other, .weight = weight, .counted = true};
        /* Down the columns means along the rows of the transpose. */
        if (columns_too)
            r.terms[r.term_count++] =
                (nnclr_term){.rows = other, .columns = positive, .weight = weight};
    }
    return r;
}

static bool check(const nnclr_method_options *o, int batch, bool predictor, nnclr_error *e) {
    (void)predictor;
    const bool both = o->enqueue == NNCLR_ENQUEUE_BOTH;
    if (o->queue / (both ? 2 : 1) < batch)
        return nnclr_fail(
            e, NNCLR_ERROR_USAGE,
            "a support set of %d rows is smaller than %s of %d: give a larger --queue "
            "or a smaller --batch",
            o->queue, both ? "two views of a batch" : "a batch", batch);
    if (o->neighbours > o->queue)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "%d neighbours cannot come from a support set of %d rows", o->neighbours,
                          o->queue);
    return true;
}

static bool takes_view(const nnclr_method_options *o) {
    return o->positive == NNCLR_POSITIVE_VIEW;
}

static bool is_frozen(const nnclr_method_options *o) {
    return o->queue_frozen;
}

static const char asks_none[] =
    "--positive view asks no neighbours; leave it out, or give --positive nn";

static const nnclr_idle_option idle[] = {
    {"neighbours", takes_view, asks_none},
    {"exclude-self", takes_view, asks_none},
    {"include-self", takes_view, asks_none},
    {"enqueue", is_frozen, "nothing enters a frozen support set; leave out this or --queue-frozen"},
    {"negatives", NULL,
     "the negatives of nnclr are the other predictions of the batch; give --method simclr with it, "
     "or leave it out"},
    {NULL, NULL, NULL},
};

const nnclr_method_type nnclr_method_nnclr = {
    .predictor = true, .recipe = recipe, .check = check, .idle = idle};
