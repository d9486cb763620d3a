/* nnclr-lineval: how well the classes can be read off embeddings. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/threads.h"
#include "cmd/cli.h"
#include "cmd/lineval_augment.h"
#include "cmd/lineval_report.h"
#include "cmd/shared_options.h"
#include "eval/embedding.h"
#include "eval/knn.h"
#include "eval/label_draw.h"
#include "eval/linear.h"
#include "train/config_text.h"

#define PROGRAM "nnclr-lineval " NNCLR_VERSION

/* Above the least objective; a larger gap is reported. */
static const double tolerated_gap = 1e-4;

static const double least_lambda = 1e-8, most_lambda = 1e6;

enum { METHODS = 2 };

typedef struct evaluation {
    nnclr_cli *cli;
    const settings *settings;
    nnclr_embedding train, test;
    int64_t *label; /* of TEST, as labels of TRAIN */
    int64_t rows;   /* of TRAIN with a label that is used */
    nnclr_progress progress;
    nnclr_engine engine;
    nnclr_pool *pool;
    method_result results[METHODS]; /* in the order of --methods */
    int count;
} evaluation;

/* ---- the files ---- */

static bool check_fit(nnclr_cli *cli, const evaluation *v, nnclr_error *e) {
    const char *train = cli->operands[0], *test = cli->operands[1];
    if (v->train.rows.d != v->test.rows.d)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "%s has rows of %d numbers, but %s has rows of %d: both must be made by "
                          "one network at one --layer",
                          test, v->test.rows.d, train, v->train.rows.d);
    const char *a = v->train.config, *b = v->test.config;
    if (a && b && strcmp(a, b) != 0)
        nnclr_cli_error(cli, "%s and %s were made in different ways (their nnclr.config differs)",
                        train, test);
    return true;
}

/* With a single class any network is always right. */
static void note_one_class(const evaluation *v) {
    int64_t only = -1;
    for (int64_t i = 0; i < v->train.rows.n; i++) {
        const int64_t label = v->train.label[i];
        if (label >= 0 && only >= 0 && label != only)
            return;
        only = label >= 0 ? label : only;
    }
    if (only >= 0)
        nnclr_cli_note(v->cli,
                       "all labels of TRAIN are %s: with one class the accuracy says nothing about "
                       "the network",
                       v->train.classes[only]);
}

static bool open_files(evaluation *v, nnclr_error *e) {
    const settings *s = v->settings;
    if (!nnclr_embedding_open(&v->train, v->cli->operands[0], e) ||
        !nnclr_embedding_open(&v->test, v->cli->operands[1], e) || !check_fit(v->cli, v, e))
        return false;
    v->label = nnclr_alloc((size_t)v->test.rows.n, sizeof *v->label, e);
    if (!v->label || !nnclr_embedding_map_labels(&v->train, &v->test, v->label, e))
        return false;
    if (s->label_fraction < 1 &&
        !nnclr_label_keep(v->train.label, v->train.rows.n, (int64_t)v->train.class_count,
                          s->label_fraction, (uint64_t)s->seed, e))
        return false;
    for (int64_t i = 0; i < v->train.rows.n; i++)
        v->rows += v->train.label[i] >= 0;
    note_one_class(v);
    return true;
}

static void close_files(evaluation *v) {
    for (int i = 0; i < METHODS; i++) {
        nnclr_free(v->results[i].predictions);
        nnclr_json_free(v->results[i].settings);
    }
    nnclr_free(v->label);
    nnclr_embedding_close(&v->test);
    nnclr_embedding_close(&v->train);
}

/* ---- the methods ---- */

static bool run_knn(evaluation *v, method_result *result, nnclr_error *e) {
    const settings *s = v->settings;
    const nnclr_knn_options options = {
        .k = (int)s->k, .temperature = s->temperature, .progress = &v->progress};
    return nnclr_json_put_int(result->settings, "k", s->k, e) &&
           nnclr_json_put_real(result->settings, "temperature", s->temperature, e) &&
           nnclr_knn_predict(v->pool, &v->train.rows, v->train.label, &v->test.rows, v->label,
                             (int64_t)v->train.class_count, &options, result->predictions, e);
}

