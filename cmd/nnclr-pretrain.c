/* nnclr-pretrain: trains a network on the pictures of shards, without labels. */
#include <stdio.h>

#include "base/files.h"
#include "cmd/pictures.h"
#include "cmd/pretrain_options.h"
#include "cmd/training.h"
#include "eval/knn.h"
#include "eval/probe.h"

/* With fewer, a vote is one of a large part of them all. */
enum { PROBE_BANK_LEAST = 5 * NNCLR_KNN_K };

typedef struct session {
    training_session training; /* first */
    pretrain_settings *settings;
    nnclr_probe *probe; /* NULL: none */
} session;

static session *session_of(void *training) {
    return training;
}

static void on_warning(void *context, const char *text) {
    nnclr_cli_note(session_of(context)->training.cli, "warning: %s", text);
}

static nnclr_probe_end on_probe(void *context, nnclr_probe_line *line, nnclr_error *e) {
    session *n = session_of(context);
    const nnclr_progress progress = nnclr_cli_watch(n->training.cli);
    nnclr_accuracy accuracy;
    double began = nnclr_now();
    if (!nnclr_probe_run(n->probe, &progress, &accuracy, e)) {
        if (e->code == NNCLR_ERROR_STOPPED)
            return NNCLR_PROBE_INTERRUPTED;
        nnclr_fail_at(e, "the probe after step %lld", (long long)line->step);
        return NNCLR_PROBE_FAILED;
    }
    line->n = accuracy.n;
    line->top1 = accuracy.top1;
    line->top5 = accuracy.top5;
    nnclr_cli_note(n->training.cli,
                   "probe after step %lld: top-1 %.4f, top-5 %.4f of %lld pictures (%.1f s)",
                   (long long)line->step, accuracy.top1, accuracy.top5, (long long)accuracy.n,
                   nnclr_now() - began);
    return NNCLR_PROBE_DONE;
}

/* A resumed run may be told where its files are now. */
static bool name_files(session *n, bool views, nnclr_error *e) {
    if (!n->settings->views)
        return training_name_files(&n->training, views, e);
    n->training.files = &n->settings->views;
    n->training.file_count = 1;
    return true;
}

static bool open_data(session *n, bool views, nnclr_error *e) {
    training_session *t = &n->training;
    if (!name_files(n, views, e))
        return false;
    if (!views)
        t->data.set =
            pictures_open(t->cli, t->files, t->file_count, (uint64_t)t->settings->cache, e);
    else if (t->file_count == 1)
        t->data.views = nnclr_views_open(t->files[0], e);
    else
        nnclr_fail(e, NNCLR_ERROR_USAGE,
                   "the run trains on one file of views, not on %zu: name only that one",
                   t->file_count);
    return t->data.set || t->data.views;
}

static bool check_size(const session *n, nnclr_error *e) {
    const nnclr_views *views = n->training.data.views;
    int size = n->training.settings->config.model.size;
    return !views || nnclr_views_size(views) == size ||
           nnclr_fail(
               e, NNCLR_ERROR_USAGE, "the views of %s are %d pixels wide, not %d: give --size %d",
               nnclr_views_path(views), nnclr_views_size(views), size, nnclr_views_size(views));
}

static bool open_probe(session *n, nnclr_error *e) {
    const pretrain_settings *s = n->settings;
    nnclr_probe_data judged = {.path = s->probe}, bank = {.path = s->probe_bank};
    if (!judged.path || n->training.cli->ranks.rank > 0)
        return true;
    judged.set = pictures_open(n->training.cli, &judged.path, 1, PICTURES_CACHE, e);
    if (judged.set && bank.path)
        bank.set = pictures_open(n->training.cli, &bank.path, 1, PICTURES_CACHE, e);
    if (judged.set && (bank.set || !bank.path))
        n->probe = nnclr_probe_open(judged, bank, e);
    else
        nnclr_shard_set_close(judged.set);
    return n->probe != NULL;
}

/* Said only once nothing can refuse the run any more: a refusal should be the only message. */
static void tell_small_bank(const session *n) {
    const pretrain_settings *s = n->settings;
    int64_t bank = n->probe ? nnclr_probe_bank(n->probe) : PROBE_BANK_LEAST;
    if (bank < PROBE_BANK_LEAST)
        nnclr_cli_note(n->training.cli,
                       "%s: %lld pictures with labels are few for a vote of %d neighbours: the "
                       "probe will say little",
                       s->probe_bank ? s->probe_bank : s->probe, (long long)bank, NNCLR_KNN_K);
}

