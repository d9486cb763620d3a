#include "cmd/dry_run.h"

#include <math.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/files.h"
#include "base/memory.h"
#include "train/schedule.h"

static const double seconds_of_steps = 10; /* that are measured */

bool dry_run_network(const dry_run_tables *t, nnclr_error *e) {
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

static bool print_plan(const dry_run_tables *t, const nnclr_trainer *trainer, bool backbone,
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
    return (size_t)(bytes < cache ? bytes : cache);
}

/* Returns the sum. */
static size_t print_memory(const dry_run_tables *t, const nnclr_trainer_memory *m, size_t cache,
                           size_t probe) {
    static const char *const columns[] = {"part", "bytes"};
    const struct {
        const char *part;
        size_t bytes;
    } parts[] = {
        {"weights", m->weights},
        {"gradients", m->gradients},
        {"momentum", m->momentum},
        {"statistics", m->statistics},
        {"micro_batch", m->backbone},
        {"activations", m->activations},
        {"method", m->method},
        {"support_set", m->support},
        {"views_ahead", m->batches},
        {"cache", cache},
        {"probe", probe},
    };
    size_t total = 0;
    nnclr_table_section(t->cli, t->json, "memory");
    nnclr_table *table = nnclr_table_begin(t->cli, t->json, columns, 2);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        nnclr_table_text(table, parts[i].part);
        nnclr_table_int(table, (int64_t)parts[i].bytes);
        nnclr_table_row_end(table);
        total += parts[i].bytes;
    }
    nnclr_table_text(table, "total");
    nnclr_table_int(table, (int64_t)total);
    nnclr_table_row_end(table);
    nnclr_table_end(table);
    return total;
}

/* ---- cost ---- */

typedef struct cost {
    int64_t pictures, probes;
    nnclr_plan plan;
    nnclr_trainer_speed speed;
    double pictures_per_s, hours, seconds_per_probe, probe_hours;
    size_t checkpoint, total, peak, available;
} cost;

static bool measure(const dry_run_tables *t, nnclr_trainer *trainer, nnclr_probe *probe, cost *c,
                    nnclr_error *e) {
    const nnclr_plan *plan = &c->plan;
    nnclr_cli_note(t->cli, "measuring the speed; nothing is written");
    if (!nnclr_trainer_rehearse(trainer, seconds_of_steps, &c->speed, e))
        return false;
    c->pictures_per_s = t->config->batch / c->speed.seconds;
    c->hours = c->speed.seconds * (double)plan->total / 3600;
    c->seconds_per_probe = c->probe_hours = NAN;
    if (probe) {
        nnclr_probe_call call = {.should_stop = NULL};
        nnclr_accuracy accuracy;
        double began = nnclr_now();
        if (!nnclr_probe_run(probe, &call, &accuracy, e))
            return nnclr_fail_at(e, "the probe");
        c->seconds_per_probe = nnclr_now() - began;
        /* Before the first step, after each epoch and, where it ends within one, at the end. */
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

static void print_cost(const dry_run_tables *t, const cost *c) {
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

/* The same for people. */
static void tell(const dry_run_tables *t, const cost *c) {
    char time[40], probes[100] = "";
    double seconds = c->hours * 3600;
    if (c->probes > 0) {
        seconds += c->probe_hours * 3600;
        snprintf(probes, sizeof probes, ", with %lld probes of %.3g s", (long long)c->probes,
                 c->seconds_per_probe);
    }
    nnclr_cli_duration(seconds, time, sizeof time);
    nnclr_cli_note(t->cli, "%lld steps of %.3g s (%.4g pictures/s)%s: %s in all",
                   (long long)c->plan.total, c->speed.seconds, c->pictures_per_s, probes, time);
    char available[60] = "";
    if (c->available < SIZE_MAX)
        snprintf(available, sizeof available, ", %zu MiB were available", c->available >> 20);
    nnclr_cli_note(t->cli, "%zu MiB of memory planned, %zu MiB used%s", c->total >> 20,
                   c->peak >> 20, available);
    if (c->speed.waiting > 0.1)
        nnclr_cli_note(t->cli,
                       "the network waited for pictures for %.0f %% of the time: give a larger "
                       "--cache, or smaller pictures (nnclr-prep --size)",
                       100 * c->speed.waiting);
    if (c->total > c->available)
        nnclr_cli_note(t->cli,
                       "warning: that is more memory than there is: give a smaller --cache, "
                       "--batch or --queue, or --micro-batch");
}

bool dry_run_cost(const dry_run_tables *t, const nnclr_training_data *data, uint64_t cache,
                  nnclr_trainer *trainer, nnclr_probe *probe, nnclr_error *e) {
    const nnclr_trainer_memory m = nnclr_trainer_memory_of(trainer);
    cost c = {.pictures = (int64_t)nnclr_training_data_count(data), .available = t->available};
    if (!nnclr_plan_make(t->config, c.pictures, &c.plan, e) || !print_plan(t, trainer, true, e) ||
        !print_plan(t, trainer, false, e))
        return false;
    c.checkpoint = m.weights + m.momentum + m.statistics + m.support;
    c.total = print_memory(t, &m, cached_bytes(data, cache), probe ? nnclr_probe_bytes(probe) : 0);
    if (!measure(t, trainer, probe, &c, e))
        return false;
    print_cost(t, &c);
    tell(t, &c);
    return true;
}