static const char *lambda_choice(const settings *s, const nnclr_linear_fit *fit) {
    return s->lambdas.count == 1 ? "given"
           : fit->end > 0        ? "largest"
           : fit->end < 0        ? "smallest"
                                 : "inner";
}

/* If the best choice is at an end, a better one may lie beyond it. */
static void tell_end(nnclr_cli *cli, const nnclr_linear_fit *fit) {
    const double x = fit->lambda;
    if (fit->end > 0 && x * 100 <= most_lambda)
        nnclr_cli_note(
            cli,
            "linear: of the lambdas tried the largest, %g, was the best, and larger ones "
            "were not tried: see --lambda %g,%g,%g",
            x, x * 100, x * 10, x);
    else if (fit->end < 0 && x / 100 >= least_lambda)
        nnclr_cli_note(cli,
                       "linear: of the lambdas tried the smallest, %g, was the best, and smaller "
                       "ones were not tried: see --lambda %g,%g,%g",
                       x, x, x / 10, x / 100);
}

static bool tell_linear(const evaluation *v, const nnclr_linear_fit *fit, method_result *result,
                        nnclr_error *e) {
    const settings *s = v->settings;
    if (s->solver == NNCLR_SOLVER_SGD)
        return report_tell_sgd(v->cli, s, fit, result, e);
    tell_end(v->cli, fit);
    nnclr_cli_detail(v->cli,
                     "linear: %lld iterations, mean cross-entropy %.6f, objective %.6f (at "
                     "most %.1g above the least)",
                     (long long)fit->steps, fit->loss, fit->objective, fit->gap);
    if (fit->gap > tolerated_gap)
        nnclr_cli_note(v->cli,
                       "linear: L-BFGS ended before it was sure to be within %g of the optimum; a "
                       "larger --lambda is easier",
                       tolerated_gap);
    return nnclr_json_put_string(result->settings, "solver", solver_names[s->solver], e) &&
           nnclr_json_put_real(result->settings, "lambda", fit->lambda, e) &&
           nnclr_json_put_string(result->settings, "lambda_choice", lambda_choice(s, fit), e) &&
           nnclr_json_put_int(result->settings, "seed", s->seed, e);
}

/* Also how the rows of TRAIN were made. */
static nnclr_json *describe(const evaluation *v, const nnclr_linear_fit *fit, nnclr_error *e) {
    nnclr_json *config = report_describe(v->settings, fit, e);
    const char *rows = v->train.config;
    if (!config || !rows)
        return config;
    nnclr_json *made = nnclr_json_parse(rows, strlen(rows), "nnclr.config of TRAIN", e);
    return nnclr_json_if(made && nnclr_json_put(config, "embedding", made, e), config);
}

static bool keep_classifier(const evaluation *v, const nnclr_classifier *classifier,
                            const nnclr_linear_fit *fit, nnclr_error *e) {
    nnclr_json *config = describe(v, fit, e);
    bool ok = config && nnclr_classifier_write(classifier, v->settings->output, PROGRAM,
                                               (const char *const *)v->train.classes, config, e);
    nnclr_json_free(config);
    return ok;
}

/* Rows whose reading is reported as progress. */
typedef struct told_rows {
    const nnclr_row_source *rows;
    const nnclr_progress *progress;
} told_rows;

static bool read_told(const nnclr_row_source *source, int64_t first, int64_t count, float *rows,
                      nnclr_error *e) {
    const told_rows *t = source->context;
    return t->rows->read(t->rows, first, count, rows, e) &&
           nnclr_progress_tell(t->progress, "rows", first + count, source->n, NULL, e);
}

static nnclr_row_source tell_rows(told_rows *t) {
    return (nnclr_row_source){.n = t->rows->n, .d = t->rows->d, .read = read_told, .context = t};
}

