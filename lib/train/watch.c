#include "train/watch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/objective.h"

/* Healthy runs on CIFAR-10 stay above a rank of 5 and a spread of 0.8. */
static const double least_rank = 2, least_spread = 0.01;
/* Times chance: healthy runs reach ten times chance in the epoch after the warm-up. */
static const double least_above_chance = 1.2;
static const double most_self = 0.5;
/* Times the root of z's width. Neighbours alone left runs on CIFAR-10 at a rank of 5 of 32 and 8 of
 * 128, that is 0.9 and 0.7; with the own view beside them it was 22 of 128, that is 1.9. */
static const double least_open = 1;
/* 1/3 when shuffled. */
static const double least_batch_spread = 0.25;

nnclr_watch_facts nnclr_watch_facts_of(const nnclr_config *config, const nnclr_plan *plan,
                                       int64_t records) {
    const nnclr_recipe recipe = nnclr_objective_recipe(config);
    const int64_t enqueued = (int64_t)config->batch * recipe.enqueued;
    const nnclr_layers *projector = &config->model.projector;
    const double *own_view = config->method.view_weight.share;
    const bool neighbours_alone = config->objective == NNCLR_OBJECTIVE_NNCLR &&
                                  recipe.neighbours > 0 && own_view[0] + own_view[1] == 0;
    return (nnclr_watch_facts){
        .batch = config->batch,
        .warmup = plan->warmup,
        .frozen = recipe.queue > 0 && enqueued == 0,
        .filled = enqueued > 0 ? (recipe.queue + enqueued - 1) / enqueued + 1 : INT64_MAX,
        .records = records,
        .queue = recipe.queue,
        .width = neighbours_alone ? projector->width[projector->count - 1] : 0,
        .opened = plan->warmup + plan->total / 10 + 1,
    };
}

/* ---- the questions ---- */

/* Comparisons with NAN are false: an undefined number gives no warning. */
bool nnclr_watch_asks(nnclr_warning warning, const nnclr_watch_facts *facts,
                      const nnclr_observation *o) {
    const bool filled = o->first >= facts->filled;
    switch (warning) {
    case NNCLR_WARN_RANDOM_PICKS:
        return filled && o->nn_initial > 0;
    case NNCLR_WARN_COLLAPSE:
        /* Only the spread shows a constant with noise added, whose rank is high; only the rank
         * shows embeddings along one line. */
        return filled && (o->z_spread < least_spread || o->z_rank < least_rank);
    case NNCLR_WARN_CHANCE:
        return !facts->frozen && o->first > facts->warmup &&
               o->contrast_acc < least_above_chance / facts->batch;
    case NNCLR_WARN_OWN_PICTURE:
        return o->nn_self > most_self;
    case NNCLR_WARN_ORDER:
        return o->batch_spread < least_batch_spread;
    case NNCLR_WARN_NARROW:
        return filled && o->first >= facts->opened && o->z_rank >= least_rank &&
               o->z_rank < least_open * sqrt(facts->width);
    case NNCLR_WARNINGS:
        break;
    }
    return false;
}

