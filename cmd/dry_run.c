#include "cmd/dry_run.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "train/objective.h"
#include "train/run_memory.h"
#include "train/schedule.h"

static const double seconds_of_steps = 10; /* that are measured */

static bool print_network(const dry_run *t, nnclr_error *e) {
    nnclr_buffer text = {0};
    nnclr_network *net = nnclr_model_build(&t->config->model, e);
    bool ok = net && nnclr_network_print(net, &text, e);
    if (ok) {
        nnclr_table_section(t->cli, t->json, "network");
        nnclr_table_print(t->cli, t->json, &text);
    }
    nnclr_buffer_free(&text);
    nnclr_network_free(net);
    return ok;
}

/* ---- memory ---- */

static bool print_plan(const dry_run *t, const nnclr_trainer *trainer, bool backbone,
                       nnclr_error *e) {
    nnclr_buffer text = {0};
    bool ok = nnclr_trainer_print_plan(trainer, backbone, &text, e);
    if (ok && text.size > 0) {
        nnclr_table_section(t->cli, t->json, backbone ? "micro_batch_plan" : "plan");
        nnclr_table_print(t->cli, t->json, &text);
    }
    nnclr_buffer_free(&text);
    return ok;
}

static size_t cached_bytes(const nnclr_training_data *data, uint64_t cache) {
    uint64_t bytes = data->set ? nnclr_shard_set_bytes(data->set) : 0;
    return (size_t)nnclr_min(bytes, cache);
}

enum { PARTS = 12 };

typedef struct memory_part {
    const char *name;
    size_t bytes;
} memory_part;

/* Returns the sum. */
static size_t list_memory(const nnclr_run_bytes *m, size_t cache, size_t probe,
                          memory_part out[PARTS]) {
    const memory_part parts[PARTS] = {
        {"weights", m->weights},
        {"gradients", m->gradients},
        {"momentum", m->momentum},
        {"statistics", m->statistics},
        {"micro_batch", m->backbone},
        {"activations", m->activations},
        {"target", m->target},
        {"method", m->method},
        {"support_set", m->support},
        {"views_ahead", m->views},
        {"cache", cache},
        {"probe", probe},
    };
    size_t total = 0;
    for (size_t i = 0; i < PARTS; i++) {
        out[i] = parts[i];
        total += parts[i].bytes;
    }
    return total;
}

static void print_memory(const dry_run *t, const memory_part parts[PARTS], size_t total) {
    static const char *const columns[] = {"part", "bytes"};
    nnclr_table_section(t->cli, t->json, "memory");
    nnclr_table *table = nnclr_table_begin(t->cli, t->json, columns, 2);
    for (size_t i = 0; i < PARTS; i++) {
        nnclr_table_text(table, parts[i].name);
        nnclr_table_int(table, (int64_t)parts[i].bytes);
        nnclr_table_row_end(table);
    }
    nnclr_table_text(table, "total");
    nnclr_table_int(table, (int64_t)total);
    nnclr_table_row_end(table);
    nnclr_table_end(table);
}

/* ---- cost ---- */

typedef struct cost {
    int64_t pictures, probes;
    nnclr_plan plan;
    nnclr_trainer_speed speed;
    double pictures_per_s, hours, seconds_per_probe, probe_hours;
    size_t checkpoint, total, peak, available; /* total, peak: of a rank */
} cost;

static bool measure(const dry_run *t, nnclr_trainer *trainer, nnclr_probe *probe, cost *c,
                    nnclr_error *e) {
    const nnclr_plan *plan = &c->plan;
    nnclr_cli_note(t->cli, "measuring the speed; nothing is written");
    if (!nnclr_trainer_rehearse(trainer, seconds_of_steps, &c->speed, e))
        return false;
    c->pictures_per_s = t->config->batch / c->speed.seconds;
    c->hours = c->speed.seconds * (double)plan->total / 3600;
    c->seconds_per_probe = c->probe_hours = NAN;
    if (probe) {
        nnclr_accuracy accuracy;
        double began = nnclr_now();
        if (!nnclr_probe_run(probe, NULL, &accuracy, e))
            return nnclr_fail_at(e, "the probe");
        c->seconds_per_probe = nnclr_now() - began;
        /* Before the first step, after each epoch and, if the run ends within one, at the end. */
        c->probes =
            1 + plan->total / plan->steps_per_epoch + (plan->total % plan->steps_per_epoch != 0);
        c->probe_hours = c->seconds_per_probe * (double)c->probes / 3600;
    }
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        c->peak = (size_t)usage.ru_maxrss << 10;
    return true;
}