/* Nothing is touched on disk before everything that the command line says has been checked. */
static bool prepare_new(training_session *t, nnclr_error *e) {
    session *n = session_of(t);
    pretrain_settings *s = n->settings;
    nnclr_config *config = &t->settings->config;
    nnclr_plan plan;
    if (!nnclr_config_check(config, e) ||
        (s->init && !(t->initial = nnclr_initial_state_open(s->init, t->settings->prefix, e))) ||
        !open_data(n, s->views != NULL, e) || !check_size(n, e) || !open_probe(n, e))
        return false;
    int64_t records = (int64_t)nnclr_training_data_count(&t->data);
    if (records < config->batch && !nnclr_cli_given(t->cli, "preset") &&
        !nnclr_cli_given(t->cli, "batch"))
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "without --preset a batch is %d pictures, as the paper has it, and the "
                          "data has %lld: give --preset tiny or cifar, or a smaller --batch",
                          config->batch, (long long)records);
    if (!nnclr_cli_given(t->cli, "warmup") && !nnclr_plan_default_warmup(config, records, e))
        return false;
    return nnclr_plan_make(config, records, &plan, e) && training_open_new(t, e);
}

static bool prepare_resumed(training_session *t, nnclr_error *e) {
    session *n = session_of(t);
    return training_open_resumed(t, e) &&
           open_data(n, nnclr_identity_is_views(t->info.identity), e) &&
           nnclr_training_data_check(&t->data, t->info.identity, e) && check_size(n, e) &&
           open_probe(n, e) && training_reopen_engine(t, e);
}

static void tell_initial_state(session *n) {
    static const char *const words[] = {[NNCLR_ABSENT] = "is not in the file",
                                        [NNCLR_MISFIT] = "has another shape in the file",
                                        [NNCLR_TAKEN] = "taken"};
    const nnclr_initial_state state = nnclr_trainer_initial_state(n->training.trainer);
    const struct {
        const char *name;
        nnclr_taken taken;
    } parts[] = {
        {"projector", state.projector}, {"predictor", state.predictor}, {"queue", state.queue}};
    char text[200];
    int used = snprintf(text, sizeof text, "backbone taken");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].taken != NNCLR_UNWANTED)
            used += snprintf(text + used, sizeof text - (size_t)used, ", %s %s", parts[i].name,
                             words[parts[i].taken]);
    nnclr_cli_note(n->training.cli, "%s: %s%s", n->settings->init, text,
                   state.foreign_rows ? " (its rows come from other data)" : "");
}

static bool make_trainer(training_session *t, nnclr_error *e) {
    session *n = session_of(t);
    const training_settings *s = t->settings;
    const nnclr_trainer_callbacks callbacks = {.on_warning = s->dry_run ? NULL : on_warning,
                                               .probe_kind = n->probe ? &nnclr_knn_probe : NULL,
                                               .probe = on_probe};
    if (!training_make_trainer(t, callbacks, 0, e) ||
        (n->probe && !nnclr_probe_plan(n->probe, nnclr_trainer_parameters(t->trainer), &s->config,
                                       t->cli->threads, e)))
        return false;
    if (t->initial)
        tell_initial_state(n);
    tell_small_bank(n);
    nnclr_cli_detail(t->cli,
                     "%zu pictures, %lld steps an epoch, %lld in all from step %lld, %lld of "
                     "warm-up to a rate of %g; engine %s%s%s, %s",
                     nnclr_training_data_count(&t->data), (long long)t->plan.steps_per_epoch,
                     (long long)t->plan.total, (long long)t->info.step, (long long)t->plan.warmup,
                     t->plan.peak, t->engine.table->name, t->engine.vectors ? " with " : "",
                     t->engine.vectors ? t->engine.vectors : "", t->engine.table->precision);
    return true;
}

static void close_probe(training_session *t) {
    nnclr_probe_close(session_of(t)->probe);
}

int main(int argc, char **argv) {
    pretrain_settings s;
    nnclr_option options[PRETRAIN_OPTIONS_MOST];
    const size_t option_count = pretrain_options(&s, options);
    s = pretrain_defaults(&(nnclr_command_line){options, option_count, argc, argv});
    const nnclr_program program = {
        .name = "nnclr-pretrain",
        .summary = "Trains a network on the pictures of shards, without labels.",
        .usage = "[--preset NAME] [options] -o RUN SHARD...\n"
                 "[--preset NAME] [options] --views FILE -o RUN\n"
                 "--resume -o RUN [SHARD...]",
        .notes = TRAINING_NOTES,
        .ranks = true,
        .options = options,
        .option_count = option_count,
    };
    nnclr_cli cli;
    nnclr_cli_begin(&cli, &program, argc, argv);
    pretrain_finish(&cli, &s);
    static const training_program trains = {.name = "nnclr-pretrain " NNCLR_VERSION,
                                            .prepare_new = prepare_new,
                                            .prepare_resumed = prepare_resumed,
                                            .make_trainer = make_trainer,
                                            .close = close_probe,
                                            .other = "nnclr-finetune"};
    session n = {.training = {.program = &trains, .cli = &cli, .settings = &s.run, .init = s.init},
                 .settings = &s};
    if (s.run.dry_run)
        training_rehearse(&n.training, &n.probe);
    training_run(&n.training);
}
