/* nnclr-finetune: trains a whole network, from the backbone of a checkpoint, on pictures with
 * labels. */
#include <stdio.h>
#include <string.h>

#include "base/available_memory.h"
#include "base/files.h"
#include "base/memory.h"
#include "base/threads.h"
#include "cmd/augment_options.h"
#include "cmd/cli.h"
#include "cmd/dry_run.h"
#include "cmd/finetune_options.h"
#include "cmd/training.h"
#include "eval/class_test.h"
#include "eval/label_draw.h"
#include "train/resnet_weights.h"
#include "train/run_description.h"
#include "train/trainer.h"

#define PROGRAM "nnclr-finetune " NNCLR_VERSION

typedef struct session {
    nnclr_cli *cli;
    finetune_settings *settings;
    char **recorded;     /* shards that run.json names, */
    char *recorded_test; /* and what it is judged on */
    const char *const *files;
    size_t file_count;
    const char *test_path; /* NULL: none */
    nnclr_training_data data;
    nnclr_class_test *test;
    nnclr_tensor_reader *init;
    nnclr_run *run;
    nnclr_pool *pool;
    nnclr_engine engine;
    nnclr_tensor_reader *checkpoint; /* NULL: a new run */
    nnclr_checkpoint_info info;
    nnclr_trainer *trainer;
    double began;
    int64_t judged; /* the step that `result` is of; -1: none yet */
    nnclr_class_test_result result;
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

static nnclr_probe_end on_test(void *context, nnclr_probe_line *line, nnclr_error *e) {
    session *n = context;
    nnclr_probe_call call = {.should_stop = training_is_told_to_stop};
    const nnclr_class_test_result *r = &n->result;
    n->judged = -1;
    if (!nnclr_class_test_run(n->test, &call, &n->result, e)) {
        if (!call.stopped)
            nnclr_fail_at(e, "the test after step %lld", (long long)line->step);
        return call.stopped ? NNCLR_PROBE_INTERRUPTED : NNCLR_PROBE_FAILED;
    }
    n->judged = line->step;
    line->n = r->accuracy.n;
    line->top1 = r->accuracy.top1;
    line->top5 = r->accuracy.top5;
    line->loss = r->loss;
    nnclr_cli_note(n->cli,
                   "test after step %lld: top-1 %.4f, top-5 %.4f, loss %.4f of %lld pictures",
                   (long long)line->step, r->accuracy.top1, r->accuracy.top5, r->loss,
                   (long long)r->accuracy.n);
    return NNCLR_PROBE_DONE;
}

/* ---- what there is to train on ---- */

/* Which shards; a resumed run may be told where they are now. */
static bool name_files(session *n, nnclr_error *e) {
    n->files = (const char *const *)n->cli->operands;
    n->file_count = (size_t)n->cli->operand_count;
    n->test_path = n->settings->test;
    if (n->settings->resume && !n->test_path) {
        n->test_path = n->recorded_test = nnclr_run_test(n->settings->folder, e);
        if (e->code != NNCLR_OK)
            return false;
    }
    if (n->file_count > 0)
        return true;
    n->recorded = nnclr_run_files(n->settings->folder, false, e);
    n->files = (const char *const *)n->recorded;
    while (n->files && n->files[n->file_count])
        n->file_count++;
    return n->files != NULL;
}

/* The labelled records, or of each class the share that is drawn. */
static bool draw_records(session *n, nnclr_error *e) {
    const nnclr_config *config = &n->settings->config;
    nnclr_shard_set *set = n->data.set;
    const size_t count = nnclr_shard_set_count(set), classes = nnclr_shard_set_class_count(set);
    int64_t *label = nnclr_alloc(count, sizeof *label, e);
    n->data.records = nnclr_alloc(count, sizeof *n->data.records, e);
    bool ok = label && n->data.records;
    for (size_t i = 0; ok && i < count; i++) {
        nnclr_record record;
        nnclr_shard_set_record(set, i, &record);
        label[i] = record.label;
    }
    ok = ok && nnclr_label_keep(label, (int64_t)count, (int64_t)classes, config->label_fraction,
                                config->data_seed, e);
    for (size_t i = 0; ok && i < count; i++)
        if (label[i] >= 0)
            n->data.records[n->data.record_count++] = (uint32_t)i;
    nnclr_free(label);
    return ok;
}

static bool open_data(session *n, nnclr_error *e) {
    if (!name_files(n, e) || !(n->data.set = nnclr_shard_set_open(n->files, n->file_count,
                                                                  (uint64_t)n->settings->cache, e)))
        return false;
    const size_t classes = nnclr_shard_set_class_count(n->data.set);
    if (classes < 2)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "%s: its pictures have %s, and a classifier needs two: give a shard that "
                          "nnclr-prep made of one folder for each class",
                          n->files[0], classes ? "one class" : "no labels");
    if (classes > NNCLR_MLP_WIDEST)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%zu classes are too many", classes);
    return draw_records(n, e) &&
           (!n->test_path ||
            (n->test = nnclr_class_test_open(n->test_path, n->data.set, e)) != NULL);
}

