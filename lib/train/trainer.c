#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "image/loader.h"
#include "train/objective.h"
#include "train/ranks_alike.h"
#include "train/run_memory.h"
#include "train/watch.h"

enum {
    REHEARSED_MOST = 20,
    /* What is measured for a line costs part of a step: in long runs one of ten is enough. Counted,
     * not timed: equal runs have equal lines. */
    SHORT_RUN = 2000, /* steps, that all have a line */
    LONG_EVERY = 10
};

struct nnclr_trainer {
    nnclr_trainer_options options;
    nnclr_plan plan;
    nnclr_checkpoint_info info; /* what the next checkpoint says; info.step counts */
    nnclr_initial_state initial;
    nnclr_network *net;
    nnclr_parameters parameters;
    nnclr_pass pass;
    nnclr_communicator self, *communicator;
    nnclr_objective objective;
    nnclr_appearances appearances; /* of the data, if neighbours are sought by them */
    nnclr_loader *loader;          /* NULL: no step is left */
    nnclr_watch watch;
    bool resumed;
    bool starved;    /* the data failed after a complete step */
    double accuracy; /* for the report */
    double waited;   /* seconds, for views */
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
    if (t->options.log_every == 0)
        t->options.log_every = t->plan.total < SHORT_RUN ? 1 : LONG_EVERY;
    t->info.records = (int64_t)nnclr_training_data_count(options->data);
    return describe_data(&t->info, options->data, e);
}

static bool build(nnclr_trainer *t, const nnclr_tensor_reader *resume, nnclr_error *e) {
    const nnclr_config *config = t->options.config;
    const bool follows = config->method.target_momentum > 0;
    const int ranks = t->communicator->ranks;
    return nnclr_config_check_ranks(config, ranks, e) &&
           (t->net = nnclr_model_build(&config->model, e)) &&
           (!resume ||
            nnclr_checkpoint_check(resume, t->net,
                                   NNCLR_WITH_MOMENTUM | (follows ? NNCLR_WITH_TARGET : 0u), e)) &&
           nnclr_parameters_create(&t->parameters, t->net, t->options.engine, true, e) &&
           (!follows || nnclr_parameters_add_target(&t->parameters, e)) &&
           nnclr_pass_create(&t->pass, &t->parameters, nnclr_objective_of(config)->views,
                             config->batch / ranks, nnclr_config_micro_batch(config), e) &&
           nnclr_objective_create(&t->objective, config,
                                  (int64_t)nnclr_training_data_count(t->options.data), &t->pass,
                                  t->communicator, e);
}