static void put_bytes(nnclr_table *table, size_t bytes) {
    if (bytes > 0 && bytes <= INT64_MAX)
        nnclr_table_int(table, (int64_t)bytes);
    else
        nnclr_table_text(table, NULL);
}

static void print_cost(const dry_run *t, const cost *c) {
    static const char *const columns[] = {"pictures",         "batch",
                                          "steps_per_epoch",  "steps",
                                          "epochs",           "measured_steps",
                                          "seconds_per_step", "pictures_per_s",
                                          "waiting",          "hours",
                                          "probes",           "seconds_per_probe",
                                          "probe_hours",      "checkpoint_bytes",
                                          "memory_bytes",     "peak_bytes",
                                          "available_bytes"};
    nnclr_table_section(t->cli, t->json, "cost");
    nnclr_table *table =
        nnclr_table_begin(t->cli, t->json, columns, (int)(sizeof columns / sizeof *columns));
    nnclr_table_int(table, c->pictures);
    nnclr_table_int(table, t->config->batch);
    nnclr_table_int(table, c->plan.steps_per_epoch);
    nnclr_table_int(table, c->plan.total);
    nnclr_table_real(table, (double)c->plan.total / (double)c->plan.steps_per_epoch, 2);
    nnclr_table_int(table, c->speed.steps);
    nnclr_table_real(table, c->speed.seconds, 6);
    nnclr_table_real(table, c->pictures_per_s, 2);
    nnclr_table_real(table, c->speed.waiting, 3);
    nnclr_table_real(table, c->hours, 6);
    nnclr_table_int(table, c->probes);
    nnclr_table_real(table, c->seconds_per_probe, 3);
    nnclr_table_real(table, c->probe_hours, 6);
    put_bytes(table, c->checkpoint);
    put_bytes(table, c->total);
    put_bytes(table, c->peak);
    put_bytes(table, c->available);
    nnclr_table_row_end(table);
    nnclr_table_end(table);
    nnclr_table_section(t->cli, t->json, NULL);
}

/* ---- the summary ---- */

__attribute__((format(printf, 3, 4))) static void put_line(nnclr_table *table, const char *item,
                                                           const char *format, ...) {
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    nnclr_table_text(table, item);
    nnclr_table_text(table, text);
    nnclr_table_row_end(table);
}

static void put_method(nnclr_table *table, const nnclr_config *c) {
    const char *method = nnclr_objective_names[c->objective];
    const int queue = nnclr_objective_recipe(c).queue;
    if (c->model.classes > 0)
        put_line(table, "method", "%s: a classifier of %d classes, and the whole network", method,
                 c->model.classes);
    else if (queue > 0)
        put_line(table, "method", "%s, with a support set of %d rows", method, queue);
    else
        put_line(table, "method", "%s", method);
}

static bool fits(const dry_run *t, const cost *c) {
    return c->total <= c->available / (size_t)t->ranks->local_ranks;
}

static void put_memory(nnclr_table *table, const dry_run *t, const cost *c) {
    const size_t here = c->total * (size_t)t->ranks->local_ranks;
    char ranks[100] = "";
    if (t->ranks->ranks > 1)
        snprintf(ranks, sizeof ranks, "%zu MiB a rank, %zu MiB in all; on this machine ",
                 c->total >> 20, c->total * (size_t)t->ranks->ranks >> 20);
    if (c->available == SIZE_MAX)
        put_line(table, "memory", "%s%zu MiB", ranks, here >> 20);
    else
        put_line(table, "memory", "%s%zu MiB of %zu MiB available: %s", ranks, here >> 20,
                 c->available >> 20, fits(t, c) ? "fits" : "does not fit");
}

static void put_speed(nnclr_table *table, const dry_run *t, const cost *c) {
    char ranks[60] = "";
    if (t->ranks->ranks > 1)
        snprintf(ranks, sizeof ranks, ", %.4g by each of %d ranks",
                 c->pictures_per_s / t->ranks->ranks, t->ranks->ranks);
    put_line(table, "speed", "%.4g pictures/s%s, a step of %.3g s", c->pictures_per_s, ranks,
             c->speed.seconds);
}

