/* NNCLR (Dwibedi et al. 2021, eq. 3): the nearest row of the support set is the positive.
 *
 *   NN1 = nearest rows of Q to z1^      S12 = NN1 . p2^T / temperature
 *   NN2 = nearest rows of Q to z2^      S21 = NN2 . p1^T / temperature
 *   loss = ( rows(S12) + rows(S21) ) / 2,  rows(S) = mean_i( logsumexp_k S[i][k] - S[i][i] )
 *
 * and beside it, with a weight of its own, the same with z1, z2 in place of NN1, NN2: the own view,
 * as in SimCLR, where both sides pass a gradient on unless a predictor stands between them, and
 * both views' predictions are the negatives (NT-Xent).
 *
 * Mixed, neighbours have no softmax: they take their share of the target of the own view's, and
 * which negatives a picture is pushed away from, and how far, stays as it is in SimCLR,
 *
 *   loss = mean_i( logsumexp_k S[i][k] - ( w z2^[i] + (1 - w) NN2[i] ) . z1^[i] / temperature )
 *
 * and likewise for the other view. In a softmax of its own a neighbour that many pictures of the
 * batch share tells each of them to be unlike the others, which it was to bring together. */
#include "ssl/recipe.h"

const char *const nnclr_positive_names[] = {
    [NNCLR_POSITIVE_NN] = "nn", [NNCLR_POSITIVE_VIEW] = "view", NULL};
const char *const nnclr_loss_names[] = {[NNCLR_LOSS_ROW] = "row",
                                        [NNCLR_LOSS_ROW_COLUMN] = "row+col",
                                        [NNCLR_LOSS_MIXED] = "mixed",
                                        NULL};
const char *const nnclr_enqueue_names[] = {
    [NNCLR_ENQUEUE_VIEW1] = "view1", [NNCLR_ENQUEUE_BOTH] = "both", NULL};
const char *const nnclr_over_names[] = {
    [NNCLR_OVER_RUN] = "run", [NNCLR_OVER_EPOCHS] = "epochs", [NNCLR_OVER_STEPS] = "steps", NULL};

/* The terms of one kind of positive, `share` (first and last) of the loss. */
static void add_terms(nnclr_recipe *r, const nnclr_method_options *o, nnclr_side positive_side,
                      const double share[2], bool neighbours) {
    const bool columns_too = o->loss == NNCLR_LOSS_ROW_COLUMN,
               both_views = !neighbours && !columns_too && o->negatives == NNCLR_NEGATIVES_ALL;
    const int assignments = o->swap ? NNCLR_VIEWS : 1;
    const double weight = 1.0 / assignments / (columns_too ? 2 : 1);
    for (int view = 0; view < assignments; view++) {
        const nnclr_rows positive = {positive_side, view}, other = {NNCLR_PREDICTION, 1 - view};
        nnclr_term term = {.rows = positive,
                           .columns = other,
                           .weight = weight * share[0],
                           .last_weight = weight * share[1],
                           .both_views = both_views,
                           .counted = neighbours || o->loss == NNCLR_LOSS_MIXED};
        r->terms[r->term_count++] = term;
        /* Down the columns means along the rows of the transpose. */
        if (columns_too) {
            term.rows = other;
            term.columns = positive;
            term.counted = false;
            r->terms[r->term_count++] = term;
        }
    }
}

/* Shifts the neighbours' share of an alignment from the own view's to theirs. */
static void mix(nnclr_recipe *r, const nnclr_method_options *o, const double others[2],
                nnclr_side own) {
    const double to[2] = {others[0] / o->temperature, others[1] / o->temperature},
                 from[2] = {-to[0], -to[1]};
    const int first = r->term_count;
    add_terms(r, o, NNCLR_NEIGHBOUR, to, true);
    add_terms(r, o, own, from, true);
    for (int i = first; i < r->term_count; i++) {
        r->terms[i].formula = NNCLR_BY_COSINE;
        r->terms[i].counted = false;
    }
}

static nnclr_recipe recipe(const nnclr_method_options *o, bool predictor) {
    const bool nearest = o->positive == NNCLR_POSITIVE_NN;
    const nnclr_side view = predictor ? NNCLR_PROJECTION : NNCLR_PREDICTION;
    const double *own = o->view_weight.share, others[] = {1 - own[0], 1 - own[1]}, whole[] = {1, 1};
    nnclr_recipe r = {
        .temperature = o->temperature,
        .decoupled = o->decoupled,
        .queue = o->queue,
        .neighbours = nearest ? o->neighbours : 0,
        .soft = o->soft,
        .agree = o->agree,
        .exclude_self = o->exclude_self,
        .enqueued = o->queue_frozen                    ? 0
                    : o->enqueue == NNCLR_ENQUEUE_BOTH ? NNCLR_VIEWS
                                                       : 1,
    };
    if (o->loss == NNCLR_LOSS_MIXED) {
        add_terms(&r, o, view, whole, false);
        mix(&r, o, others, view);
        return r;
    }
    add_terms(&r, o, nearest ? NNCLR_NEIGHBOUR : NNCLR_PROJECTION, others, true);
    if (own[0] > 0 || own[1] > 0)
        add_terms(&r, o, view, own, false);
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

static bool has_no_view_terms(const nnclr_method_options *o) {
    return o->view_weight.share[0] == 0 && o->view_weight.share[1] == 0;
}

static bool takes_view_softly(const nnclr_method_options *o) {
    return takes_view(o) && o->soft;
}

static bool takes_view_twice(const nnclr_method_options *o) {
    return takes_view(o) && !has_no_view_terms(o);
}

static bool takes_view_mixed(const nnclr_method_options *o) {
    return takes_view(o) && o->loss == NNCLR_LOSS_MIXED;
}

static bool takes_view_by_looks(const nnclr_method_options *o) {
    return takes_view(o) && o->appearance > 0;
}

static bool is_frozen(const nnclr_method_options *o) {
    return o->queue_frozen;
}

static const char asks_none[] =
    "--positive view asks no neighbours; leave it out, or give --positive nn";

const char *const nnclr_options_of_neighbours[] = {
    "queue",        "neighbours",   "soft",         "agree",       "appearance", "enqueue",
    "exclude-self", "include-self", "queue-frozen", "view-weight", NULL};

static const nnclr_idle_option idle[] = {
    {NNCLR_OPTION("neighbours"), takes_view, asks_none},
    {NNCLR_OPTION("soft"), takes_view_softly, asks_none},
    {NNCLR_OPTION("agree"), takes_view, asks_none},
    {NNCLR_OPTION("appearance"), takes_view_by_looks, asks_none},
    {NNCLR_OPTION("loss"), takes_view_mixed,
     "--positive view has no neighbours to mix in; --method simclr is what would be left"},
    {NNCLR_OPTION("exclude-self"), takes_view, asks_none},
    {NNCLR_OPTION("include-self"), takes_view, asks_none},
    {NNCLR_OPTION("view-weight"), takes_view_twice,
     "--positive view gives the own view the whole weight; leave it out, or give --positive nn"},
    {NNCLR_OPTION("enqueue"), is_frozen,
     "nothing enters a frozen support set; leave out this or --queue-frozen"},
    {NNCLR_OPTION("negatives"), has_no_view_terms,
     "the negatives of neighbours are the other predictions of the batch; give --view-weight or "
     "--method simclr with it, or leave it out"},
    {NNCLR_OPTION("off-diagonal"), NULL, nnclr_only_in_barlow},
    {NULL, NULL, NULL},
};

const nnclr_method_type nnclr_method_nnclr = {
    .predictor = true, .recipe = recipe, .check = check, .idle = idle};