/* ---- preparing ---- */

/* The configuration of a checkpoint. */
static bool read_config(const session *n, nnclr_config *config, nnclr_error *e) {
    const char *text = nnclr_tensor_reader_metadata(n->init, "nnclr.config");
    if (!text)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: the checkpoint's metadata has no nnclr.config",
                          n->settings->model);
    nnclr_json *json = nnclr_json_parse(text, strlen(text), "nnclr.config", e);
    bool ok = json && nnclr_config_from_json(json, config, e);
    nnclr_json_free(json);
    return ok || nnclr_fail_at(e, "%s", n->settings->model);
}

/* The network that the weights belong to. */
static bool read_model(session *n, nnclr_error *e) {
    nnclr_weights_info weights;
    const bool own = nnclr_tensor_reader_metadata(n->init, "nnclr.kind") != NULL;
    if (!(own ? read_config(n, &weights.config, e) : nnclr_weights_describe(n->init, &weights, e)))
        return false;
    finetune_take_model(n->settings, &weights.config,
                        (int)nnclr_shard_set_class_count(n->data.set));
    return true;
}

static bool check_count(session *n, nnclr_error *e) {
    nnclr_config *config = &n->settings->config;
    const size_t count = nnclr_training_data_count(&n->data);
    if (count < 2)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "%zu labelled picture%s cannot be trained on: give more", count,
                          count == 1 ? "" : "s");
    if (!nnclr_cli_given(n->cli, "batch") && (size_t)config->batch > count)
        config->batch = (int)count;
    return true;
}

/* Nothing is touched on disk before everything that the command line says has been checked. */
static bool prepare_new(session *n, nnclr_error *e) {
    finetune_settings *s = n->settings;
    nnclr_plan plan;
    if (!(n->init = nnclr_initial_state_open(s->model, e)) || !open_data(n, e) ||
        !read_model(n, e) || !check_count(n, e) || !nnclr_config_check(&s->config, e) ||
        !nnclr_plan_make(&s->config, (int64_t)nnclr_training_data_count(&n->data), &plan, e))
        return false;
    if (!training_open_engine(n->cli, s->engine, s->precision, &n->pool, &n->engine, e))
        return false;
    if (!s->dry_run)
        n->run = nnclr_run_open(s->folder, s->force ? NNCLR_RUN_FORCE : NNCLR_RUN_NEW, e);
    return n->run || s->dry_run;
}

static bool check_resumed(session *n, nnclr_error *e) {
    const nnclr_config *config = &n->info.config;
    if (!nnclr_training_data_check(&n->data, n->info.identity, e))
        return false;
    return (size_t)config->model.classes == nnclr_shard_set_class_count(n->data.set) ||
           nnclr_fail(e, NNCLR_ERROR_INPUT,
                      "%s: a classifier of %d classes does not fit the %zu of the data",
                      nnclr_run_checkpoint_path(n->run), config->model.classes,
                      nnclr_shard_set_class_count(n->data.set));
}