static void print_summary(const dry_run *t, const nnclr_training_data *data, int64_t parameters,
                          const cost *c) {
    static const char *const columns[] = {"item", "value"};
    const nnclr_config *config = t->config;
    const nnclr_model_spec *model = &config->model;
    const size_t classes = nnclr_training_data_class_count(data);
    const double probes = c->probes > 0 ? c->probe_hours : 0;
    char time[40], labels[60] = "without labels", micro[60] = "", judged[60] = "";
    if (classes > 0)
        snprintf(labels, sizeof labels, "with labels of %zu class%s", classes,
                 classes == 1 ? "" : "es");
    if (config->micro_batch > 0)
        snprintf(micro, sizeof micro, ", %d at a time", config->micro_batch);
    if (c->probes > 0)
        snprintf(judged, sizeof judged, ", with %lld probes of %.3g s", (long long)c->probes,
                 c->seconds_per_probe);
    nnclr_cli_duration((c->hours + probes) * 3600, time, sizeof time);
    nnclr_table_section(t->cli, false, "summary");
    nnclr_table *table = nnclr_table_begin(t->cli, false, columns, 2);
    put_line(table, "pictures", "%lld, %s", (long long)c->pictures, labels);
    put_line(table, "network", "%s of width %g, stem for %s, pictures of %d x %d",
             nnclr_arch_names[model->arch], model->width, nnclr_stem_names[model->stem],
             model->size, model->size);
    put_line(table, "parameters", "%lld", (long long)parameters);
    put_method(table, config);
    put_line(table, "batch", "%d%s", config->batch, micro);
    put_line(table, "length", "%lld steps, %.4g epochs", (long long)c->plan.total,
             (double)c->plan.total / (double)c->plan.steps_per_epoch);
    put_line(table, "engine", "%s, %s, %d thread%s", t->engine->table->name,
             t->engine->table->precision, t->cli->threads, t->cli->threads == 1 ? "" : "s");
    put_memory(table, t, c);
    put_speed(table, t, c);
    put_line(table, "time", "%s in all%s", time, judged);
    nnclr_table_end(table);
}

/* What the user should do something about. */
static void advise(const dry_run *t, const cost *c) {
    if (c->speed.waiting > 0.1)
        nnclr_cli_note(t->cli,
                       "the network waited for pictures %.0f %% of the time: give a larger "
                       "--cache, or smaller pictures (nnclr-prep --size)",
                       100 * c->speed.waiting);
    if (!fits(t, c))
        nnclr_cli_note(t->cli,
                       "warning: this needs more memory than there is: give a smaller --cache, "
                       "--batch or --queue, or --micro-batch");
}

bool dry_run_print(const dry_run *t, const nnclr_training_data *data, nnclr_trainer *trainer,
                   nnclr_probe *probe, nnclr_error *e) {
    const int64_t parameters =
        (int64_t)nnclr_network_parameter_count(nnclr_trainer_parameters(trainer)->net);
    const bool all = t->json || t->cli->verbosity > 0;
    memory_part parts[PARTS];
    nnclr_run_bytes m;
    cost c = {.pictures = (int64_t)nnclr_training_data_count(data), .available = t->available};
    if (!nnclr_run_memory(t->config, t->ranks->ranks, (size_t)c.pictures, t->engine, &m, e))
        return false;
    c.checkpoint =
        m.weights + m.momentum + m.statistics + m.support + (m.target > 0 ? m.weights : 0);
    c.total =
        list_memory(&m, cached_bytes(data, t->cache), probe ? nnclr_probe_bytes(probe) : 0, parts);
    if (!nnclr_plan_make(t->config, c.pictures, &c.plan, e) || !measure(t, trainer, probe, &c, e))
        return false;
    if (!t->json)
        print_summary(t, data, parameters, &c);
    if (all) {
        if (!print_network(t, e) || !print_plan(t, trainer, true, e) ||
            !print_plan(t, trainer, false, e))
            return false;
        print_memory(t, parts, c.total);
        print_cost(t, &c);
    }
    advise(t, &c);
    return true;
}
