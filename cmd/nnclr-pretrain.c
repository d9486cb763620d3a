/* nnclr-pretrain: trains a network on the pictures of shards, without labels. */
#include <stdio.h>
#include <string.h>

#include "base/available_memory.h"
#include "base/files.h"
#include "base/memory.h"
#include "base/threads.h"
#include "cmd/augment_options.h"
#include "cmd/cli.h"
#include "cmd/dry_run.h"
#include "cmd/pretrain_options.h"
#include "cmd/training.h"
#include "eval/knn.h"
#include "eval/probe.h"
#include "train/run_description.h"
#include "train/trainer.h"

/* Below that a vote is one of a good part of all. */
enum { PROBE_BANK_LEAST = 5 * NNCLR_KNN_K };

#define PROGRAM "nnclr-pretrain " NNCLR_VERSION

typedef struct session {
    nnclr_cli *cli;
    pretrain_settings *settings;
    char **recorded; /* files of the data that run.json names */
    const char *const *files;
    size_t file_count;
    nnclr_training_data data;
    nnclr_tensor_reader *init;
    nnclr_run *run;
    nnclr_pool *pool;
    nnclr_engine engine;
    nnclr_tensor_reader *checkpoint; /* NULL: a new run */
    nnclr_checkpoint_info info;
    nnclr_probe *probe; /* NULL: none */
    nnclr_trainer *trainer;
} session;

static void on_step(void *context, const nnclr_trainer_report *report) {
    session *n = context;
    char loss[40];
    snprintf(loss, sizeof loss, "loss %.4f", report->loss);
    nnclr_cli_progress(n->cli, "steps", (uint64_t)report->step, (uint64_t)report->total, loss);
}

static void on_message(void *context, const char *text) {
    session *n = context;
    nnclr_cli_error(n->cli, "%s", text);
}

static void on_warning(void *context, const char *text) {
    session *n = context;
    nnclr_cli_note(n->cli, "warning: %s", text);
}

static nnclr_probe_end on_probe(void *context, nnclr_probe_line *line, nnclr_error *e) {
    session *n = context;
    nnclr_probe_call call = {.should_stop = training_is_told_to_stop};
    nnclr_accuracy accuracy;
    double began = nnclr_now();
    if (!nnclr_probe_run(n->probe, &call, &accuracy, e)) {
        if (!call.stopped)
            nnclr_fail_at(e, "the probe after step %lld", (long long)line->step);
        return call.stopped ? NNCLR_PROBE_INTERRUPTED : NNCLR_PROBE_FAILED;
    }
    line->n = accuracy.n;
    line->top1 = accuracy.top1;
    line->top5 = accuracy.top5;
    nnclr_cli_note(n->cli,
                   "probe after step %lld: top-1 %.4f, top-5 %.4f of %lld pictures (%.1f s)",
                   (long long)line->step, accuracy.top1, accuracy.top5, (long long)accuracy.n,
                   nnclr_now() - began);
    return NNCLR_PROBE_DONE;
}

/* Which files there are to train on; a resumed run may be told where they are now. */
static bool name_files(session *n, bool views, nnclr_error *e) {
    n->files = (const char *const *)n->cli->operands;
    n->file_count = (size_t)n->cli->operand_count;
    if (n->settings->views) {
        n->files = &n->settings->views;
        n->file_count = 1;
    }
    if (n->file_count > 0) /* else a resumed run: a new one was refused without */
        return true;
    n->recorded = nnclr_run_files(n->settings->folder, views, e);
    n->files = (const char *const *)n->recorded;
    while (n->files && n->files[n->file_count])
        n->file_count++;
    return n->files != NULL;
}

static bool open_data(session *n, bool views, nnclr_error *e) {
    if (!name_files(n, views, e))
        return false;
    if (!views)
        n->data.set =
            nnclr_shard_set_open(n->files, n->file_count, (uint64_t)n->settings->cache, e);
    else if (n->file_count == 1)
        n->data.views = nnclr_views_open(n->files[0], e);
    else
        nnclr_fail(e, NNCLR_ERROR_USAGE,
                   "the run trains on one file of views, not on %zu: name that one", n->file_count);
    return n->data.set || n->data.views;
}

static bool check_size(const session *n, nnclr_error *e) {
    const nnclr_views *views = n->data.views;
    int size = n->settings->config.model.size;
    return !views || nnclr_views_size(views) == size ||
           nnclr_fail(
               e, NNCLR_ERROR_USAGE, "the views of %s are %d pixels wide, not %d: give --size %d",
               nnclr_views_path(views), nnclr_views_size(views), size, nnclr_views_size(views));
}