static bool run_linear(evaluation *v, method_result *result, nnclr_error *e) {
    const settings *s = v->settings;
    const nnclr_linear_options options = {.solver = (nnclr_solver)s->solver,
                                          .standardize = s->standardize,
                                          .seed = (uint64_t)s->seed,
                                          .epochs = (int)s->epochs,
                                          .batch = (int)s->batch,
                                          .lr = s->lr,
                                          .weight_decay = s->weight_decay,
                                          .lambdas = s->lambdas,
                                          .progress = &v->progress};
    told_rows told[] = {{&v->train.rows, &v->progress}, {&v->test.rows, &v->progress}};
    const nnclr_row_source train = tell_rows(&told[0]), test = tell_rows(&told[1]);
    nnclr_classifier classifier = {0};
    nnclr_linear_fit fit;
    if (v->train.class_count > INT_MAX)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%zu classes are too many", v->train.class_count);
    bool ok = nnclr_linear_train(&v->engine, &train, v->train.label, (int)v->train.class_count,
                                 &options, &classifier, &fit, e);
    ok = ok &&
         nnclr_linear_predict(&v->engine, &classifier, &test, v->label, result->predictions, e) &&
         (!s->output || keep_classifier(v, &classifier, &fit, e)) &&
         tell_linear(v, &fit, result, e);
    nnclr_classifier_free(&classifier);
    return ok;
}

typedef bool (*runner)(evaluation *v, method_result *result, nnclr_error *e);
static const struct {
    const char *name;
    runner run;
} methods[METHODS] = {{"linear", run_linear}, {"knn", run_knn}};

static runner find_runner(const char *name) {
    for (int i = 0; i < METHODS; i++)
        if (strcmp(methods[i].name, name) == 0)
            return methods[i].run;
    return NULL;
}

static bool run_method(evaluation *v, method_result *result, nnclr_error *e) {
    const double start = nnclr_now();
    result->predictions = nnclr_alloc((size_t)v->test.rows.n, sizeof *result->predictions, e);
    if (!result->predictions || !(result->settings = nnclr_json_object(e)) ||
        !find_runner(result->method)(v, result, e))
        return false;
    result->seconds = nnclr_now() - start;
    return report_tell_rows(v->settings, v->rows, v->train.rows.d, (int64_t)v->train.class_count,
                            result, e);
}

static bool run(evaluation *v, nnclr_error *e) {
    v->pool = nnclr_pool_create(v->cli->threads, e);
    bool ok =
        v->pool && nnclr_engine_open(&v->engine, NNCLR_ENGINE_CPU, NNCLR_PRECISION_F32, v->pool, e);
    nnclr_cli_opening(v->cli, "judging %lld rows of %s by %lld of %s: %d numbers each, %zu classes",
                      (long long)v->test.rows.n, v->cli->operands[1], (long long)v->rows,
                      v->cli->operands[0], v->train.rows.d, v->train.class_count);
    nnclr_cli_catch(v->cli, NULL);
    for (int i = 0; ok && i < v->count; i++)
        ok = run_method(v, &v->results[i], e);
    nnclr_cli_progress_end(v->cli);
    nnclr_engine_close(&v->engine);
    nnclr_pool_free(v->pool);
    return ok;
}

/* ---- the program ---- */

/* In falling order, in which the fits follow one another. */
static bool parse_lambdas(const char *text, void *target, nnclr_error *e) {
    nnclr_lambdas all = {.count = 1};
    for (const char *c = text; *c; c++)
        all.count += *c == ',';
    if (all.count > NNCLR_LINEAR_LAMBDAS ||
        !nnclr_parse_reals(text, all.value, all.count, least_lambda, most_lambda, e))
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "needs 1 to %d numbers from %g to %g, separated by commas, not \"%s\"",
                          NNCLR_LINEAR_LAMBDAS, least_lambda, most_lambda, text);
    for (int i = 1; i < all.count; i++) {
        const double value = all.value[i];
        int at = i;
        for (; at > 0 && all.value[at - 1] < value; at--)
            all.value[at] = all.value[at - 1];
        all.value[at] = value;
    }
    *(nnclr_lambdas *)target = all;
    return true;
}

static void show_lambdas(const void *target, char *text, size_t size) {
    const nnclr_lambdas *all = target;
    nnclr_print_reals(all->value, all->count, text, size);
}

