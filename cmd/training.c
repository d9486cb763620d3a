#include "cmd/training.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/available_memory.h"
#include "base/memory.h"
#include "base/threads.h"
#include "cmd/augment_options.h"
#include "cmd/dry_run.h"
#include "train/run_description.h"
#include "train/run_memory.h"

/* ---- preparing ---- */

bool training_name_files(training_session *n, bool views, nnclr_error *e) {
    n->files = (const char *const *)n->cli->operands;
    n->file_count = (size_t)n->cli->operand_count;
    if (n->file_count > 0)
        return true;
    n->recorded = nnclr_run_files(n->settings->folder, views, e);
    n->files = (const char *const *)n->recorded;
    while (n->files && n->files[n->file_count])
        n->file_count++;
    return n->files != NULL;
}

static bool open_engine(training_session *n, int choice, int precision, nnclr_error *e) {
    n->pool = nnclr_pool_create(n->cli->threads, e);
    return n->pool && nnclr_engine_open(&n->engine, (nnclr_engine_choice)choice,
                                        (nnclr_precision)precision, n->pool, e);
}

bool training_open_new(training_session *n, nnclr_error *e) {
    const training_settings *s = n->settings;
    const nnclr_communicator *ranks = &n->cli->ranks;
    const size_t available = nnclr_memory_available();
    if (!engine_asked_for(open_engine(n, s->engine, s->precision, e), e) ||
        !nnclr_run_fits(&s->config, ranks->ranks, nnclr_training_data_count(&n->data), &n->engine,
                        available == SIZE_MAX ? available : available / (size_t)ranks->local_ranks,
                        e))
        return false;
    if (s->dry_run)
        return true;
    /* From now on there are traces of the run, which whoever is asked to stop has to remove. */
    nnclr_cli_catch(n->cli, NULL);
    if (ranks->rank > 0)
        return true;
    n->run = nnclr_run_open(s->folder, s->force ? NNCLR_RUN_FORCE : NNCLR_RUN_NEW, e);
    return n->run != NULL;
}

static _Noreturn void end_finished(training_session *n) {
    const char *folder = n->settings->folder;
    char length[60];
    int size = (int)strlen(folder);
    while (size > 1 && folder[size - 1] == '/')
        size--;
    if (n->info.config.steps > 0)
        snprintf(length, sizeof length, "%lld of %lld steps", (long long)n->info.step,
                 (long long)n->info.total_steps);
    else
        snprintf(length, sizeof length, "%g of %g epochs", n->info.config.epochs,
                 n->info.config.epochs);
    nnclr_cli_note(n->cli,
                   "%s: this run is finished (%s): to train further, start a new one with %s %.*s "
                   "-o %.*s2",
                   folder, length, n->program->finetunes ? "-m" : "--init", size, folder, size,
                   folder);
    nnclr_cli_end(n->cli, NNCLR_EXIT_DONE);
}

/* Rank 0 has the folder; the others find its checkpoint there, as readers do. */
static bool open_checkpoint(training_session *n, nnclr_error *e) {
    nnclr_buffer path = {0};
    if (n->run)
        n->checkpoint = nnclr_checkpoint_open(nnclr_run_checkpoint_path(n->run), &n->info, e);
    else if (nnclr_run_find_checkpoint(n->settings->folder, &path, e))
        n->checkpoint = nnclr_checkpoint_open((const char *)path.data, &n->info, e);
    nnclr_buffer_free(&path);
    return n->checkpoint != NULL;
}

static bool check_resumed(const training_session *n, nnclr_error *e) {
    const int ranks = n->cli->ranks.ranks, batch = n->info.config.batch;
    int fitting = ranks;
    if ((n->info.config.objective == NNCLR_OBJECTIVE_FINETUNE) != n->program->finetunes)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: this is a run of %s: go on with %s --resume",
                          n->settings->folder, n->program->other, n->program->other);
    while (batch % fitting != 0)
        fitting--;
    return fitting == ranks ||
           nnclr_fail(e, NNCLR_ERROR_USAGE,
                      "%s: %d ranks cannot share the run's batch of %d: start %d of them",
                      n->settings->folder, ranks, batch, fitting);
}

bool training_open_resumed(training_session *n, nnclr_error *e) {
    nnclr_communicator *ranks = &n->cli->ranks;
    unsigned finished = 0;
    if (ranks->rank == 0) {
        n->run = nnclr_run_open(n->settings->folder, NNCLR_RUN_RESUME, e);
        finished = n->run && nnclr_run_done(n->run);
    }
    /* What a killed run left half done has been put right. */
    if (!nnclr_agree(ranks, &finished, e) || !open_checkpoint(n, e) || !check_resumed(n, e))
        return false;
    if (finished && nnclr_agree(ranks, NULL, e))
        end_finished(n);
    n->settings->config = n->info.config;
    return !finished;
}

bool training_reopen_engine(training_session *n, nnclr_error *e) {
    const int choice = option_find(nnclr_engine_names, n->info.engine);
    const int precision = option_find(nnclr_precision_names, n->info.precision);
    if (choice >= 0 && precision >= 0)
        return open_engine(n, choice, precision, e);
    return nnclr_fail(
        e, NNCLR_ERROR_MISSING,
        "the run was made with engine %s at precision %s, which is not available here",
        n->info.engine, n->info.precision);
}

