/* BYOL (Grill et al. 2020, "Bootstrap Your Own Latent"): SimSiam's cosines, as squared distances of
 * unit vectors, with projections z' of a slow copy of the network.
 *
 *   loss = mean_i |p1^[i] - z2'^[i]|^2 + mean_i |p2^[i] - z1'^[i]|^2
 *        = 4 - 2 mean_i cos(p1[i], z2'[i]) - 2 mean_i cos(p2[i], z1'[i])
 *
 * With neighbours as positives they are those of z'. */
#include "ssl/recipe.h"

static nnclr_recipe recipe(const nnclr_method_options *o, bool predictor) {
    nnclr_recipe r = nnclr_method_simsiam.recipe(o, predictor);
    /* Both assignments of the views are added, which SimSiam averages. */
    r.constant = o->swap ? 2 * NNCLR_VIEWS : 2;
    for (int i = 0; i < r.term_count; i++) {
        r.terms[i].weight *= r.constant;
        r.terms[i].last_weight *= r.constant;
    }
    return r;
}

static bool check(const nnclr_method_options *o, int batch, bool predictor, nnclr_error *e) {
    return nnclr_method_simsiam.check(o, batch, predictor, e);
}

const nnclr_method_type nnclr_method_byol = {.predictor = true,
                                             .positive = NNCLR_POSITIVE_VIEW,
                                             .target_momentum = 0.996,
                                             .recipe = recipe,
                                             .check = check,
                                             .idle = nnclr_idle_with_cosines};
