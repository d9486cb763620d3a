/* SimCLR: the positive is the picture's other view, and both sides pass a gradient on. The
 * negatives are the other view's rows (equation 2 of the NNCLR paper) or those of both views
 * (NT-Xent, Chen et al. 2020). */
#include "ssl/recipe.h"

const char *const nnclr_negatives_names[] = {
    [NNCLR_NEGATIVES_OPPOSITE] = "opposite", [NNCLR_NEGATIVES_ALL] = "all", NULL};

static bool is_ntxent(const nnclr_method_options *o) {
    return o->negatives == NNCLR_NEGATIVES_ALL;
}

static nnclr_recipe recipe(const nnclr_method_options *o, bool predictor) {
    (void)predictor;
    const int assignments = is_ntxent(o) || o->swap ? NNCLR_VIEWS : 1;
    nnclr_recipe r = {.temperature = o->temperature, .decoupled = o->decoupled};
    for (int view = 0; view < assignments; view++)
        r.terms[r.term_count++] = (nnclr_term){.rows = {NNCLR_PREDICTION, view},
                                               .columns = {NNCLR_PREDICTION, 1 - view},
                                               .both_views = is_ntxent(o),
                                               .weight = 1.0 / assignments,
                                               .last_weight = 1.0 / assignments,
                                               .counted = !is_ntxent(o)};
    /* contrast_acc compares with the other view's candidates only, as in other methods. */
    for (int view = 0; is_ntxent(o) && view < NNCLR_VIEWS; view++)
        r.terms[r.term_count++] = (nnclr_term){.rows = {NNCLR_PREDICTION, view},
                                               .columns = {NNCLR_PREDICTION, 1 - view},
                                               .counted = true};
    return r;
}

static bool check(const nnclr_method_options *o, int batch, bool predictor, nnclr_error *e) {
    (void)batch;
    if (predictor)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "simclr has no predictor: give --pred none");
    if (o->positive == NNCLR_POSITIVE_VIEW)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "simclr has no support set to choose a positive from: leave out "
                          "--positive, or give --method nnclr");
    if (o->loss != NNCLR_LOSS_ROW)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "the loss of simclr is chosen by --negatives, not by --loss");
    return true;
}

static const char has_none[] =
    "--method simclr has no support set, and no positives from one; leave it out, or give --method "
    "nnclr";

static const nnclr_idle_option idle[] = {
    {nnclr_options_of_neighbours, NULL, has_none},
    {NNCLR_OPTION("positive"), NULL, has_none},
    {NNCLR_OPTION("target-momentum"), NULL,
     "both sides of the loss of simclr pass a gradient on, so that a slow copy has no part in it; "
     "leave it out, or give --method nnclr"},
    {NNCLR_OPTION("loss"), NULL, has_none},
    {NNCLR_OPTION("swap"), is_ntxent,
     "the loss over all negatives always has both assignments; leave it out, or give --negatives "
     "opposite"},
    {NNCLR_OPTION("off-diagonal"), NULL, nnclr_only_in_barlow},
    {NULL, NULL, NULL},
};

const nnclr_method_type nnclr_method_simclr = {.recipe = recipe, .check = check, .idle = idle};