/* ---- the trainer ---- */

static void on_step(void *context, const nnclr_trainer_report *report) {
    training_session *n = context;
    char note[80];
    const int used = snprintf(note, sizeof note, "loss %.4f", report->loss);
    if (isfinite(report->accuracy))
        snprintf(note + used, sizeof note - (size_t)used, ", %s %.3f",
                 n->program->finetunes ? "batch_acc" : "nn_acc", report->accuracy);
    nnclr_cli_progress(n->cli, "steps", report->step, report->total, note);
    n->last_step = report->step == report->total;
}

/* What fails after the last step is said once, by `say_end`. */
static void on_message(void *context, const char *text) {
    training_session *n = context;
    if (!n->last_step)
        nnclr_cli_error(n->cli, "%s", text);
}

/* After the signals that nnclr_cli_catch caught. */
static nnclr_request should_stop(void *unused) {
    (void)unused;
    if (nnclr_cli_stop)
        return NNCLR_STOP_NOW;
    if (!nnclr_cli_usr1)
        return NNCLR_GO_ON;
    nnclr_cli_usr1 = 0;
    return NNCLR_SAVE_NOW;
}

/* When checkpoints are due. */
static void save_every(const nnclr_duration *every, const nnclr_plan *plan,
                       nnclr_run_writer *writer) {
    double count = every->count;
    if (every->unit == NNCLR_SECONDS) {
        writer->save_seconds = count;
        return;
    }
    if (every->unit == NNCLR_EPOCHS)
        count *= (double)plan->steps_per_epoch;
    writer->save_steps = count < 1 ? 1 : (int64_t)(count + 0.5);
}

bool training_make_trainer(training_session *n, nnclr_trainer_callbacks callbacks,
                           int64_t probe_every, nnclr_error *e) {
    const training_settings *s = n->settings;
    if (!nnclr_plan_make(&s->config, (int64_t)nnclr_training_data_count(&n->data), &n->plan, e))
        return false;
    callbacks.context = n;
    callbacks.on_step = on_step;
    callbacks.should_stop = should_stop;
    n->writer = (nnclr_run_writer){
        .run = n->run,
        .program = n->program->name,
        .keep = s->keep,
        .on_message = on_message,
        .context = n,
    };
    save_every(&s->save_every, &n->plan, &n->writer);
    const nnclr_trainer_options options = {
        .config = &s->config,
        .data = &n->data,
        .init = n->initial,
        .init_prefix = n->settings->prefix,
        .engine = &n->engine,
        .communicator = &n->cli->ranks,
        .writer = n->run ? &n->writer : NULL,
        .threads = n->cli->threads,
        .log_every = s->log_every,
        .probe_every = probe_every,
        .max_seconds = s->max_time.count,
        .callbacks = callbacks,
    };
    n->trainer = nnclr_trainer_create(&options, n->checkpoint, &n->info, e);
    return n->trainer != NULL;
}

/* ---- the run ---- */

static bool describe_run(training_session *n, nnclr_error *e) {
    const training_settings *s = n->settings;
    const nnclr_run_description description = {
        .config = &s->config,
        .engine = &n->engine,
        .data = &n->data,
        .program = n->program->name,
        .files = n->files,
        .file_count = n->file_count,
        .resumed = s->resume,
        .init = n->init,
        .prefix = s->prefix,
        .test = n->test,
        .threads = n->cli->threads,
        .hosts = n->cli->hosts,
        .ranks = n->cli->ranks.ranks,
    };
    return nnclr_run_describe(n->run, &description, e);
}

/* Says what is trained on what. */
static void tell_opening(const training_session *n) {
    const nnclr_config *c = &n->settings->config;
    const nnclr_plan *plan = &n->plan;
    const double epochs = (double)plan->total / (double)plan->steps_per_epoch;
    char width[40] = "", more[40] = "", length[120], every[60];
    if (c->model.width != 1)
        snprintf(width, sizeof width, " x%g", c->model.width);
    if (n->file_count > 1)
        snprintf(more, sizeof more, " and %zu more", n->file_count - 1);
    if (n->info.step > 0)
        snprintf(length, sizeof length, "on from step %lld of %lld", (long long)n->info.step,
                 (long long)plan->total);
    else
        snprintf(length, sizeof length, "%.*f epoch%s, %lld step%s of %d",
                 fmod(epochs, 1) == 0 ? 0 : 2, epochs, epochs == 1 ? "" : "s",
                 (long long)plan->total, plan->total == 1 ? "" : "s", c->batch);
    training_show_duration(&n->settings->save_every, every, sizeof every);
    nnclr_cli_note(n->cli,
                   "training %s%s on %zu %spictures of %s%s: %s; a checkpoint every %s in %s",
                   nnclr_arch_names[c->model.arch], width, nnclr_training_data_count(&n->data),
                   n->program->finetunes ? "labelled " : "", n->files[0], more, length, every,
                   n->settings->folder);
}