void nnclr_watch_explain(nnclr_warning warning, const nnclr_watch_facts *facts,
                         const nnclr_observation *o, char *text, size_t size) {
    char when[80];
    if (o->first == o->last)
        snprintf(when, sizeof when, "step %lld", (long long)o->last);
    else
        snprintf(when, sizeof when, "steps %lld to %lld", (long long)o->first, (long long)o->last);
    switch (warning) {
    case NNCLR_WARN_RANDOM_PICKS:
        snprintf(text, size,
                 "%s: a share of %.3g of the picks are initial random rows (nn_initial), although "
                 "the support set has been full since step %lld: these positives are noise; do not "
                 "use this run, and report it with its run.json",
                 when, o->nn_initial, (long long)facts->filled);
        return;
    case NNCLR_WARN_COLLAPSE:
        snprintf(text, size,
                 "%s: the embeddings have collapsed: pictures can hardly be told apart (z_spread "
                 "%.3g, z_rank %.3g): start again with a lower --lr, a longer --warmup or stronger "
                 "augmentation, and with a predictor if there is none",
                 when, o->z_spread, o->z_rank);
        return;
    case NNCLR_WARN_CHANCE:
        snprintf(text, size,
                 "%s: a picture's other view is recognised no better than by chance (contrast_acc "
                 "%.3g of a batch of %d): nothing is being learnt; look at the views with "
                 "nnclr-views --sheet, and try another --lr or weaker augmentation",
                 when, o->contrast_acc, facts->batch);
        return;
    case NNCLR_WARN_OWN_PICTURE:
        snprintf(text, size,
                 "%s: a share of %.3g of the neighbours show the query's own picture (nn_self): "
                 "with a support set of %d rows for %lld pictures this is close to training "
                 "without neighbours; give --exclude-self or a smaller --queue",
                 when, o->nn_self, facts->queue, (long long)facts->records);
        return;
    case NNCLR_WARN_ORDER:
        snprintf(text, size,
                 "%s: the batches hold records that are close together in the data (batch_spread "
                 "%.3g; shuffled: 1/3): negatives that are alike teach little; give a larger "
                 "--shuffle-window, or shuffle the file of --views",
                 when, o->batch_spread);
        return;
    case NNCLR_WARN_NARROW:
        snprintf(text, size,
                 "%s: the embeddings differ in few of their %d directions (z_rank %.3g), as they "
                 "do if early neighbours, which are wrong, hold them together: try --view-weight "
                 "1,0.5 --pred none",
                 when, facts->width, o->z_rank);
        return;
    case NNCLR_WARNINGS:
        break;
    }
    if (size)
        text[0] = '\0';
}

/* ---- the watch ---- */

static void tell(nnclr_watch *watch, nnclr_warning warning, const nnclr_observation *o) {
    char text[600];
    if (watch->told[warning] || !nnclr_watch_asks(warning, &watch->facts, o))
        return;
    watch->told[warning] = true;
    nnclr_watch_explain(warning, &watch->facts, o, text, sizeof text);
    if (watch->tell)
        watch->tell(watch->context, text);
}

static nnclr_observation observation_of(const double value[NNCLR_WATCHED], int64_t first,
                                        int64_t last) {
    return (nnclr_observation){
        .first = first,
        .last = last,
        .contrast_acc = value[0],
        .nn_initial = value[1],
        .nn_self = value[2],
        .z_rank = value[3],
        .z_spread = value[4],
        .batch_spread = value[5],
    };
}

static void forget(nnclr_watch *watch) {
    watch->first = watch->last = watch->pictures = 0;
    memset(watch->sum, 0, sizeof watch->sum);
    memset(watch->count, 0, sizeof watch->count);
}

static void ask_about_means(nnclr_watch *watch) {
    double mean[NNCLR_WATCHED];
    for (int i = 0; i < NNCLR_WATCHED; i++)
        mean[i] = watch->count[i] ? watch->sum[i] / (double)watch->count[i] : NAN;
    const nnclr_observation o = observation_of(mean, watch->first, watch->last);
    for (int i = 0; i < NNCLR_WARNINGS; i++)
        if (i != NNCLR_WARN_RANDOM_PICKS)
            tell(watch, (nnclr_warning)i, &o);
    forget(watch);
}

/* Whether the means would mix steps before `step` with steps after it. */
static bool straddles(const nnclr_watch *watch, int64_t step, int64_t now) {
    return watch->pictures > 0 && watch->first < step && step <= now;
}

void nnclr_watch_observe(nnclr_watch *watch, const nnclr_metrics_line *line, bool epoch_ends) {
    const nnclr_method_metrics *m = &line->method;
    const double value[NNCLR_WATCHED] = {m->contrast_acc, m->nn_initial, m->nn_self,
                                         m->z_rank,       m->z_spread,   line->batch_spread};
    const nnclr_observation now = observation_of(value, line->step, line->step);
    tell(watch, NNCLR_WARN_RANDOM_PICKS, &now);
    if (straddles(watch, watch->facts.filled, line->step) ||
        straddles(watch, watch->facts.warmup + 1, line->step) ||
        straddles(watch, watch->facts.opened, line->step))
        forget(watch);
    if (watch->pictures == 0)
        watch->first = line->step;
    watch->last = line->step;
    watch->pictures += watch->facts.batch;
    for (int i = 0; i < NNCLR_WATCHED; i++)
        if (isfinite(value[i])) {
            watch->sum[i] += value[i];
            watch->count[i]++;
        }
    if (epoch_ends && watch->pictures >= NNCLR_WATCH_PICTURES)
        ask_about_means(watch);
}
