#include "train/run_memory.h"

#include <stdio.h>

#include "base/memory.h"
#include "train/objective.h"

/* With fewer pictures the statistics of a micro-batch say little. */
enum { LEAST_MICRO_BATCH = 8 };

/* Adds to a sum that saturates at SIZE_MAX. */
static void add(size_t *sum, size_t count, size_t bytes) {
    size_t product;
    if (!nnclr_size_mul(count, bytes, &product) || !nnclr_size_add(*sum, product, sum))
        *sum = SIZE_MAX;
}

static void add_method(const nnclr_config *c, size_t real, size_t *sum) {
    const nnclr_layers *projector = &c->model.projector;
    if (c->method.kind == NNCLR_METHOD_FINETUNE || projector->count == 0)
        return;
    size_t d = (size_t)projector->width[projector->count - 1], n = (size_t)c->batch;
    add(sum, n, n * real);     /* similarities */
    add(sum, 4 * n, d * real); /* rows and their gradients */
    if (c->method.kind == NNCLR_METHOD_NNCLR)
        add(sum, (size_t)c->method.queue, d * real + 3 * sizeof(int64_t));
}

static void add_views(const nnclr_config *c, size_t records, size_t *sum) {
    size_t depth = NNCLR_BATCHES_AHEAD + 1, batches = records / (size_t)c->batch + 1;
    size_t side = (size_t)c->model.size, views = (size_t)nnclr_objective_views(c);
    add(sum, (depth < batches ? depth : batches) * views * (size_t)c->batch,
        3 * side * side * sizeof(float));
}

static bool add_pass(const nnclr_config *c, const nnclr_network *net, nnclr_engine *engine,
                     size_t *sum, nnclr_error *e) {
    nnclr_pass_bytes bytes;
    if (!nnclr_pass_measure(net, engine, nnclr_objective_views(c), c->batch,
                            nnclr_config_micro_batch(c), &bytes, e))
        return false;
    add(sum, 1, bytes.backbone);
    add(sum, 1, bytes.rest);
    return true;
}

bool nnclr_run_memory(const nnclr_config *config, size_t records, nnclr_engine *engine,
                      size_t *bytes, nnclr_error *e) {
    const size_t real = nnclr_real_bytes(engine);
    nnclr_network *net = nnclr_model_build(&config->model, e);
    *bytes = 0;
    bool ok = net && add_pass(config, net, engine, bytes, e);
    if (ok) {
        add(bytes, 3 * nnclr_network_parameter_count(net), real);
        add(bytes, nnclr_network_statistic_count(net), real);
        add_method(config, real, bytes);
        add_views(config, records, bytes);
    }
    nnclr_network_free(net);
    return ok;
}

/* The largest divisor of the batch, below the current micro-batch, with which the run fits; 0:
 * none. Memory grows with it. */
static int fitting_micro_batch(const nnclr_config *config, size_t records, nnclr_engine *engine,
                               size_t available, size_t *bytes) {
    nnclr_config c = *config;
    nnclr_error unused = NNCLR_NO_ERROR;
    int now = c.micro_batch > 0 && c.micro_batch < c.batch ? c.micro_batch : c.batch;
    int low = LEAST_MICRO_BATCH - 1, high = now; /* fits, or is not known to; does not fit */
    int best = 0;
    while (high - low > 1) {
        int middle = low + (high - low) / 2, size = middle;
        while (size > low && c.batch % size != 0)
            size--;
        if (size == low) { /* no divisor in between */
            low = middle;
            continue;
        }
        c.micro_batch = size;
        size_t need;
        if (nnclr_run_memory(&c, records, engine, &need, &unused) && need <= available) {
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
static const char *fitting_preset(size_t records, nnclr_engine *engine, size_t available,
                                  size_t *bytes) {
    nnclr_error unused = NNCLR_NO_ERROR;
    for (int i = 0; nnclr_preset_names[i]; i++) {
        const nnclr_config c = nnclr_config_preset((nnclr_preset)i);
        if (nnclr_run_memory(&c, records, engine, bytes, &unused) && *bytes <= available)
            return nnclr_preset_names[i];
    }
    return NULL;
}

static double gib(size_t bytes) {
    return (double)bytes / (1 << 30);
}

bool nnclr_run_fits(const nnclr_config *config, size_t records, nnclr_engine *engine,
                    size_t available, nnclr_error *e) {
    size_t need, less, small;
    if (!nnclr_run_memory(config, records, engine, &need, e))
        return false;
    if (need <= available)
        return true;
    char micro[80] = "", preset[80] = "";
    int size = fitting_micro_batch(config, records, engine, available, &less);
    const char *name = config->method.kind == NNCLR_METHOD_FINETUNE
                           ? NULL
                           : fitting_preset(records, engine, available, &small);
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
