#include "cmd/lineval_augment.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/files.h"
#include "base/memory.h"
#include "cmd/pictures.h"
#include "eval/augmented_linear.h"
#include "eval/embed.h"
#include "eval/frozen_network.h"
#include "eval/label_draw.h"
#include "train/config_text.h"

/* TRAIN is read once per epoch, each time in another order; TEST once, front to back. */
enum { TRAIN_CACHE = 1 << 30 };

static const char cut[] = "features";

/* ---- options ---- */

void augment_check(nnclr_cli *cli, const settings *s, bool knn) {
    static const char *const of_augment[] = {"model", "prefix", "crop", "flip"},
                             *const of_knn[] = {"neighbours", "knn-temperature"};
    for (size_t i = 0; !s->augment && i < sizeof of_augment / sizeof *of_augment; i++)
        if (nnclr_cli_given(cli, of_augment[i]))
            nnclr_cli_usage(cli,
                            "--%s is for --augment: without it TRAIN and TEST are embeddings, "
                            "which need no network",
                            of_augment[i]);
    if (!s->augment)
        return;
    if (knn)
        nnclr_cli_usage(cli, "--augment is for the method linear: knn compares embeddings");
    for (size_t i = 0; i < sizeof of_knn / sizeof *of_knn; i++)
        if (nnclr_cli_given(cli, of_knn[i]))
            nnclr_cli_usage(cli, "--%s is for the method knn, which --augment does not run",
                            of_knn[i]);
    if (s->solver == NNCLR_SOLVER_LBFGS)
        nnclr_cli_usage(cli, "--augment is for --solver sgd: lbfgs needs rows that stay as they "
                             "are, and each epoch has other views");
    if (s->crop[0] > s->crop[1])
        nnclr_cli_usage(cli, "--crop: the smallest area %g is above the largest %g", s->crop[0],
                        s->crop[1]);
    if (!s->model)
        nnclr_cli_usage(cli, "--augment needs a network: give -m CHECKPOINT");
}

/* ---- the shards ---- */

static bool list_names(augmented *a, nnclr_error *e) {
    const size_t n = nnclr_shard_set_count(a->test),
                 classes = nnclr_shard_set_class_count(a->train);
    a->names = nnclr_alloc(n, sizeof *a->names, e);
    a->classes = nnclr_alloc(classes, sizeof *a->classes, e);
    if (!a->names || !a->classes)
        return false;
    for (size_t i = 0; i < n; i++)
        a->names[i] = nnclr_shard_set_record(a->test, i).name;
    for (size_t c = 0; c < classes; c++)
        a->classes[c] = nnclr_shard_set_class(a->train, c);
    return true;
}

static bool open_shards(augmented *a, nnclr_cli *cli, const settings *s, nnclr_error *e) {
    const char *const path[2] = {cli->operands[0], cli->operands[1]};
    a->train = pictures_open(cli, &path[0], 1, TRAIN_CACHE, e);
    a->test = a->train ? pictures_open(cli, &path[1], 1, PICTURES_CACHE, e) : NULL;
    if (!a->test)
        return false;
    const int64_t n = (int64_t)nnclr_shard_set_count(a->train);
    const size_t classes = nnclr_shard_set_class_count(a->train);
    if (classes > INT_MAX)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%zu classes are too many", classes);
    if (!(a->train_label = nnclr_shard_set_labels(a->train, e)) ||
        !(a->label = nnclr_shard_set_labels(a->test, e)) ||
        !nnclr_shard_set_map_labels(a->test, path[1], a->train, path[0], NNCLR_ERROR_INPUT,
                                    a->label, e) ||
        !list_names(a, e))
        return false;
    return s->label_fraction >= 1 || nnclr_label_keep(a->train_label, n, (int64_t)classes,
                                                      s->label_fraction, (uint64_t)s->seed, e);
}

/* ---- the evaluation ---- */

/* Random crops and mirroring; the rest as in pre-training. */
static nnclr_augment choose_augment(const settings *s, const nnclr_config *config) {
    nnclr_config c = *config;
    nnclr_config_augment(&c, NNCLR_AUGMENT_CROP);
    c.augment.area_low = s->crop[0];
    c.augment.area_high = s->crop[1];
    c.augment.flip = s->flip;
    return c.augment;
}

static bool put_pair(nnclr_json *object, const char *key, double low, double high, nnclr_error *e) {
    nnclr_json *pair = nnclr_json_array(e);
    if (pair && nnclr_json_push_real(pair, low, e) && nnclr_json_push_real(pair, high, e))
        return nnclr_json_put(object, key, pair, e);
    nnclr_json_free(pair);
    return false;
}

static nnclr_json *describe_views(const nnclr_augment *augment, nnclr_error *e) {
    nnclr_json *views = nnclr_json_object(e);
    return nnclr_json_if(views && nnclr_json_put_int(views, "size", augment->size, e) &&
                             nnclr_augment_put(views, augment, e),
                         views);
}

