/* nnclr-finetune: trains a whole network, from the backbone of a checkpoint, on pictures with
 * labels. */
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "cmd/finetune_options.h"
#include "cmd/pictures.h"
#include "cmd/training.h"
#include "eval/class_test.h"
#include "eval/label_draw.h"
#include "io/run_folder.h"
#include "train/resnet_weights.h"
#include "train/run_description.h"

typedef struct session {
    training_session training; /* first */
    finetune_settings *settings;
    char *recorded_test;   /* what the run is tested on, according to run.json */
    const char *test_path; /* NULL: none */
    nnclr_class_test *test;
    double began;
    int64_t judged; /* the step that `result` belongs to; -1: none yet */
    nnclr_class_test_result result;
} session;

static session *session_of(void *training) {
    return training;
}

static nnclr_probe_end on_test(void *context, nnclr_probe_line *line, nnclr_error *e) {
    session *n = session_of(context);
    const nnclr_progress progress = nnclr_cli_watch(n->training.cli);
    const nnclr_class_test_result *r = &n->result;
    n->judged = -1;
    if (!nnclr_class_test_run(n->test, &progress, &n->result, e)) {
        if (e->code == NNCLR_ERROR_STOPPED)
            return NNCLR_PROBE_INTERRUPTED;
        nnclr_fail_at(e, "the test after step %lld", (long long)line->step);
        return NNCLR_PROBE_FAILED;
    }
    n->judged = line->step;
    line->n = r->accuracy.n;
    line->top1 = r->accuracy.top1;
    line->top5 = r->accuracy.top5;
    line->loss = r->loss;
    nnclr_cli_note(n->training.cli,
                   "test after step %lld: top-1 %.4f, top-5 %.4f, loss %.4f of %lld pictures",
                   (long long)line->step, r->accuracy.top1, r->accuracy.top5, r->loss,
                   (long long)r->accuracy.n);
    return NNCLR_PROBE_DONE;
}

/* ---- what there is to train on ---- */

/* A resumed run may be told where its files are now. */
static bool name_files(session *n, nnclr_error *e) {
    const training_settings *s = n->training.settings;
    n->test_path = n->settings->test;
    if (s->resume && !n->test_path) {
        n->test_path = n->recorded_test = nnclr_run_test(s->folder, e);
        if (e->code != NNCLR_OK)
            return false;
    }
    return training_name_files(&n->training, false, e);
}

/* The labelled records, or the share of each class that is drawn. */
static bool draw_records(session *n, nnclr_error *e) {
    const nnclr_config *config = &n->training.settings->config;
    nnclr_shard_set *set = n->training.data.set;
    const size_t count = nnclr_shard_set_count(set), classes = nnclr_shard_set_class_count(set);
    int64_t *label = nnclr_shard_set_labels(set, e);
    n->training.data.records = nnclr_alloc(count, sizeof *n->training.data.records, e);
    bool ok = label && n->training.data.records;
    ok = ok && nnclr_label_keep(label, (int64_t)count, (int64_t)classes, config->label_fraction,
                                config->data_seed, e);
    for (size_t i = 0; ok && i < count; i++)
        if (label[i] >= 0)
            n->training.data.records[n->training.data.record_count++] = (uint32_t)i;
    nnclr_free(label);
    return ok;
}

static bool open_test(session *n, nnclr_error *e) {
    nnclr_probe_data data = {.path = n->test_path};
    data.set = pictures_open(n->training.cli, &data.path, 1, PICTURES_CACHE, e);
    if (data.set)
        n->test = nnclr_class_test_open(data, n->training.data.set, e);
    return n->test != NULL;
}

static bool open_data(session *n, nnclr_error *e) {
    if (!name_files(n, e) || !(n->training.data.set = pictures_open(
                                   n->training.cli, n->training.files, n->training.file_count,
                                   (uint64_t)n->training.settings->cache, e)))
        return false;
    const size_t classes = nnclr_shard_set_class_count(n->training.data.set);
    if (classes < 2)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "%s: its pictures have %s, and a classifier needs two: give a shard that "
                          "nnclr-prep made of one folder for each class",
                          n->training.files[0], classes ? "one class" : "no labels");
    if (classes > NNCLR_MLP_WIDEST)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%zu classes are too many", classes);
    return draw_records(n, e) &&
           (!n->test_path || n->training.cli->ranks.rank > 0 || open_test(n, e));
}

/* ---- preparing ---- */

