#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "image/loader.h"
#include "train/metrics_line.h"
#include "train/objective.h"
#include "train/run_memory.h"
#include "train/watch.h"

enum { REHEARSED_MOST = 20 };

struct nnclr_trainer {
    nnclr_trainer_options options;
    nnclr_plan plan;
    nnclr_checkpoint_info info; /* what the next checkpoint says; info.step counts */
    nnclr_initial_state initial;
    nnclr_network *net;
    nnclr_parameters parameters;
    nnclr_pass pass;
    nnclr_communicator communicator;
    nnclr_objective objective;
    nnclr_loader *loader; /* NULL: no step is left */
    nnclr_watch watch;
    nnclr_buffer line;
    double accuracy;       /* for the report */
    double waited;         /* seconds, for views */
    bool starved;          /* the data failed after a complete step */
    double started, saved; /* nnclr_now */
    double logged;
    int64_t logged_step;
    int64_t saved_step; /* -1: no checkpoint of this run is on disk */
    nnclr_trainer_result result;
};

/* ---- building ---- */

static bool describe_data(nnclr_checkpoint_info *info, const nnclr_training_data *data,
                          nnclr_error *e) {
    size_t count = nnclr_training_data_class_count(data);
    info->identity = nnclr_training_data_identity(data, e);
    info->classes = info->identity ? nnclr_alloc_zero(count, sizeof *info->classes, e) : NULL;
    if (!info->classes)
        return false;
    for (; info->class_count < count; info->class_count++)
        if (!(info->classes[info->class_count] =
                  nnclr_strdup(nnclr_training_data_class(data, info->class_count), e)))
            return false;
    return true;
}

static bool describe(nnclr_trainer *t, nnclr_error *e) {
    const nnclr_trainer_options *options = &t->options;
    const nnclr_engine_table *table = options->engine->table;
    t->info.config = *options->config;
    t->info.real = table->real;
    snprintf(t->info.engine, sizeof t->info.engine, "%s", table->name);
    snprintf(t->info.precision, sizeof t->info.precision, "%s", table->precision);
    if (!nnclr_plan_make(options->config, (int64_t)nnclr_training_data_count(options->data),
                         &t->plan, e))
        return false;
    t->info.total_steps = t->plan.total;
    t->info.records = (int64_t)nnclr_training_data_count(options->data);
    return describe_data(&t->info, options->data, e);
}

static bool build(nnclr_trainer *t, const nnclr_tensor_reader *resume, nnclr_error *e) {
    const nnclr_config *config = t->options.config;
    t->communicator = nnclr_communicator_self();
    return (t->net = nnclr_model_build(&config->model, e)) &&
           (!resume || nnclr_checkpoint_check(resume, t->net, true, e)) &&
           nnclr_parameters_create(&t->parameters, t->net, t->options.engine, true, e) &&
           nnclr_pass_create(&t->pass, &t->parameters, nnclr_objective_of(config)->views,
                             config->batch / t->communicator.ranks,
                             nnclr_config_micro_batch(config), e) &&
           nnclr_objective_create(&t->objective, config,
                                  (int64_t)nnclr_training_data_count(t->options.data), &t->pass,
                                  &t->communicator, e);
}

static bool load(nnclr_trainer *t, nnclr_tensor_reader *reader, const nnclr_checkpoint_info *info,
                 nnclr_error *e) {
    t->info.step = t->saved_step = info->step;
    if (info->total_steps != t->plan.total)
        return nnclr_fail(
            e, NNCLR_ERROR_INPUT,
            "%s: a run of %lld steps contradicts its own nnclr.config, which makes it %lld",
            nnclr_tensor_reader_path(reader), (long long)info->total_steps,
            (long long)t->plan.total);
    nnclr_support_set *support = nnclr_objective_support(&t->objective);
    return nnclr_checkpoint_load_parameters(reader, &t->parameters, e) &&
           (!support || nnclr_checkpoint_load_support_set(reader, info, support, e));
}