static bool keep_classifier(const augmented *a, const settings *s, const nnclr_frozen_network *n,
                            const nnclr_augment *augment, const nnclr_classifier *classifier,
                            const nnclr_linear_fit *fit, const char *program, nnclr_error *e) {
    nnclr_json *config = report_describe(s, fit, e), *part = NULL;
    bool ok = config && (part = describe_views(augment, e)) &&
              nnclr_json_put(config, "augment", part, e) &&
              (part = nnclr_frozen_network_describe(n, cut, e)) &&
              nnclr_json_put(config, "embedding", part, e) &&
              nnclr_classifier_write(classifier, s->output, program, a->classes, config, e);
    nnclr_json_free(config);
    return ok;
}

static bool tell(const augmented *a, const settings *s, int d, method_result *result,
                 nnclr_error *e) {
    nnclr_json *augment = nnclr_json_array(e);
    return augment && nnclr_json_push_string(augment, "crop", e) &&
           nnclr_json_push_string(augment, "flip", e) &&
           nnclr_json_put(result->settings, "augment", augment, e) &&
           put_pair(result->settings, "crop", s->crop[0], s->crop[1], e) &&
           nnclr_json_put_real(result->settings, "flip", s->flip, e) &&
           nnclr_json_put_int(result->settings, "views", a->rows, e) &&
           report_tell_rows(s, a->rows, d, (int64_t)nnclr_shard_set_class_count(a->train), result,
                            e);
}

static bool evaluate(augmented *a, nnclr_cli *cli, const settings *s, nnclr_frozen_network *n,
                     const char *program, nnclr_error *e) {
    const double start = nnclr_now();
    const nnclr_progress progress = nnclr_cli_watch(cli);
    const int value = nnclr_network_find(n->list, cut),
              classes = (int)nnclr_shard_set_class_count(a->train);
    const nnclr_evaluation_options view = nnclr_embed_view(&n->config, cli->threads);
    const nnclr_augmented_options options = {
        .sgd = {.epochs = (int)s->epochs,
                .batch = (int)s->batch,
                .lr = s->lr,
                .weight_decay = s->weight_decay},
        .seed = (uint64_t)s->seed,
        .augment = choose_augment(s, &n->config),
        .standardize = s->standardize,
        .progress = &progress,
    };
    nnclr_classifier classifier = {0};
    nnclr_linear_fit fit;
    nnclr_cli_opening(cli,
                      "training a linear classifier on views of %zu pictures of %s with %s of "
                      "%s: %d epochs, %d classes",
                      nnclr_shard_set_count(a->train), cli->operands[0],
                      nnclr_arch_names[n->config.model.arch], s->model, (int)s->epochs, classes);
    nnclr_cli_catch(cli, NULL);
    bool ok = nnclr_augmented_train(&n->parameters, value, &view, a->train, a->train_label, classes,
                                    &options, &classifier, &fit, e);
    ok = ok && nnclr_augmented_predict(&n->parameters, value, &view, a->test, a->label, &classifier,
                                       &progress, a->result.predictions, e);
    nnclr_cli_progress_end(cli);
    a->result.seconds = nnclr_now() - start;
    ok = ok &&
         (!s->output || keep_classifier(a, s, n, &options.augment, &classifier, &fit, program, e));
    a->rows = ok ? fit.rows : 0;
    ok = ok && (a->result.settings = nnclr_json_object(e)) &&
         report_tell_sgd(cli, s, &fit, &a->result, e) && tell(a, s, classifier.d, &a->result, e);
    nnclr_classifier_free(&classifier);
    return ok;
}

/* A file that cannot be written is reported before hours are spent, not after them. A FIFO is left
 * alone: its reader would see it end. */
static bool check_output(const char *path, nnclr_error *e) {
    struct stat status;
    if (!path || (stat(path, &status) == 0 && S_ISFIFO(status.st_mode)))
        return true;
    nnclr_output *output = nnclr_output_open(path, e);
    const bool ok = output;
    nnclr_output_abandon(output);
    return ok;
}

bool augmented_run(augmented *a, nnclr_cli *cli, const settings *s, const char *program,
                   nnclr_error *e) {
    nnclr_frozen_network n = {0};
    a->result.method = "linear";
    bool ok = check_output(s->output, e) && check_output(s->predictions, e) &&
              nnclr_frozen_network_open(&n, s->model, s->prefix, e) &&
              nnclr_frozen_network_load(&n, false, cli->threads, e) && open_shards(a, cli, s, e) &&
              (a->result.predictions =
                   nnclr_alloc(nnclr_shard_set_count(a->test), sizeof *a->result.predictions, e)) &&
              evaluate(a, cli, s, &n, program, e);
    nnclr_frozen_network_close(&n);
    return ok;
}

report augmented_report(augmented *a, const settings *s) {
    return (report){.classes = a->classes,
                    .class_count = nnclr_shard_set_class_count(a->train),
                    .rows = (int64_t)nnclr_shard_set_count(a->test),
                    .names = a->names,
                    .label = a->label,
                    .results = &a->result,
                    .count = 1,
                    .json = s->json};
}

void augmented_free(augmented *a) {
    nnclr_json_free(a->result.settings);
    nnclr_free(a->result.predictions);
    nnclr_free(a->label);
    nnclr_free(a->train_label);
    nnclr_free(a->classes);
    nnclr_free(a->names);
    nnclr_shard_set_close(a->test);
    nnclr_shard_set_close(a->train);
}