static bool prepare_resumed(session *n, nnclr_error *e) {
    finetune_settings *s = n->settings;
    n->run = nnclr_run_open(s->folder, NNCLR_RUN_RESUME, e);
    if (!n->run)
        return false;
    n->checkpoint = nnclr_checkpoint_open(nnclr_run_checkpoint_path(n->run), &n->info, e);
    if (!n->checkpoint)
        return false;
    if (n->info.config.method.kind != NNCLR_METHOD_FINETUNE)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "%s: this is a run of nnclr-pretrain: go on with nnclr-pretrain --resume",
                          s->folder);
    if (nnclr_run_done(n->run))
        training_end_finished(n->cli, s->folder, n->info.step);
    s->config = n->info.config;
    if (!open_data(n, e) || !check_resumed(n, e))
        return false;
    return training_reopen_engine(n->cli, &n->info, &n->pool, &n->engine, e);
}

/* What an older run left goes when all that the new one needs is there. */
static bool begin_run(session *n, nnclr_error *e) {
    const finetune_settings *s = n->settings;
    const nnclr_run_description description = {
        .config = &s->config,
        .engine = &n->engine,
        .data = &n->data,
        .program = PROGRAM,
        .files = n->files,
        .file_count = n->file_count,
        .init = s->model,
        .test = s->test,
        .threads = n->cli->threads,
    };
    return (s->resume || nnclr_run_clear(n->run, e)) && nnclr_run_describe(n->run, &description, e);
}

static bool make_trainer(session *n, nnclr_error *e) {
    const finetune_settings *s = n->settings;
    const size_t count = nnclr_training_data_count(&n->data);
    nnclr_plan plan;
    if (!nnclr_plan_make(&s->config, (int64_t)count, &plan, e))
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
        .probe_every = s->eval_every,
        .max_seconds = s->max_time.count,
        .callbacks = {.context = n,
                      .on_step = on_step,
                      .on_message = on_message,
                      .should_stop = training_should_stop,
                      .probe = n->test && !s->dry_run ? on_test : NULL},
    };
    training_save_every(&s->save_every, &plan, &options);
    n->trainer = nnclr_trainer_create(&options, n->checkpoint, &n->info, e);
    if (!n->trainer ||
        (n->test && !nnclr_class_test_plan(n->test, nnclr_trainer_parameters(n->trainer),
                                           &s->config, n->cli->threads, e)))
        return false;
    nnclr_cli_detail(n->cli,
                     "%zu labelled pictures of %d classes, %lld steps an epoch, %lld in all from "
                     "step %lld, up to a rate of %g; engine %s, %s",
                     count, s->config.model.classes, (long long)plan.steps_per_epoch,
                     (long long)plan.total, (long long)n->info.step, plan.peak,
                     n->engine.table->name, n->engine.table->precision);
    return true;
}

static void close_session(session *n) {
    nnclr_class_test_close(n->test); /* runs the trainer's network */
    nnclr_trainer_free(n->trainer);
    nnclr_tensor_reader_close(n->checkpoint);
    nnclr_checkpoint_info_free(&n->info);
    nnclr_engine_close(&n->engine);
    nnclr_pool_free(n->pool);
    nnclr_tensor_reader_close(n->init);
    nnclr_training_data_close(&n->data);
    nnclr_run_close(n->run);
    nnclr_free(n->recorded_test);
    nnclr_free(n->recorded);
}

/* ---- the report ---- */

static void print_accuracy(session *n, int64_t steps) {
    static const char *const columns[] = {"method", "top1",    "top5",    "n",
                                          "loss",   "seconds", "settings"};
    const nnclr_config *c = &n->settings->config;
    const nnclr_class_test_result *r = &n->result;
    char settings[200];
    snprintf(
        settings, sizeof settings,
        "label_fraction=%g train=%zu classes=%d steps=%lld batch=%d lr=%g head_lr=%g seed=%llu",
        c->label_fraction, nnclr_training_data_count(&n->data), c->model.classes, (long long)steps,
        c->batch, c->lr, c->head_lr, (unsigned long long)c->data_seed);
    nnclr_table *table = nnclr_table_begin(n->cli, n->settings->json, columns,
                                           (int)(sizeof columns / sizeof *columns));
    nnclr_table_text(table, "finetune");
    nnclr_table_real(table, r->accuracy.top1, 6);
    nnclr_table_real(table, r->accuracy.top5, 6);
    nnclr_table_int(table, r->accuracy.n);
    nnclr_table_real(table, r->loss, 6);
    nnclr_table_real(table, nnclr_now() - n->began, 3);
    nnclr_table_text(table, settings);
    nnclr_table_row_end(table);
    nnclr_table_end(table);
}