static bool save(nnclr_trainer *t, nnclr_error *e) {
    t->saved = nnclr_now();
    if (!nnclr_checkpoint_write(nnclr_run_checkpoint_path(t->options.run), t->options.program,
                                &t->info, &t->parameters, nnclr_objective_support(&t->objective),
                                e))
        return false;
    t->saved_step = t->info.step;
    return true;
}

static bool open_loader(nnclr_trainer *t, nnclr_error *e) {
    const nnclr_config *config = t->options.config;
    const nnclr_loader_options options = {
        .augment = config->augment,
        .batch = config->batch,
        .seed = config->data_seed,
        .first_step = t->info.step,
        .steps = t->plan.total - t->info.step,
        .threads = t->options.threads,
        .ahead = NNCLR_BATCHES_AHEAD,
        .window = (size_t)config->shuffle_window,
        .single = t->objective.table->views == 1,
        .whole = true,
    };
    if (options.steps == 0)
        return true;
    t->loader = nnclr_training_data_load(t->options.data, &options, e);
    return t->loader != NULL;
}

static bool start(nnclr_trainer *t, nnclr_error *e) {
    if (!nnclr_parameters_initialize(&t->parameters, t->options.config->init_seed, e))
        return false;
    nnclr_parameters_clear(&t->parameters, "fc.");
    return !t->options.init ||
           nnclr_initial_state_load(t->options.init, t->options.init_prefix, t->info.identity,
                                    &t->parameters, nnclr_objective_support(&t->objective),
                                    &t->initial, e);
}

static bool begin(nnclr_trainer *t, nnclr_tensor_reader *resume, const nnclr_checkpoint_info *info,
                  nnclr_error *e) {
    t->saved_step = -1;
    if (!describe(t, e) || !build(t, resume, e))
        return false;
    t->watch.facts = nnclr_watch_facts_of(t->options.config, &t->plan,
                                          (int64_t)nnclr_training_data_count(t->options.data));
    t->watch.tell = t->options.callbacks.on_warning;
    t->watch.context = t->options.callbacks.context;
    if (resume ? !load(t, resume, info, e) : !start(t, e))
        return false;
    nnclr_pass_pack(&t->pass);
    return open_loader(t, e);
}

nnclr_trainer *nnclr_trainer_create(const nnclr_trainer_options *options,
                                    nnclr_tensor_reader *resume, const nnclr_checkpoint_info *info,
                                    nnclr_error *e) {
    nnclr_trainer *t = nnclr_alloc_zero(1, sizeof *t, e);
    if (!t)
        return NULL;
    t->options = *options;
    t->accuracy = NAN;
    if (begin(t, resume, info, e))
        return t;
    nnclr_trainer_free(t);
    return NULL;
}

void nnclr_trainer_free(nnclr_trainer *t) {
    if (!t)
        return;
    nnclr_loader_close(t->loader);
    nnclr_objective_free(&t->objective);
    nnclr_pass_free(&t->pass);
    nnclr_parameters_free(&t->parameters);
    nnclr_network_free(t->net);
    nnclr_checkpoint_info_free(&t->info);
    nnclr_buffer_free(&t->line);
    nnclr_free(t);
}

nnclr_initial_state nnclr_trainer_initial_state(const nnclr_trainer *t) {
    return t->initial;
}

nnclr_parameters *nnclr_trainer_parameters(nnclr_trainer *t) {
    return &t->parameters;
}

/* ---- one step ---- */

static bool check_finite(const nnclr_trainer *t, const nnclr_batch *batch, nnclr_error *e) {
    double loss = t->objective.loss, norm = t->objective.gradient_norm;
    if (isfinite(loss) && isfinite(norm))
        return true;
    return nnclr_fail(e, NNCLR_ERROR_NUMERIC,
                      "the %s of step %lld (epoch %u) is not finite: start again with a lower --lr "
                      "(now %g) or a longer --warmup; the checkpoint of step %lld is kept",
                      isfinite(loss) ? "gradient" : "loss", (long long)batch->step + 1,
                      (unsigned)batch->epoch, t->options.config->lr, (long long)t->saved_step);
}