static bool open_probe(session *n, nnclr_error *e) {
    const pretrain_settings *s = n->settings;
    return !s->probe || (n->probe = nnclr_probe_open(s->probe, s->probe_bank, e)) != NULL;
}

/* Said once nothing refuses the run any more: a refusal is the only message of its fault. */
static void tell_small_bank(const session *n) {
    const pretrain_settings *s = n->settings;
    int64_t bank = n->probe ? nnclr_probe_bank(n->probe) : PROBE_BANK_LEAST;
    if (bank < PROBE_BANK_LEAST)
        nnclr_cli_note(n->cli,
                       "%s: %lld pictures with labels are few for a vote of %d neighbours: the "
                       "probe will say little",
                       s->probe_bank ? s->probe_bank : s->probe, (long long)bank, NNCLR_KNN_K);
}

/* Nothing is touched on disk before everything that the command line says has been checked. */
static bool prepare_new(session *n, nnclr_error *e) {
    pretrain_settings *s = n->settings;
    nnclr_plan plan;
    if (!nnclr_config_check(&s->config, e) || !open_data(n, s->views != NULL, e) ||
        !check_size(n, e) || (s->init && !(n->init = nnclr_initial_state_open(s->init, e))) ||
        !open_probe(n, e))
        return false;
    int64_t records = (int64_t)nnclr_training_data_count(&n->data);
    if (!nnclr_cli_given(n->cli, "warmup") && !nnclr_plan_default_warmup(&s->config, records, e))
        return false;
    if (!nnclr_plan_make(&s->config, records, &plan, e))
        return false;
    if (!training_open_engine(n->cli, s->engine, s->precision, &n->pool, &n->engine, e))
        return false;
    if (!s->dry_run)
        n->run = nnclr_run_open(s->folder, s->force ? NNCLR_RUN_FORCE : NNCLR_RUN_NEW, e);
    return n->run || s->dry_run;
}

static bool prepare_resumed(session *n, nnclr_error *e) {
    pretrain_settings *s = n->settings;
    n->run = nnclr_run_open(s->folder, NNCLR_RUN_RESUME, e);
    if (!n->run)
        return false;
    n->checkpoint = nnclr_checkpoint_open(nnclr_run_checkpoint_path(n->run), &n->info, e);
    if (!n->checkpoint)
        return false;
    if (n->info.config.method.kind == NNCLR_METHOD_FINETUNE)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "%s: this is a run of nnclr-finetune: go on with nnclr-finetune --resume",
                          s->folder);
    if (nnclr_run_done(n->run))
        training_end_finished(n->cli, s->folder, n->info.step);
    s->config = n->info.config;
    if (!open_data(n, nnclr_identity_is_views(n->info.identity), e) ||
        !nnclr_training_data_check(&n->data, n->info.identity, e) || !check_size(n, e) ||
        !open_probe(n, e))
        return false;
    return training_reopen_engine(n->cli, &n->info, &n->pool, &n->engine, e);
}

static void tell_initial_state(session *n) {
    static const char *const words[] = {[NNCLR_ABSENT] = "is not in the file",
                                        [NNCLR_MISFIT] = "has another shape there",
                                        [NNCLR_TAKEN] = "taken"};
    const nnclr_initial_state state = nnclr_trainer_initial_state(n->trainer);
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
    nnclr_cli_note(n->cli, "%s: %s%s", n->settings->init, text,
                   state.strange_rows ? " (its rows are of other data)" : "");
}

/* What an older run left goes when all that the new one needs is there. */
static bool begin_run(session *n, nnclr_error *e) {
    const pretrain_settings *s = n->settings;
    const nnclr_run_description description = {
        .config = &s->config,
        .engine = &n->engine,
        .data = &n->data,
        .program = PROGRAM,
        .files = n->files,
        .file_count = n->file_count,
        .init = s->init,
        .threads = n->cli->threads,
    };
    return (s->resume || nnclr_run_clear(n->run, e)) && nnclr_run_describe(n->run, &description, e);
}