/* The configuration of a checkpoint. */
static bool read_config(const session *n, nnclr_config *config, nnclr_error *e) {
    const char *text = nnclr_tensor_reader_metadata(n->training.initial, "nnclr.config");
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
    const bool own = nnclr_tensor_reader_metadata(n->training.initial, "nnclr.kind") != NULL;
    if (!(own ? read_config(n, &weights.config, e)
              : nnclr_weights_describe(n->training.initial, n->training.settings->prefix, &weights,
                                       e)))
        return false;
    finetune_take_model(n->settings, &weights.config,
                        (int)nnclr_shard_set_class_count(n->training.data.set));
    return true;
}

static bool check_count(session *n, nnclr_error *e) {
    nnclr_config *config = &n->training.settings->config;
    const size_t count = nnclr_training_data_count(&n->training.data),
                 ranks = (size_t)n->training.cli->ranks.ranks;
    if (count < 2 || count < ranks)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "%zu labelled picture%s cannot be trained on: give more", count,
                          count == 1 ? "" : "s");
    if (!nnclr_cli_given(n->training.cli, "batch") && (size_t)config->batch > count)
        config->batch = (int)(count - count % ranks);
    return true;
}

/* Nothing is touched on disk before everything that the command line says has been checked. */
static bool prepare_new(training_session *t, nnclr_error *e) {
    session *n = session_of(t);
    const nnclr_config *config = &t->settings->config;
    nnclr_plan plan;
    t->initial = nnclr_initial_state_open(n->settings->model, t->settings->prefix, e);
    return t->initial && open_data(n, e) && read_model(n, e) && check_count(n, e) &&
           nnclr_config_check(config, e) &&
           nnclr_plan_make(config, (int64_t)nnclr_training_data_count(&t->data), &plan, e) &&
           training_open_new(t, e);
}

static bool check_resumed(const training_session *t, nnclr_error *e) {
    const nnclr_config *config = &t->info.config;
    if (!nnclr_training_data_check(&t->data, t->info.identity, e))
        return false;
    return (size_t)config->model.classes == nnclr_shard_set_class_count(t->data.set) ||
           nnclr_fail(e, NNCLR_ERROR_INPUT,
                      "%s: a classifier of %d classes does not fit the %zu of the data",
                      nnclr_tensor_reader_path(t->checkpoint), config->model.classes,
                      nnclr_shard_set_class_count(t->data.set));
}

static bool prepare_resumed(training_session *t, nnclr_error *e) {
    return training_open_resumed(t, e) && open_data(session_of(t), e) && check_resumed(t, e) &&
           training_reopen_engine(t, e);
}

static bool make_trainer(training_session *t, nnclr_error *e) {
    session *n = session_of(t);
    const training_settings *s = t->settings;
    const nnclr_trainer_callbacks callbacks = {
        .probe_kind = n->test && !s->dry_run ? &nnclr_class_probe : NULL, .probe = on_test};
    if (!training_make_trainer(t, callbacks, n->settings->eval_every, e) ||
        (n->test && !nnclr_class_test_plan(n->test, nnclr_trainer_parameters(t->trainer),
                                           &s->config, t->cli->threads, e)))
        return false;
    nnclr_cli_detail(t->cli,
                     "%zu labelled pictures of %d classes, %lld steps an epoch, %lld in all from "
                     "step %lld, up to a rate of %g; engine %s, %s",
                     nnclr_training_data_count(&t->data), s->config.model.classes,
                     (long long)t->plan.steps_per_epoch, (long long)t->plan.total,
                     (long long)t->info.step, t->plan.peak, t->engine.table->name,
                     t->engine.table->precision);
    return true;
}

static void close_test(training_session *t) {
    nnclr_class_test_close(session_of(t)->test);
    nnclr_free(session_of(t)->recorded_test);
}

/* ---- the report ---- */

/* What the accuracy was reached with. */
static nnclr_json *describe(const session *n, int64_t steps, nnclr_error *e) {
    const nnclr_config *c = &n->training.settings->config;
    nnclr_json *settings = nnclr_json_object(e);
    return nnclr_json_if(
        settings && nnclr_json_put_real(settings, "label_fraction", c->label_fraction, e) &&
            nnclr_json_put_int(settings, "train",
                               (int64_t)nnclr_training_data_count(&n->training.data), e) &&
            nnclr_json_put_int(settings, "classes", c->model.classes, e) &&
            nnclr_json_put_int(settings, "steps", steps, e) &&
            nnclr_json_put_int(settings, "batch", c->batch, e) &&
            nnclr_json_put_real(settings, "lr", c->lr, e) &&
            nnclr_json_put_real(settings, "head_lr", c->head_lr, e) &&
            nnclr_json_put_int(settings, "seed", (int64_t)c->data_seed, e),
        settings);
}