/* Reports a failure that training survives. */
static void report_failure(nnclr_trainer *t, const char *consequence, const nnclr_error *failure) {
    char text[sizeof failure->message + 200];
    const nnclr_trainer_callbacks *callbacks = &t->options.callbacks;
    t->result.failure = *failure;
    snprintf(text, sizeof text, "%s; %s", failure->message, consequence);
    if (callbacks->on_message)
        callbacks->on_message(callbacks->context, text);
}

/* A line of the metrics is missing: said once. */
static void report_missing_line(nnclr_trainer *t, const nnclr_error *failure) {
    if (!t->result.metrics_failed)
        report_failure(t, "training continues, but lines of the metrics will be missing", failure);
    t->result.metrics_failed = true;
}

/* Puts t->line into the metrics. */
static void put_line(nnclr_trainer *t) {
    nnclr_error failure = NNCLR_NO_ERROR;
    if (t->options.run &&
        !nnclr_run_metrics_line(t->options.run, (const char *)t->line.data, t->line.size, &failure))
        report_missing_line(t, &failure);
}

static bool log_line(nnclr_trainer *t, nnclr_metrics_line *line, nnclr_error *e) {
    double now = nnclr_now();
    line->images_per_s =
        (double)(line->step - t->logged_step) * t->options.config->batch / (now - t->logged);
    t->logged = now;
    t->logged_step = line->step;
    if (!nnclr_metrics_print(line, &t->line, e))
        return false;
    put_line(t);
    return true;
}

static bool epoch_ends(const nnclr_trainer *t, int64_t step) {
    return step % t->plan.steps_per_epoch == 0;
}

static bool step(nnclr_trainer *t, nnclr_error *e) {
    double asked = nnclr_now();
    const nnclr_batch *batch = nnclr_loader_next(t->loader, e);
    t->waited += nnclr_now() - asked;
    t->starved = !batch;
    if (!batch)
        return e->code == NNCLR_OK &&
               nnclr_fail(e, NNCLR_ERROR_INPUT, "the data ended before step %lld",
                          (long long)t->info.step + 1);
    const nnclr_method_batch views = {
        .views = batch->views,
        .record = batch->record,
        .label = batch->label,
        .step = batch->step + 1,
    };
    nnclr_objective *objective = &t->objective;
    bool log = views.step % t->options.log_every == 0 || views.step == t->plan.total;
    /* A warning should not have to wait for a line when lines are rarer than epochs. */
    bool measured = log || epoch_ends(t, views.step);
    /* Scratch memory for measuring is allocated in the very first step, like all the rest. */
    bool first = objective->scratch.capacity == 0;
    nnclr_metrics_line line;
    if (!nnclr_objective_compute(objective, &views, e) || !check_finite(t, batch, e) ||
        ((measured || first) &&
         !nnclr_objective_measure(objective, &views, batch->epoch, &line, e)))
        return false;
    nnclr_objective_update(objective, &views);
    if (!nnclr_objective_finish(objective, &views, e))
        return false;
    t->info.step++;
    if (measured)
        t->accuracy = line.accuracy;
    if (log && !log_line(t, &line, e))
        return false;
    if (measured)
        nnclr_watch_observe(&t->watch, &line, epoch_ends(t, views.step));
    return true;
}

/* ---- the probe ---- */

/* Whether a probe of the network as it is now is due and not yet in the metrics: a run resumed at
 * an epoch's end may have been stopped before its probe. */
static bool probe_is_due(nnclr_trainer *t, bool starting) {
    const int64_t step = t->info.step, epochs = t->options.probe_every,
                  every = t->plan.steps_per_epoch * (epochs > 0 ? epochs : 1);
    const nnclr_probe_kind *kind = t->options.callbacks.probe_kind;
    return kind && (step % every == 0 || step == t->plan.total) && (step > 0 || kind->at_start) &&
           !(starting && nnclr_run_metrics_has(t->options.run, step, kind->top1));
}