static bool make_trainer(session *n, nnclr_error *e) {
    const pretrain_settings *s = n->settings;
    nnclr_plan plan;
    if (!nnclr_plan_make(&s->config, (int64_t)nnclr_training_data_count(&n->data), &plan, e))
        return false;
    nnclr_trainer_options options = {
        .config = &s->config,
        .data = &n->data,
        .init = n->init,
        .engine = &n->engine,
        .run = n->run,
        .program = PROGRAM,
        .threads = n->cli->threads,
        .keep = s->keep,
        .log_every = s->log_every,
        .max_seconds = s->max_time.count,
        .callbacks = {.context = n,
                      .on_step = on_step,
                      .on_message = on_message,
                      .on_warning = s->dry_run ? NULL : on_warning,
                      .should_stop = training_should_stop,
                      .probe = n->probe ? on_probe : NULL},
    };
    training_save_every(&s->save_every, &plan, &options);
    n->trainer = nnclr_trainer_create(&options, n->checkpoint, &n->info, e);
    if (n->trainer && n->probe &&
        !nnclr_probe_plan(n->probe, nnclr_trainer_parameters(n->trainer), &s->config,
                          n->cli->threads, e))
        return false;
    if (n->trainer && n->init)
        tell_initial_state(n);
    if (n->trainer)
        tell_small_bank(n);
    if (n->trainer)
        nnclr_cli_detail(n->cli,
                         "%zu pictures, %lld steps an epoch, %lld in all from step %lld, %lld of "
                         "warm-up to a rate of %g; engine %s%s%s, %s",
                         nnclr_training_data_count(&n->data), (long long)plan.steps_per_epoch,
                         (long long)plan.total, (long long)n->info.step, (long long)plan.warmup,
                         plan.peak, n->engine.table->name, n->engine.vectors ? " with " : "",
                         n->engine.vectors ? n->engine.vectors : "", n->engine.table->precision);
    return n->trainer != NULL;
}

static void close_session(session *n) {
    nnclr_probe_close(n->probe); /* runs the trainer's network */
    nnclr_trainer_free(n->trainer);
    nnclr_tensor_reader_close(n->checkpoint);
    nnclr_checkpoint_info_free(&n->info);
    nnclr_engine_close(&n->engine);
    nnclr_pool_free(n->pool);
    nnclr_tensor_reader_close(n->init);
    nnclr_training_data_close(&n->data);
    nnclr_run_close(n->run);
    nnclr_free(n->recorded);
}

static void train(nnclr_cli *cli, pretrain_settings *s) {
    session n = {.cli = cli, .settings = s};
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_trainer_result result = {0};
    bool ok = (s->resume ? prepare_resumed(&n, &e) : prepare_new(&n, &e)) && make_trainer(&n, &e);
    /* A signal ends what came before as it ends any program: no file of a run has changed yet. */
    nnclr_cli_catch();
    ok = ok && begin_run(&n, &e) && nnclr_trainer_run(n.trainer, &result, &e);
    nnclr_cli_progress_end(cli);
    int code = ok ? training_conclude(cli, s->folder, &result) : NNCLR_EXIT_FAILED;
    close_session(&n);
    if (!ok)
        nnclr_cli_die(cli, &e);
    training_end(cli, code);
}

static void rehearse(nnclr_cli *cli, pretrain_settings *s) {
    session n = {.cli = cli, .settings = s};
    nnclr_error e = NNCLR_NO_ERROR;
    const dry_run_tables tables = {
        .cli = cli, .json = s->json, .config = &s->config, .available = nnclr_memory_available()};
    bool ok = prepare_new(&n, &e) && dry_run_network(&tables, &e) && make_trainer(&n, &e) &&
              dry_run_cost(&tables, &n.data, (uint64_t)s->cache, n.trainer, n.probe, &e);
    close_session(&n);
    if (!ok)
        nnclr_cli_die(cli, &e);
    nnclr_cli_end(cli, NNCLR_EXIT_DONE);
}

int main(int argc, char **argv) {
    pretrain_settings s = pretrain_defaults(argc, argv);
    nnclr_option options[PRETRAIN_OPTIONS_MOST];
    const nnclr_program program = {
        .name = "nnclr-pretrain",
        .summary = "Trains a network on the pictures of shards, without labels.",
        .usage = "[--preset NAME] [options] -o RUN SHARD...\n"
                 "[--preset NAME] [options] --views FILE -o RUN\n"
                 "--resume -o RUN [SHARD...]",
        .notes =
            "Several SHARDs are one set, numbered on in the order given; - is standard input.\n"
            "SIGUSR1 writes a checkpoint; SIGTERM and SIGINT write one and stop.",
        .options = options,
        .option_count = pretrain_options(&s, options),
    };
    nnclr_cli cli;
    nnclr_cli_begin(&cli, &program, argc, argv);
    pretrain_conclude(&cli, &s);
    if (s.dry_run)
        rehearse(&cli, &s);
    else
        train(&cli, &s);
}