static void print_accuracy(session *n, int64_t steps) {
    static const char *const columns[] = {"method", "top1", "top1_se", "top5",
                                          "n",      "loss", "seconds", "settings"};
    const nnclr_class_test_result *r = &n->result;
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_json *settings = describe(n, steps, &e);
    if (!settings)
        nnclr_cli_die(n->training.cli, &e);
    nnclr_table *table = nnclr_table_begin(n->training.cli, n->training.settings->json, columns,
                                           (int)(sizeof columns / sizeof *columns));
    nnclr_table_text(table, "finetune");
    nnclr_table_real(table, r->accuracy.top1, 6);
    nnclr_table_real(table, nnclr_accuracy_error(&r->accuracy), 6);
    nnclr_table_real(table, r->accuracy.top5, 6);
    nnclr_table_int(table, r->accuracy.n);
    nnclr_table_real(table, r->loss, 6);
    nnclr_table_real(table, nnclr_now() - n->began, 3);
    nnclr_table_settings(table, settings);
    nnclr_table_row_end(table);
    nnclr_table_end(table);
}

static void print_classes(session *n) {
    static const char *const columns[] = {"class", "n", "correct", "top1"};
    nnclr_table *table = nnclr_table_begin(n->training.cli, n->training.settings->json, columns,
                                           (int)(sizeof columns / sizeof *columns));
    for (int i = 0; i < n->training.settings->config.model.classes; i++) {
        const nnclr_class_result *r = &n->result.classes[i];
        nnclr_table_text(table, nnclr_training_data_class(&n->training.data, (size_t)i));
        nnclr_table_int(table, r->n);
        nnclr_table_int(table, r->correct);
        nnclr_table_real(table, (double)r->correct / (double)r->n, 6);
        nnclr_table_row_end(table);
    }
    nnclr_table_end(table);
}

/* On the network as the run leaves it: if the run was killed between its last test and its end,
 * that test is in its metrics, not here. */
static bool report(training_session *t, const nnclr_trainer_result *result, nnclr_error *e) {
    session *n = session_of(t);
    const finetune_settings *s = n->settings;
    const nnclr_progress progress = nnclr_cli_watch(n->training.cli);
    const bool judged = n->judged == result->step;
    if (!n->test || !result->finished || (n->training.writer.metrics_failed && !judged))
        return true; /* in the last case the test has just failed */
    if (!judged && !nnclr_class_test_run(n->test, &progress, &n->result, e))
        return false;
    if (s->per_class)
        nnclr_table_section(n->training.cli, s->run.json, "accuracy");
    print_accuracy(n, result->step);
    if (s->per_class) {
        nnclr_table_section(n->training.cli, s->run.json, "classes");
        print_classes(n);
        nnclr_table_section(n->training.cli, s->run.json, NULL);
    }
    return true;
}

/* ---- the program ---- */

int main(int argc, char **argv) {
    finetune_settings s;
    nnclr_option options[FINETUNE_OPTIONS_MOST];
    const size_t option_count = finetune_options(&s, options);
    s = finetune_defaults(&(nnclr_command_line){options, option_count, argc, argv});
    const nnclr_program program = {
        .name = "nnclr-finetune",
        .summary = "Trains a network, from the backbone of a checkpoint, on pictures with labels.",
        .usage = "-m CHECKPOINT [options] -o RUN [--test SHARD] SHARD...\n"
                 "--resume -o RUN [--test SHARD] [SHARD...]",
        .notes = TRAINING_NOTES,
        .ranks = true,
        .options = options,
        .option_count = option_count,
    };
    nnclr_cli cli;
    nnclr_cli_begin(&cli, &program, argc, argv);
    finetune_finish(&cli, &s);
    static const training_program trains = {.name = "nnclr-finetune " NNCLR_VERSION,
                                            .prepare_new = prepare_new,
                                            .prepare_resumed = prepare_resumed,
                                            .make_trainer = make_trainer,
                                            .report = report,
                                            .close = close_test,
                                            .finetunes = true,
                                            .other = "nnclr-pretrain"};
    session n = {.training = {.program = &trains,
                              .cli = &cli,
                              .settings = &s.run,
                              .init = s.model,
                              .test = s.test},
                 .settings = &s,
                 .began = nnclr_now(),
                 .judged = -1};
    if (s.run.dry_run)
        training_rehearse(&n.training, NULL);
    training_run(&n.training);
}