/* False: it failed (*e) before the first step, when the cause can still be fixed, or was
 * interrupted (*e is left alone). */
static bool probe(nnclr_trainer *t, bool starting, nnclr_error *e) {
    if (!probe_is_due(t, starting))
        return true;
    const nnclr_trainer_callbacks *callbacks = &t->options.callbacks;
    double began = nnclr_now();
    nnclr_error failure = NNCLR_NO_ERROR;
    nnclr_probe_line line = {
        .step = t->info.step,
        .epoch = t->info.step == 0 ? -1 : (t->info.step - 1) / t->plan.steps_per_epoch};
    nnclr_probe_end end = callbacks->probe(callbacks->context, &line, &failure);
    if (end == NNCLR_PROBE_INTERRUPTED)
        return false;
    if (end == NNCLR_PROBE_FAILED && starting) {
        *e = failure;
        return false;
    }
    if (end == NNCLR_PROBE_DONE &&
        nnclr_probe_print(callbacks->probe_kind, &line, &t->line, &failure))
        put_line(t);
    else
        report_missing_line(t, &failure);
    t->logged += nnclr_now() - began; /* images_per_s is for training alone */
    return true;
}

/* ---- the loop ---- */

static nnclr_request ask(const nnclr_trainer *t) {
    const nnclr_trainer_callbacks *callbacks = &t->options.callbacks;
    double limit = t->options.max_seconds;
    if (limit > 0 && nnclr_now() - t->started >= limit)
        return NNCLR_STOP_NOW;
    return callbacks->should_stop ? callbacks->should_stop(callbacks->context) : NNCLR_GO_ON;
}

static bool save_is_due(const nnclr_trainer *t) {
    const nnclr_trainer_options *options = &t->options;
    return (options->save_steps > 0 && t->info.step % options->save_steps == 0) ||
           (options->save_seconds > 0 && nnclr_now() - t->saved >= options->save_seconds);
}

/* The lines up to the checkpoint's step reach the disk before it does. */
static void sync_metrics(nnclr_trainer *t) {
    nnclr_error failure = NNCLR_NO_ERROR;
    if (nnclr_run_metrics_sync(t->options.run, &failure))
        return;
    if (!t->result.metrics_failed)
        report_failure(t, "training continues, but lines of the metrics may be missing", &failure);
    t->result.metrics_failed = true;
}

/* What --keep asks for besides the checkpoint; a failure here leaves the run no less complete. */
static void keep_older(nnclr_trainer *t) {
    nnclr_error failure = NNCLR_NO_ERROR;
    t->result.keep_failed =
        !nnclr_run_keep(t->options.run, t->saved_step, t->options.keep, &failure);
    if (t->result.keep_failed)
        report_failure(t, "the checkpoint is written, but not all that --keep asks for are kept",
                       &failure);
}

/* False: there is nothing left that is worth saving. */
static bool save_or_report(nnclr_trainer *t, bool last, nnclr_error *e) {
    nnclr_error failure = NNCLR_NO_ERROR;
    sync_metrics(t);
    t->result.save_failed = !save(t, &failure);
    if (failure.code == NNCLR_ERROR_NUMERIC)
        return nnclr_fail(
            e, NNCLR_ERROR_NUMERIC,
            "the weights after step %lld are not finite, or far too large (%s): start "
            "again with a lower --lr (now %g) or a longer --warmup; the checkpoint of "
            "step %lld is kept",
            (long long)t->info.step, failure.message, t->options.config->lr,
            (long long)t->saved_step);
    if (!t->result.save_failed)
        keep_older(t);
    else if (last)
        t->result.failure = failure;
    else
        report_failure(t, "training continues, and will try again when the next checkpoint is due",
                       &failure);
    return true;
}

static void tell(const nnclr_trainer *t) {
    const nnclr_trainer_callbacks *callbacks = &t->options.callbacks;
    const nnclr_trainer_report report = {
        .step = t->info.step,
        .total = t->plan.total,
        .loss = t->objective.loss,
        .accuracy = t->accuracy,
    };
    if (callbacks->on_step)
        callbacks->on_step(callbacks->context, &report);
}

