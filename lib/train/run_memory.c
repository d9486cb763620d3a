#include "train/run_memory.h"

#include <stdio.h>

#include "base/memory.h"
#include "train/objective.h"

/* With fewer pictures the statistics of a micro-batch say little. */
enum { LEAST_MICRO_BATCH = 8 };

/* That of the support set and of the loss's rows and similarities. */
static void measure_objective(const nnclr_config *c, int ranks, const nnclr_engine *engine,
                              nnclr_run_bytes *b) {
    const nnclr_layers *projector = &c->model.projector;
    const int queue = nnclr_objective_recipe(c).queue;
    b->method = nnclr_objective_of(c)->bytes(c, ranks, engine);
    if (queue > 0)
        b->support = nnclr_support_set_bytes(engine, queue, projector->width[projector->count - 1],
                                             c->method.appearance > 0);
}

/* As the loader has them: no more than those of an epoch, and one of the next. */
static size_t views_bytes(const nnclr_config *c, int ranks, size_t records) {
    const size_t depth = NNCLR_BATCHES_AHEAD + 1, batches = records / (size_t)c->batch + 1,
                 side = (size_t)c->model.size, views = (size_t)nnclr_objective_of(c)->views;
    size_t pictures, bytes;
    if (!nnclr_size_mul((depth < batches ? depth : batches) * views, (size_t)(c->batch / ranks),
                        &pictures) ||
        !nnclr_size_mul(pictures, 3 * side * side * sizeof(float), &bytes))
        return SIZE_MAX;
    return bytes;
}

bool nnclr_run_memory(const nnclr_config *config, int ranks, size_t records, nnclr_engine *engine,
                      nnclr_run_bytes *bytes, nnclr_error *e) {
    const size_t real = nnclr_real_bytes(engine);
    nnclr_network *net = nnclr_model_build(&config->model, e);
    nnclr_pass_bytes pass;
    *bytes = (nnclr_run_bytes){0};
    bool ok = nnclr_config_check_ranks(config, ranks, e) && net &&
              nnclr_pass_measure(net, engine, nnclr_objective_of(config)->views,
                                 config->batch / ranks, nnclr_config_micro_batch(config), &pass, e);
    if (ok) {
        bytes->weights = bytes->gradients = bytes->momentum =
            nnclr_network_parameter_count(net) * real;
        bytes->statistics = nnclr_network_statistic_count(net) * real;
        bytes->backbone = pass.backbone;
        bytes->activations = pass.rest;
        if (config->method.target_momentum > 0)
            bytes->target = bytes->weights + pass.forward;
        bytes->views = views_bytes(config, ranks, records);
        measure_objective(config, ranks, engine, bytes);
        if (config->method.appearance > 0 &&
            !nnclr_size_add(bytes->support, nnclr_appearances_bytes(records), &bytes->support))
            bytes->support = SIZE_MAX;
    }
    nnclr_network_free(net);
    return ok;
}

size_t nnclr_run_bytes_sum(const nnclr_run_bytes *b) {
    const size_t parts[] = {b->weights,     b->gradients, b->momentum, b->statistics, b->backbone,
                            b->activations, b->target,    b->method,   b->support,    b->views};
    size_t sum = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!nnclr_size_add(sum, parts[i], &sum))
            return SIZE_MAX;
    return sum;
}

/* Of a run whose memory cannot even be measured: more than there is. */
static size_t need_of(const nnclr_config *config, int ranks, size_t records, nnclr_engine *engine) {
    nnclr_error unused = NNCLR_NO_ERROR;
    nnclr_run_bytes bytes;
    return nnclr_run_memory(config, ranks, records, engine, &bytes, &unused)
               ? nnclr_run_bytes_sum(&bytes)
               : SIZE_MAX;
}

/* The largest divisor of a rank's share, below the current micro-batch, with which the run fits; 0:
 * none. Memory grows with it. */
static int fitting_micro_batch(const nnclr_config *config, int ranks, size_t records,
                               nnclr_engine *engine, size_t available, size_t *bytes) {
    nnclr_config c = *config;
    const int share = c.batch / ranks;
    int now = c.micro_batch > 0 && c.micro_batch < share ? c.micro_batch : share;
    int low = LEAST_MICRO_BATCH - 1, high = now; /* fits, or is not known to; does not fit */
    int best = 0;
    while (high - low > 1) {
        int middle = low + (high - low) / 2, size = middle;
        while (size > low && share % size != 0)
            size--;
        if (size == low) { /* no divisor in between */
            low = middle;
            continue;
        }
        c.micro_batch = size;
        const size_t need = need_of(&c, ranks, records, engine);
        if (need <= available) {
            best = size;
            *bytes = need;
            low = middle;
        } else {
            high = size;
        }
    }
    return best;
}

/* The first preset that would fit; NULL: none. */
static const char *fitting_preset(int ranks, size_t records, nnclr_engine *engine, size_t available,
                                  size_t *bytes) {
    for (int i = 0; nnclr_preset_names[i]; i++) {
        const nnclr_config c = nnclr_config_preset((nnclr_preset)i);
        *bytes = need_of(&c, ranks, records, engine);
        if (*bytes <= available)
            return nnclr_preset_names[i];
    }
    return NULL;
}

static double gib(size_t bytes) {
    return (double)bytes / (1 << 30);
}

bool nnclr_run_fits(const nnclr_config *config, int ranks, size_t records, nnclr_engine *engine,
                    size_t available, nnclr_error *e) {
    size_t less, small;
    nnclr_run_bytes bytes;
    if (!nnclr_run_memory(config, ranks, records, engine, &bytes, e))
        return false;
    const size_t need = nnclr_run_bytes_sum(&bytes);
    if (need <= available)
        return true;
    char micro[80] = "", preset[80] = "";
    int size = fitting_micro_batch(config, ranks, records, engine, available, &less);
    const char *name = config->objective == NNCLR_OBJECTIVE_FINETUNE
                           ? NULL
                           : fitting_preset(ranks, records, engine, available, &small);
    if (size > 0)
        snprintf(micro, sizeof micro, "--micro-batch %d (%.1f GiB)", size, gib(less));
    if (name)
        snprintf(preset, sizeof preset, "--preset %s (%.1f GiB)", name, gib(small));
    return nnclr_fail(e, NNCLR_ERROR_MEMORY,
                      "out of memory: this run needs %.1f GiB, and %.1f GiB are available: give "
                      "%s%s%s",
                      gib(need), gib(available), micro, size > 0 && name ? " or " : "",
                      name       ? preset
                      : size > 0 ? ""
                                 : "a smaller --batch, or a smaller network");
}