static void print_classes(session *n) {
    static const char *const columns[] = {"class", "n", "correct", "top1"};
    nnclr_table *table = nnclr_table_begin(n->cli, n->settings->json, columns,
                                           (int)(sizeof columns / sizeof *columns));
    for (int i = 0; i < n->settings->config.model.classes; i++) {
        const nnclr_class_result *r = &n->result.classes[i];
        nnclr_table_text(table, nnclr_training_data_class(&n->data, (size_t)i));
        nnclr_table_int(table, r->n);
        nnclr_table_int(table, r->correct);
        nnclr_table_real(table, (double)r->correct / (double)r->n, 6);
        nnclr_table_row_end(table);
    }
    nnclr_table_end(table);
}

/* Of the network as the run leaves it: a run that was killed between its last look and its end has
 * the look in its metrics, not here. */
static bool report(session *n, const nnclr_trainer_result *result, nnclr_error *e) {
    const finetune_settings *s = n->settings;
    nnclr_probe_call call = {.should_stop = NULL};
    if (!n->test || !result->finished)
        return true;
    if (n->judged != result->step && !nnclr_class_test_run(n->test, &call, &n->result, e))
        return false;
    if (s->per_class)
        nnclr_table_section(n->cli, s->json, "accuracy");
    print_accuracy(n, result->step);
    if (s->per_class) {
        nnclr_table_section(n->cli, s->json, "classes");
        print_classes(n);
        nnclr_table_section(n->cli, s->json, NULL);
    }
    return true;
}

/* ---- the program ---- */

static void train(nnclr_cli *cli, finetune_settings *s) {
    session n = {.cli = cli, .settings = s, .judged = -1, .began = nnclr_now()};
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_trainer_result result = {0};
    bool ok = (s->resume ? prepare_resumed(&n, &e) : prepare_new(&n, &e)) && make_trainer(&n, &e);
    /* A signal ends what came before as it ends any program: no file of a run has changed yet. */
    nnclr_cli_catch();
    ok = ok && begin_run(&n, &e) && nnclr_trainer_run(n.trainer, &result, &e);
    nnclr_cli_progress_end(cli);
    ok = ok && report(&n, &result, &e);
    int code = ok ? training_conclude(cli, s->folder, &result) : NNCLR_EXIT_FAILED;
    close_session(&n);
    if (!ok)
        nnclr_cli_die(cli, &e);
    training_end(cli, code);
}

static void rehearse(nnclr_cli *cli, finetune_settings *s) {
    session n = {.cli = cli, .settings = s};
    nnclr_error e = NNCLR_NO_ERROR;
    const dry_run_tables tables = {
        .cli = cli, .json = s->json, .config = &s->config, .available = nnclr_memory_available()};
    bool ok = prepare_new(&n, &e) && dry_run_network(&tables, &e) && make_trainer(&n, &e) &&
              dry_run_cost(&tables, &n.data, (uint64_t)s->cache, n.trainer, NULL, &e);
    close_session(&n);
    if (!ok)
        nnclr_cli_die(cli, &e);
    nnclr_cli_end(cli, NNCLR_EXIT_DONE);
}

int main(int argc, char **argv) {
    finetune_settings s = finetune_defaults(argc, argv);
    nnclr_option options[FINETUNE_OPTIONS_MOST];
    const nnclr_program program = {
        .name = "nnclr-finetune",
        .summary = "Trains a network, from the backbone of a checkpoint, on pictures with labels.",
        .usage = "-m CHECKPOINT [options] -o RUN [--test SHARD] SHARD...\n"
                 "--resume -o RUN [--test SHARD] [SHARD...]",
        .notes =
            "Several SHARDs are one set, numbered on in the order given; - is standard input.\n"
            "SIGUSR1 writes a checkpoint; SIGTERM and SIGINT write one and stop.",
        .options = options,
        .option_count = finetune_options(&s, options),
    };
    nnclr_cli cli;
    nnclr_cli_begin(&cli, &program, argc, argv);
    finetune_conclude(&cli, &s);
    if (s.dry_run)
        rehearse(&cli, &s);
    else
        train(&cli, &s);
}