/* The data failed: what was learnt so far is saved before the run ends. */
static bool save_and_fail(nnclr_trainer *t, nnclr_error *e) {
    const nnclr_error why = *e;
    nnclr_error failure = NNCLR_NO_ERROR;
    bool saved = t->saved_step == t->info.step;
    if (!t->starved)
        return false;
    if (!saved) {
        sync_metrics(t);
        saved = save(t, &failure);
        if (saved)
            keep_older(t);
    }
    return saved ? nnclr_fail(e, why.code,
                              "%s; the checkpoint of step %lld is written: once that is fixed, "
                              "--resume continues from it",
                              why.message, (long long)t->saved_step)
                 : nnclr_fail(e, why.code, "%s; nor can a checkpoint be written: %s", why.message,
                              failure.message);
}

bool nnclr_trainer_run(nnclr_trainer *t, nnclr_trainer_result *result, nnclr_error *e) {
    t->started = t->saved = t->logged = nnclr_now();
    t->logged_step = t->info.step;
    t->result = (nnclr_trainer_result){.total = t->plan.total};
    if (!nnclr_run_metrics_open(t->options.run, t->saved_step, e))
        return false;
    /* So that a run killed before its first checkpoint is due can be resumed too. */
    if (t->saved_step < 0 && (!save(t, e) || !nnclr_run_begin(t->options.run, e))) {
        const nnclr_error why = *e;
        return nnclr_fail(e, why.code,
                          "%s; nothing is trained yet: fix that, or give another RUN with -o",
                          why.message);
    }
    keep_older(t); /* also when resuming: the run may have been killed before this was done */
    bool probed = probe(t, true, e), stop = !probed;
    if (e->code != NNCLR_OK)
        return false;
    while (!stop && t->info.step < t->plan.total) {
        if (!step(t, e))
            return save_and_fail(t, e);
        tell(t);
        probed = probe(t, false, e);
        nnclr_request request = ask(t);
        stop = request == NNCLR_STOP_NOW || !probed;
        bool last = stop || t->info.step == t->plan.total;
        if ((last || request == NNCLR_SAVE_NOW || save_is_due(t)) && !save_or_report(t, last, e))
            return false;
    }
    t->result.step = t->info.step;
    t->result.finished = t->info.step == t->plan.total && probed;
    *result = t->result;
    return !t->result.finished || t->result.save_failed || nnclr_run_mark_done(t->options.run, e);
}

/* ---- before anything is spent ---- */

bool nnclr_trainer_print_plan(const nnclr_trainer *t, bool backbone, nnclr_buffer *out,
                              nnclr_error *e) {
    return nnclr_pass_print_plan(&t->pass, backbone, out, e);
}

bool nnclr_trainer_rehearse(nnclr_trainer *t, double limit, nnclr_trainer_speed *speed,
                            nnclr_error *e) {
    int64_t left = t->plan.total - t->info.step, warm = 0, most;
    double began = nnclr_now(), seconds = 0;
    *speed = (nnclr_trainer_speed){0};
    t->logged = began;
    if (left < 1)
        return true;
    /* The first step touches all memory, and the next ones use views that the loader made
     * meanwhile. */
    while (warm < left - 1 && warm <= NNCLR_BATCHES_AHEAD && seconds < limit) {
        if (!step(t, e))
            return false;
        warm++;
        seconds = nnclr_now() - began;
    }
    if (warm == 1 && seconds >= limit) {
        *speed = (nnclr_trainer_speed){1, seconds, t->waited / seconds};
        return true;
    }
    most = left - warm < REHEARSED_MOST ? left - warm : REHEARSED_MOST;
    began = nnclr_now();
    t->waited = seconds = 0;
    do {
        if (!step(t, e))
            return false;
        speed->steps++;
        seconds = nnclr_now() - began;
    } while (speed->steps < most && seconds < limit);
    speed->seconds = seconds / (double)speed->steps;
    speed->waiting = t->waited / seconds;
    return true;
}