/* One method of the list; each may be given once. */
static void add_method(evaluation *v, const char *name, size_t size) {
    for (int i = 0; i < v->count; i++)
        if (strlen(v->results[i].method) == size && memcmp(v->results[i].method, name, size) == 0)
            nnclr_cli_usage(v->cli, "--methods: \"%.*s\" is given twice", (int)size, name);
    for (int i = 0; i < METHODS; i++)
        if (strlen(methods[i].name) == size && memcmp(methods[i].name, name, size) == 0) {
            v->results[v->count++].method = methods[i].name;
            return;
        }
    nnclr_cli_usage(v->cli,
                    "--methods: there is no method \"%.*s\": give linear, knn or linear,knn",
                    (int)nnclr_min(size, 100), name);
}

static void add_methods(evaluation *v, const char *name) {
    for (;;) {
        const size_t size = strcspn(name, ",");
        add_method(v, name, size);
        if (!name[size])
            return;
        name += size + 1;
    }
}

static bool is_chosen(const evaluation *v, const char *name) {
    for (int i = 0; i < v->count; i++)
        if (strcmp(v->results[i].method, name) == 0)
            return true;
    return false;
}

/* Options that would have no effect are refused. */
static void check_use(nnclr_cli *cli, const settings *s, const evaluation *v) {
    enum { SGD = 1 << NNCLR_SOLVER_SGD, LBFGS = 1 << NNCLR_SOLVER_LBFGS };
    static const struct {
        const char *option;
        int solvers; /* that take it */
    } of_linear[] = {{"solver", SGD | LBFGS}, {"standardize", SGD | LBFGS},
                     {"epochs", SGD},         {"lr", SGD},
                     {"batch", SGD},          {"weight-decay", SGD},
                     {"lambda", LBFGS},       {"output", SGD | LBFGS}};
    for (size_t i = 0; i < sizeof of_linear / sizeof *of_linear; i++) {
        if (!nnclr_cli_given(cli, of_linear[i].option))
            continue;
        if (!is_chosen(v, "linear"))
            nnclr_cli_usage(cli, "--%s is for the method linear, which --methods leaves out",
                            of_linear[i].option);
        if (!(of_linear[i].solvers & 1 << s->solver))
            nnclr_cli_usage(cli, "--%s is not for --solver %s", of_linear[i].option,
                            solver_names[s->solver]);
    }
}

static void check(nnclr_cli *cli, const settings *s, evaluation *v) {
    add_methods(v, s->augment && !nnclr_cli_given(cli, "methods") ? "linear" : s->methods);
    augment_check(cli, s, is_chosen(v, "knn"));
    check_use(cli, s, v);
    if (cli->operand_count != 2)
        nnclr_cli_usage(cli, "two %s are needed, TRAIN and TEST, not %d",
                        s->augment ? "shards" : "embedding files", cli->operand_count);
    if (nnclr_is_standard(s->predictions))
        nnclr_cli_usage(cli, "--predictions: standard output is for the table: give a file");
    if (nnclr_is_standard(s->output))
        nnclr_cli_usage(cli, "--output: standard output is for the table: give a file");
}

static void print(nnclr_cli *cli, const settings *s, const report *r) {
    nnclr_error e = NNCLR_NO_ERROR;
    if (s->predictions && !report_predictions(r, s->predictions, &e))
        nnclr_cli_die(cli, &e);
    if (s->confusion)
        report_confusion(cli, r);
    else
        report_accuracy(cli, r);
}

static void evaluate_augmented(nnclr_cli *cli, const settings *s) {
    nnclr_error e = NNCLR_NO_ERROR;
    augmented a = {0};
    if (!augmented_run(&a, cli, s, PROGRAM, &e))
        nnclr_cli_die(cli, &e);
    const report r = augmented_report(&a, s);
    print(cli, s, &r);
    augmented_free(&a);
}

static void evaluate(evaluation *v) {
    nnclr_error e = NNCLR_NO_ERROR;
    if (!open_files(v, &e) || !run(v, &e))
        nnclr_cli_die(v->cli, &e);
    const report r = {.classes = (const char *const *)v->train.classes,
                      .class_count = v->train.class_count,
                      .rows = v->test.rows.n,
                      .names = (const char *const *)v->test.names,
                      .label = v->label,
                      .results = v->results,
                      .count = v->count,
                      .json = v->settings->json};
    print(v->cli, v->settings, &r);
    close_files(v);
}