static bool load(nnclr_trainer *t, nnclr_tensor_reader *reader, const nnclr_checkpoint_info *info,
                 nnclr_error *e) {
    t->info.step = info->step;
    t->resumed = true;
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

static bool open_loader(nnclr_trainer *t, nnclr_error *e) {
    const nnclr_config *config = t->options.config;
    const nnclr_loader_options options = {
        .augment = config->augment,
        .batch = config->batch,
        .slice_first = t->communicator->rank * t->pass.n,
        .slice_count = t->pass.n,
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

static nnclr_run_state state_of(nnclr_trainer *t) {
    return (nnclr_run_state){&t->info, &t->parameters, nnclr_objective_support(&t->objective)};
}

static bool is_alike(nnclr_trainer *t, nnclr_error *e) {
    const nnclr_run_state state = state_of(t);
    char what[80];
    snprintf(what, sizeof what, "the state after step %lld", (long long)t->info.step);
    return nnclr_ranks_are_alike(t->communicator, &state, what, e);
}

static bool look(nnclr_trainer *t, nnclr_error *e) {
    const nnclr_trainer_options *options = &t->options;
    if (options->config->method.appearance == 0)
        return true;
    if (!options->data->set)
        return nnclr_fail(
            e, NNCLR_ERROR_USAGE,
            "views made before do not say what their pictures look like: give shards, "
            "or --appearance 0");
    return nnclr_appearances_make(&t->appearances, options->data->set, options->threads, NULL, e) &&
           nnclr_objective_look(&t->objective, &t->appearances, e);
}

/* What a rank does by itself. */
static bool prepare(nnclr_trainer *t, nnclr_tensor_reader *resume,
                    const nnclr_checkpoint_info *info, nnclr_error *e) {
    if (!describe(t, e) || !build(t, resume, e) || !look(t, e))
        return false;
    t->watch.facts = nnclr_watch_facts_of(t->options.config, &t->plan,
                                          (int64_t)nnclr_training_data_count(t->options.data));
    t->watch.tell = t->options.callbacks.on_warning;
    t->watch.context = t->options.callbacks.context;
    if (resume ? !load(t, resume, info, e) : !start(t, e))
        return false;
    nnclr_objective_start(&t->objective, resume != NULL);
    return open_loader(t, e);
}

static bool begin(nnclr_trainer *t, nnclr_tensor_reader *resume, const nnclr_checkpoint_info *info,
                  nnclr_error *e) {
    prepare(t, resume, info, e);
    return nnclr_agree(t->communicator, NULL, e) &&
           nnclr_ranks_start_alike(t->communicator, &t->info, t->options.engine, e) &&
           is_alike(t, e);
}

static void keep_for_first_rank(nnclr_trainer_options *options) {
    nnclr_trainer_callbacks *callbacks = &options->callbacks;
    options->writer = NULL;
    callbacks->on_step = NULL;
    callbacks->on_warning = NULL;
    callbacks->probe_kind = NULL;
}

nnclr_trainer *nnclr_trainer_create(const nnclr_trainer_options *options,
                                    nnclr_tensor_reader *resume, const nnclr_checkpoint_info *info,
                                    nnclr_error *e) {
    nnclr_trainer *t = nnclr_alloc_zero(1, sizeof *t, e);
    if (!t)
        return NULL;
    t->options = *options;
    t->self = nnclr_communicator_self();
    t->communicator = options->communicator ? options->communicator : &t->self;
    if (t->communicator->rank > 0)
        keep_for_first_rank(&t->options);
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
    nnclr_appearances_free(&t->appearances);
    nnclr_pass_free(&t->pass);
    nnclr_parameters_free(&t->parameters);
    nnclr_network_free(t->net);
    nnclr_checkpoint_info_free(&t->info);
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
    const nnclr_run_writer *writer = t->options.writer;
    char kept[80] = "";
    if (isfinite(t->objective.loss) && isfinite(t->objective.gradient_norm))
        return true;
    if (writer)
        snprintf(kept, sizeof kept, "; the checkpoint of step %lld is kept",
                 (long long)writer->saved_step);
    return nnclr_fail(e, NNCLR_ERROR_NUMERIC,
                      "the %s of step %lld (epoch %u) is not finite: start again with a lower --lr "
                      "(now %g) or a longer --warmup%s",
                      isfinite(t->objective.loss) ? "gradient" : "loss", (long long)batch->step + 1,
                      (unsigned)batch->epoch, t->options.config->lr, kept);
}

static const nnclr_batch *next_batch(nnclr_trainer *t, nnclr_error *e) {
    const double asked = nnclr_now();
    const nnclr_batch *batch = nnclr_loader_next(t->loader, e);
    t->waited += nnclr_now() - asked;
    if (!batch && e->code == NNCLR_OK)
        nnclr_fail(e, NNCLR_ERROR_INPUT, "the data ended before step %lld",
                   (long long)t->info.step + 1);
    t->starved = !nnclr_agree(t->communicator, NULL, e);
    return t->starved ? NULL : batch;
}

static bool step(nnclr_trainer *t, nnclr_error *e) {
    nnclr_objective *objective = &t->objective;
    const nnclr_batch *batch = next_batch(t, e);
    if (!batch)
        return false;
    const nnclr_method_batch views = {
        .views = batch->views,
        .record = batch->record,
        .label = batch->label,
        .step = batch->step + 1,
    };
    const bool epoch_ends = views.step % t->plan.steps_per_epoch == 0;
    const bool log = views.step % t->options.log_every == 0 || views.step == t->plan.total;
    /* A warning should not have to wait for a line when lines are rarer than epochs. */
    const bool measured = log || epoch_ends;
    /* Scratch memory for measuring is allocated in the very first step, like all the rest. */
    const bool first = objective->scratch.capacity == 0;
    nnclr_metrics_line line;
    if (!nnclr_objective_compute(objective, &views, e))
        return false;
    if (!check_finite(t, batch, e)) /* then it is not on any rank */
        return nnclr_agree(t->communicator, NULL, e);
    if ((measured || first) && !nnclr_objective_measure(objective, &views, batch->epoch, &line, e))
        return false;
    nnclr_objective_update(objective, &views);
    if (!nnclr_objective_finish(objective, &views, e))
        return false;
    t->info.step++;
    if (!measured)
        return true;
    t->accuracy = line.accuracy;
    if (log)
        nnclr_run_writer_line(t->options.writer, &line);
    nnclr_watch_observe(&t->watch, &line, epoch_ends);
    return true;
}

/* ---- the probe ---- */

/* Whether a probe of the network as it is now is due and not yet in the metrics: a run resumed at
 * an epoch's end may have been stopped before its probe. */
static bool probe_is_due(const nnclr_trainer *t, bool starting) {
    const nnclr_probe_kind *kind = t->options.callbacks.probe_kind;
    const int64_t step = t->info.step, epochs = t->options.probe_every,
                  every = t->plan.steps_per_epoch * (epochs > 0 ? epochs : 1);
    return kind && (step % every == 0 || step == t->plan.total) && (step > 0 || kind->at_start) &&
           !(starting && nnclr_run_writer_has_probe(t->options.writer, kind, step));
}

/* False: it failed (*e) before the first step, when the cause can still be fixed, or was
 * interrupted (*e is left alone). */
static bool probe(nnclr_trainer *t, bool starting, nnclr_error *e) {
    if (!probe_is_due(t, starting))
        return true;
    const nnclr_trainer_callbacks *callbacks = &t->options.callbacks;
    const double began = nnclr_now();
    nnclr_error failure = NNCLR_NO_ERROR;
    nnclr_probe_line line = {
        .step = t->info.step,
        .epoch = t->info.step == 0 ? -1 : (t->info.step - 1) / t->plan.steps_per_epoch};
    const nnclr_probe_end end = callbacks->probe(callbacks->context, &line, &failure);
    if (end == NNCLR_PROBE_INTERRUPTED)
        return false;
    if (end == NNCLR_PROBE_FAILED && starting) {
        *e = failure;
        return false;
    }
    nnclr_run_writer_probe(t->options.writer, callbacks->probe_kind, &line, &failure,
                           nnclr_now() - began);
    return true;
}

/* ---- the loop ---- */

/* What one rank wishes, all do. */
enum { SAVE = 1, STOP = 2, UNPROBED = 4 };

static unsigned ask(const nnclr_trainer *t, double started, bool probed) {
    const nnclr_trainer_callbacks *callbacks = &t->options.callbacks;
    const double limit = t->options.max_seconds;
    nnclr_request request = NNCLR_GO_ON;
    if (limit > 0 && nnclr_now() - started >= limit)
        request = NNCLR_STOP_NOW;
    else if (callbacks->should_stop)
        request = callbacks->should_stop(callbacks->context);
    const bool save = request == NNCLR_SAVE_NOW || nnclr_run_writer_is_due(t->options.writer);
    return (save ? SAVE : 0u) | (request == NNCLR_STOP_NOW ? STOP : 0u) |
           (probed ? 0u : STOP | UNPROBED);
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

/* A checkpoint of what all ranks have. */
static bool save(nnclr_trainer *t, bool last, nnclr_error *e) {
    if (!is_alike(t, e))
        return false;
    nnclr_run_writer_save(t->options.writer, last, e);
    return nnclr_agree(t->communicator, NULL, e);
}

/* A step, and what ranks then wish. */
static bool advance(nnclr_trainer *t, double started, unsigned *wishes, nnclr_error *e) {
    if (!step(t, e)) {
        if (t->starved)
            nnclr_run_writer_rescue(t->options.writer, e);
        return false;
    }
    tell(t);
    *wishes = ask(t, started, probe(t, false, e));
    return nnclr_agree(t->communicator, wishes, e);
}

bool nnclr_trainer_run(nnclr_trainer *t, nnclr_trainer_result *result, nnclr_error *e) {
    nnclr_run_writer *writer = t->options.writer;
    const nnclr_run_state state = state_of(t);
    const double started = nnclr_now();
    *result = (nnclr_trainer_result){.total = t->plan.total};
    unsigned wishes = 0;
    if (nnclr_run_writer_begin(writer, &state, t->resumed, e) && !probe(t, true, e))
        wishes = STOP | UNPROBED;
    if (!nnclr_agree(t->communicator, &wishes, e))
        return false;
    while (!(wishes & STOP) && t->info.step < t->plan.total) {
        if (!advance(t, started, &wishes, e))
            return false;
        const bool last = wishes & STOP || t->info.step == t->plan.total;
        if ((last || wishes & SAVE) && !save(t, last, e))
            return false;
    }
    result->step = t->info.step;
    result->finished = t->info.step == t->plan.total && !(wishes & UNPROBED);
    if (result->finished)
        nnclr_run_writer_finish(writer, e);
    return nnclr_agree(t->communicator, NULL, e);
}

/* ---- before anything is spent ---- */

bool nnclr_trainer_print_plan(const nnclr_trainer *t, bool backbone, nnclr_buffer *out,
                              nnclr_error *e) {
    return nnclr_pass_print_plan(&t->pass, backbone, out, e);
}

/* A step of a rehearsal that began at that time; *late: it has taken `limit` on some rank. */
static bool rehearse(nnclr_trainer *t, double began, double limit, double *seconds, unsigned *late,
                     nnclr_error *e) {
    if (!step(t, e))
        return false;
    *seconds = nnclr_now() - began;
    *late = *seconds >= limit;
    return nnclr_agree(t->communicator, late, e);
}

bool nnclr_trainer_rehearse(nnclr_trainer *t, double limit, nnclr_trainer_speed *speed,
                            nnclr_error *e) {
    int64_t left = t->plan.total - t->info.step, warm = 0, most;
    double began = nnclr_now(), seconds = 0;
    unsigned late = 0;
    *speed = (nnclr_trainer_speed){0};
    if (left < 1)
        return true;
    /* The first step touches all memory, and the next ones use views that the loader made
     * meanwhile. */
    for (; warm < left - 1 && warm <= NNCLR_BATCHES_AHEAD && !late; warm++)
        if (!rehearse(t, began, limit, &seconds, &late, e))
            return false;
    if (warm == 1 && late) {
        *speed = (nnclr_trainer_speed){1, seconds, t->waited / seconds};
        return true;
    }
    most = left - warm < REHEARSED_MOST ? left - warm : REHEARSED_MOST;
    began = nnclr_now();
    t->waited = 0;
    do {
        if (!rehearse(t, began, limit, &seconds, &late, e))
            return false;
        speed->steps++;
    } while (speed->steps < most && !late);
    speed->seconds = seconds / (double)speed->steps;
    speed->waiting = t->waited / seconds;
    return true;
}