/* Says how the run ended; the exit code. */
static int say_end(nnclr_cli *cli, const char *folder, const nnclr_run_writer *writer,
                   const nnclr_trainer_result *result) {
    if (writer->save_failed || writer->metrics_failed || writer->keep_failed) {
        nnclr_cli_error(
            cli, "%s; %s", writer->failure.message,
            writer->save_failed ? "the run is not complete: make room and give --resume"
            : writer->metrics_failed
                ? "the checkpoint is complete, but lines of the metrics are missing"
                : "the checkpoint is complete, but not all that --keep asks for are kept");
        return NNCLR_EXIT_FAILED;
    }
    if (result->finished) {
        nnclr_cli_note(cli, "%s: done, %lld steps", folder, (long long)result->step);
        return NNCLR_EXIT_DONE;
    }
    nnclr_cli_note(cli, "%s: stopped after step %lld of %lld; go on with --resume -o %s", folder,
                   (long long)result->step, (long long)result->total, folder);
    return NNCLR_EXIT_STOPPED;
}

/* While nothing is trained yet there is nothing to save either. */
static bool was_not_stopped(nnclr_error *e) {
    return !nnclr_cli_stop || nnclr_fail(e, NNCLR_ERROR_STOPPED, "stopped before the first step");
}

/* The last that can go wrong on one rank before the first step. */
static bool begin(training_session *n, nnclr_error *e) {
    if (!n->run || describe_run(n, e))
        was_not_stopped(e);
    return nnclr_agree(&n->cli->ranks, NULL, e);
}

/* What rank 0 could not write, all have failed. */
static bool end(training_session *n, const nnclr_trainer_result *result, int *code,
                nnclr_error *e) {
    nnclr_communicator *ranks = &n->cli->ranks;
    unsigned failed = 0;
    if (ranks->rank == 0 && n->program->report && !n->program->report(n, result, e))
        return false;
    *code = say_end(n->cli, n->settings->folder, &n->writer, result);
    failed = *code == NNCLR_EXIT_FAILED;
    if (!nnclr_agree(ranks, &failed, e))
        return false;
    if (failed)
        *code = NNCLR_EXIT_FAILED;
    const int64_t steps = result->step - n->info.step;
    if (ranks->ranks > 1 && steps > 0)
        nnclr_cli_detail(n->cli, "each of %d ranks got %.4g MB from the others, %.4g MB a step",
                         ranks->ranks, (double)ranks->received / 1e6,
                         (double)ranks->received / 1e6 / (double)steps);
    return true;
}

static void close_session(training_session *n) {
    n->program->close(n);
    nnclr_trainer_free(n->trainer);
    nnclr_run_writer_free(&n->writer);
    nnclr_tensor_reader_close(n->checkpoint);
    nnclr_checkpoint_info_free(&n->info);
    nnclr_engine_close(&n->engine);
    nnclr_pool_free(n->pool);
    nnclr_tensor_reader_close(n->initial);
    nnclr_training_data_close(&n->data);
    nnclr_run_close(n->run);
    nnclr_free(n->recorded);
}

void training_run(training_session *n) {
    const training_program *p = n->program;
    nnclr_cli *cli = n->cli;
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_trainer_result result = {0};
    int code = NNCLR_EXIT_FAILED;
    bool ok = (n->settings->resume ? p->prepare_resumed(n, &e) : p->prepare_new(n, &e)) &&
              nnclr_cli_prepared(cli, &e) && p->make_trainer(n, &e);
    nnclr_cli_catch(cli, "finishing this step; again: quit now");
    ok = ok && begin(n, &e);
    if (ok)
        tell_opening(n);
    ok = ok && nnclr_trainer_run(n->trainer, &result, &e);
    nnclr_cli_progress_end(cli);
    ok = ok && end(n, &result, &code, &e);
    close_session(n);
    if (!ok)
        nnclr_cli_die(cli, &e);
    if (code == NNCLR_EXIT_STOPPED && nnclr_cli_stop == SIGINT && cli->ranks.ranks == 1)
        nnclr_cli_die_of(SIGINT);
    nnclr_cli_end(cli, code);
}

void training_rehearse(training_session *n, nnclr_probe *const *probe) {
    const training_program *p = n->program;
    const training_settings *s = n->settings;
    nnclr_cli *cli = n->cli;
    nnclr_error e = NNCLR_NO_ERROR;
    const dry_run rehearsal = {.cli = cli,
                               .ranks = &cli->ranks,
                               .json = s->json,
                               .config = &s->config,
                               .engine = &n->engine,
                               .available = nnclr_memory_available(),
                               .cache = (uint64_t)s->cache};
    const bool ok = p->prepare_new(n, &e) && nnclr_cli_prepared(cli, &e) &&
                    p->make_trainer(n, &e) &&
                    dry_run_print(&rehearsal, &n->data, n->trainer, probe ? *probe : NULL, &e);
    close_session(n);
    if (!ok)
        nnclr_cli_die(cli, &e);
    nnclr_cli_end(cli, NNCLR_EXIT_DONE);
}
