/* SimSiam (Chen & He 2021, "Exploring Simple Siamese Representation Learning"): each view's
 * prediction is drawn towards the other view's projection, which passes no gradient on; there are
 * no negatives, and the predictor is what keeps all pictures from becoming one point.
 *
 *   loss = - ( mean_i cos(p1[i], z2[i]) + mean_i cos(p2[i], z1[i]) ) / 2
 *
 * With neighbours as positives (NN-SimSiam) the nearest row of a support set takes the place of z,
 * and shares of both are mixed as in NNCLR: the terms are NNCLR's, with cosines for softmaxes. */
#include "ssl/recipe.h"

static nnclr_recipe recipe(const nnclr_method_options *o, bool predictor) {
    nnclr_method_options options = *o;
    options.loss = NNCLR_LOSS_ROW;
    options.negatives = NNCLR_NEGATIVES_OPPOSITE;
    nnclr_recipe r = nnclr_method_nnclr.recipe(&options, predictor);
    for (int i = r.term_count - 1; i >= 0; i--) {
        nnclr_term *term = &r.terms[i];
        if (term->counted) {
            nnclr_term *counted = &r.terms[r.term_count++];
            *counted = *term;
            counted->weight = counted->last_weight = 0;
        }
        term->formula = NNCLR_BY_COSINE;
        term->counted = false;
    }
    if (o->positive == NNCLR_POSITIVE_VIEW)
        r.queue = r.enqueued = 0;
    return r;
}

static bool check(const nnclr_method_options *o, int batch, bool predictor, nnclr_error *e) {
    if (!predictor)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "without a predictor a loss without negatives makes all pictures one "
                          "point: leave out --pred none");
    return o->positive == NNCLR_POSITIVE_VIEW || nnclr_method_nnclr.check(o, batch, predictor, e);
}

static bool takes_view(const nnclr_method_options *o) {
    return o->positive == NNCLR_POSITIVE_VIEW;
}

static bool weighs_nothing(const nnclr_method_options *o) {
    return takes_view(o) || !o->soft;
}

static bool is_frozen(const nnclr_method_options *o) {
    return o->queue_frozen;
}

static const char has_none[] = "this method has a support set only with --positive nn; give that "
                               "with it, or leave it out";
static const char is_cosine[] =
    "the loss of this method is a cosine, without a softmax and without "
    "negatives; leave it out, or give --method nnclr";

const nnclr_idle_option nnclr_idle_with_cosines[] = {
    {nnclr_options_of_neighbours, takes_view, has_none},
    {NNCLR_OPTION("enqueue"), is_frozen,
     "nothing enters a frozen support set; leave out this or --queue-frozen"},
    {NNCLR_OPTION("temperature"), weighs_nothing,
     "the loss of this method is a cosine, and only the weights of --soft have a temperature; "
     "leave it out, or give --method nnclr"},
    {NNCLR_OPTION("loss"), NULL, is_cosine},
    {NNCLR_OPTION("decoupled"), NULL, is_cosine},
    {NNCLR_OPTION("negatives"), NULL, is_cosine},
    {NNCLR_OPTION("off-diagonal"), NULL, nnclr_only_in_barlow},
    {NULL, NULL, NULL},
};

const nnclr_method_type nnclr_method_simsiam = {.predictor = true,
                                                .positive = NNCLR_POSITIVE_VIEW,
                                                .recipe = recipe,
                                                .check = check,
                                                .idle = nnclr_idle_with_cosines};
