/* Barlow Twins (Zbontar et al. 2021): each dimension of z is to say the same of both views, and no
 * two dimensions the same of a picture.
 *
 *   C = correlations of the dimensions of z1 with those of z2 over the batch
 *   loss = sum_i (1 - C[i][i])^2 + off_diagonal * sum_{i != j} C[i][j]^2 */
#include "ssl/recipe.h"

static nnclr_recipe recipe(const nnclr_method_options *o, bool predictor) {
    (void)predictor;
    nnclr_recipe r = {.temperature = 1, .off_diagonal = o->off_diagonal};
    r.terms[r.term_count++] = (nnclr_term){.formula = NNCLR_BY_DECORRELATION,
                                           .rows = {NNCLR_PREDICTION, 0},
                                           .columns = {NNCLR_PREDICTION, 1},
                                           .weight = 1,
                                           .last_weight = 1};
    for (int view = 0; view < NNCLR_VIEWS; view++)
        r.terms[r.term_count++] = (nnclr_term){.rows = {NNCLR_PROJECTION, view},
                                               .columns = {NNCLR_PROJECTION, 1 - view},
                                               .counted = true};
    return r;
}

static bool check(const nnclr_method_options *o, int batch, bool predictor, nnclr_error *e) {
    (void)o, (void)batch;
    return !predictor ||
           nnclr_fail(e, NNCLR_ERROR_USAGE, "barlow has no predictor: give --pred none");
}

const char nnclr_only_in_barlow[] =
    "it weighs correlations, which only --method barlow compares; give that with it, or leave it "
    "out";

static const char has_none[] =
    "--method barlow has no support set, and no positives from one; leave it out, or give --method "
    "nnclr";
static const char is_correlation[] =
    "--method barlow compares dimensions of z, not pictures; leave it out, or give --method nnclr";

static const nnclr_idle_option idle[] = {
    {nnclr_options_of_neighbours, NULL, has_none},
    {NNCLR_OPTION("positive"), NULL, has_none},
    {NNCLR_OPTION("target-momentum"), NULL, has_none},
    {NNCLR_OPTION("temperature"), NULL, is_correlation},
    {NNCLR_OPTION("loss"), NULL, is_correlation},
    {NNCLR_OPTION("decoupled"), NULL, is_correlation},
    {NNCLR_OPTION("negatives"), NULL, is_correlation},
    {NNCLR_OPTION("swap"), NULL, is_correlation},
    {NULL, NULL, NULL},
};

const nnclr_method_type nnclr_method_barlow = {.recipe = recipe, .check = check, .idle = idle};