int main(int argc, char **argv) {
    settings s = {.methods = "linear,knn",
                  .k = NNCLR_KNN_K,
                  .temperature = NNCLR_KNN_TEMPERATURE,
                  .label_fraction = 1,
                  .epochs = 90,
                  .lr = 0.1,
                  .batch = 256,
                  .lambdas = nnclr_usual_lambdas,
                  .crop = {0.08, 1},
                  .flip = 0.5};
    const nnclr_option options[] = {
        TEXT("methods", &s.methods, "LIST", "how to evaluate: linear, knn or both"),
        REAL("label-fraction", &s.label_fraction, "F",
             "use this share of each class's labels in TRAIN, at least one, drawn by --seed", 1e-9,
             1),
        INTEGER("seed", &s.seed, "N", "seed of everything random", 0, 9e18),
        OUTPUT("predictions", &s.predictions, "FILE", NNCLR_MAKES_TABLE,
               "write name, label, predicted class and score of every row of TEST, as the first "
               "method predicts it"),
        FLAG("confusion", &s.confusion,
             "print how often each class was taken for which, instead of the accuracy"),
        FLAG("json", &s.json, "print the table as JSON"),
        GROUP("k nearest neighbours"),
        RENAMED("k", "neighbours"),
        SHORT('k', INTEGER, "neighbours", &s.k, "K",
              "neighbours that vote; at most all labelled rows of TRAIN", 1, 1 << 20),
        REAL("knn-temperature", &s.temperature, "T", "a neighbour's vote weighs exp(cosine/T)",
             0.002, 1e6),
        GROUP("linear"),
        CHOICE("solver", &s.solver, solver_names,
               "SGD as usually published, or L-BFGS to the optimum"),
        FLAG("standardize", &s.standardize,
             "bring each feature to mean 0 and deviation 1 over TRAIN; lbfgs always does"),
        INTEGER("epochs", &s.epochs, "N", "sgd: how often each row is seen", 1, 1e6),
        REAL("lr", &s.lr, "RATE",
             "sgd: the first rate is this x batch / 256; it falls to 0 along a cosine", 0, 1e30),
        INTEGER("batch", &s.batch, "N", "sgd: rows per step; at most all labelled rows of TRAIN", 1,
                1 << 20),
        REAL("weight-decay", &s.weight_decay, "W",
             "sgd: W times the weights, without the bias, is added to the gradient", 0, 1e6),
        CUSTOM("lambda", &s.lambdas, "L,...",
               "lbfgs: L times the squared weights, without the bias, is added to the mean "
               "cross-entropy; of several, the one that does best on a tenth of TRAIN is taken",
               parse_lambdas, show_lambdas),
        SHORT('o', OUTPUT, "output", &s.output, "FILE", NNCLR_MAKES_TENSORS, "keep the classifier"),
        GROUP("linear on augmented views"),
        FLAG("augment", &s.augment,
             "TRAIN and TEST are shards: learn from a new random view of each picture in each "
             "epoch, as usually published"),
        SHORT('m', INPUT, "model", &s.model, "CHECKPOINT",
              "the RUN or checkpoint whose frozen network the views pass through, or a ResNet's "
              "weights under torchvision's names"),
        PREFIX_OPTION(&s.prefix),
        REALS("crop", s.crop, 2, "LOW,HIGH", "share of the picture's area that a view shows", 1e-6,
              1),
        REAL("flip", &s.flip, "P", "probability of a mirrored view", 0, 1),
    };
    const nnclr_program program = {
        .name = "nnclr-lineval",
        .summary = "Tells how well the classes can be read off embeddings.",
        .usage = "[options] TRAIN TEST\n--augment -m CHECKPOINT [options] TRAIN TEST",
        .notes = "TRAIN and TEST are files of nnclr-embed, or shards with --augment. Classes are "
                 "matched by name.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    nnclr_cli cli;
    nnclr_cli_begin(&cli, &program, argc, argv);
    evaluation v = {.cli = &cli, .settings = &s, .progress = nnclr_cli_watch(&cli)};
    check(&cli, &s, &v);
    if (s.augment)
        evaluate_augmented(&cli, &s);
    else
        evaluate(&v);
    nnclr_cli_end(&cli, NNCLR_EXIT_DONE);
}
