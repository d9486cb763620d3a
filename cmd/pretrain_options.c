#include "cmd/pretrain_options.h"

#include <stdio.h>
#include <string.h>

#include "cmd/augment_options.h"
#include "cmd/shared_options.h"
#include "train/objective.h"

/* Those that pre-training offers, of the methods that a configuration may name. */
static const char *const method_names[] = {"nnclr", "simclr", "simsiam", "byol", "barlow", NULL};
static const char *const swap_names[] = {"off", "on", NULL};

/* ---- values of options ---- */

static bool parse_layers(const char *text, void *target, nnclr_error *e) {
    return nnclr_parse_layers(text, target, e);
}

static void show_layers(const void *target, char *text, size_t size) {
    nnclr_print_layers(target, text, size);
}

static bool parse_course(const char *text, void *target, nnclr_error *e) {
    return nnclr_parse_course(text, target, e);
}

static void show_course(const void *target, char *text, size_t size) {
    nnclr_print_course(target, text, size);
}

/* ---- the table ---- */

size_t pretrain_options(pretrain_settings *s, nnclr_option table[PRETRAIN_OPTIONS_MOST]) {
    nnclr_config *c = &s->run.config;
    const nnclr_option first[] = {
        CHOICE("preset", &s->preset, nnclr_preset_names,
               "defaults for everything below: the paper's, or two smaller settings"),
        GROUP("Data"),
    };
    const nnclr_option rest[] = {
        BYTES("cache", &s->run.cache, "BYTES",
              "keep at most this much of the shards decompressed in memory; the rest is read again",
              0, 1e15),
        INTEGER("shuffle-window", &s->shuffle_window, "N",
                "draw records from N frames of the shards at a time, for disks too slow for the "
                "exact shuffle; 0: exact",
                0, 1 << 30),
        INPUT("views", &s->views, "FILE",
              "train on the pairs of views in this file, in their order, instead of SHARDs"),
        GROUP("Model"),
        CHOICE("arch", &c->model.arch, nnclr_arch_names, "the backbone"),
        REAL("width", &c->model.width, "F",
             "multiplies every channel count of the backbone, rounded to a multiple of 8", 0.125,
             4),
        CHOICE("stem", &c->model.stem, nnclr_stem_names,
               "7x7 stride 2 and a pool, or 3x3 stride 1"),
        CUSTOM("proj", &c->model.projector, "N,N,...", "widths of the projector's layers",
               parse_layers, show_layers),
        CUSTOM("pred", &c->model.predictor, "N,...",
               "widths of the predictor's hidden layers; none: no predictor", parse_layers,
               show_layers),
        GROUP("Method"),
        CHOICE("method", &c->objective, method_names,
               "nearest neighbours as positives, or a method to compare it with"),
        CHOICE("positive", &c->method.positive, nnclr_positive_names,
               "the nearest neighbour, or the query's own view"),
        CUSTOM("view-weight", &c->method.view_weight, "A[,B[,WHEN]]",
               "share of the own view in the loss, beside the neighbours; from A to B over WHEN: a "
               "share of the run, 20epochs or 500steps",
               parse_course, show_course),
        CHOICE("negatives", &c->method.negatives, nnclr_negatives_names,
               "of the own view: the opposite view's embeddings, or those of both views"),
        INTEGER("queue", &s->queue, "M", "rows of the support set", 1, 1 << 30),
        REAL("temperature", &c->method.temperature, "T", "the similarities are divided by this",
             1e-6, 1e6),
        CHOICE("loss", &c->method.loss, nnclr_loss_names,
               "softmax over rows, or over columns too; or neighbours have none, and take their "
               "share of the own view's target"),
        REAL("target-momentum", &c->method.target_momentum, "M",
             "positives, queue and search come from a copy of the network that follows it with "
             "this momentum; 0: from the network itself",
             0, 1),
        REAL("off-diagonal", &c->method.off_diagonal, "LAMBDA",
             "barlow only: weight of the correlations of different dimensions", 0, 1e6),
        FLAG("decoupled", &c->method.decoupled,
             "leave the target out of the softmax's sum, which helps small batches"),
        CHOICE("swap", &s->swap, swap_names, "average over both assignments of the views"),
        SHORT('k', INTEGER, "neighbours", &s->neighbours, "K",
              "the positive is a random one of the K nearest", 1, NNCLR_NEIGHBOURS),
        INTEGER("soft", &s->soft, "K",
                "the positive is the mean of the K nearest, weighted by their similarities; 0: one "
                "of them",
                0, NNCLR_NEIGHBOURS),
        REAL("appearance", &c->method.appearance, "SHARE",
             "neighbours are sought by what their pictures look like, without the network, with "
             "this share, and by z with the rest",
             0, 1),
        FLAG("agree", &c->method.agree,
             "a neighbour counts if both views find the same picture, otherwise the own view does"),
        CHOICE("enqueue", &c->method.enqueue, nnclr_enqueue_names,
               "which views' projections enter the support set"),
        FLAG("exclude-self", &c->method.exclude_self,
             "a picture's own earlier embeddings do not count as its neighbours (on with --preset "
             "tiny)"),
        FLAG("include-self", &s->include_self, "they do count, whatever the preset says"),
        FLAG("queue-frozen", &c->method.queue_frozen,
             "never update the support set: a control experiment with noise"),
        GROUP("Optimiser"),
        REAL("epochs", &c->epochs, "N", "length of the run", 0, 1e9),
        INTEGER("steps", &c->steps, "N", "length of the run, instead of --epochs", 1, 1e15),
        INTEGER("batch", &s->batch, "N", "pictures per step", 2, 1 << 24),
        INTEGER("micro-batch", &s->micro_batch, "N",
                "pictures that pass through the backbone at a time, which saves memory and costs a "
                "second forward pass; 0: the whole batch",
                0, 1 << 24),
        REAL("lr", &c->lr, "RATE", "base learning rate", 0, 1e30),
        CHOICE("lr-scale", &c->lr_scale, nnclr_lr_scale_names,
               "the peak rate: base x batch / 256, base x sqrt(batch), or base"),
        CUSTOM(
            "warmup", &s->warmup, "EPOCHS",
            "length of the linear warm-up; also as 500steps; by default at most a tenth of the run",
            training_parse_warmup, training_show_duration),
        CHOICE("schedule", &c->schedule, nnclr_schedule_names,
               "course of the rate after the warm-up"),
        REAL("final-lr", &c->final_lr, "SHARE", "share of the peak rate that the cosine ends at", 0,
             1),
        REAL("weight-decay", &c->weight_decay, "W", "applied to weights, not to 1-D parameters", 0,
             1e6),
        CHOICE("optimizer", &c->optimizer, nnclr_optimizer_names, "LARS, or SGD with momentum"),
        CHOICE("lars", &c->lars, nnclr_lars_names, "whose variant of LARS"),
        REAL("momentum", &c->momentum, "M", "momentum of the optimiser", 0, 1),
        REAL("trust", &c->trust, "ETA", "trust coefficient of LARS", 0, 1e6),
        GROUP("Run"),
        TRAINING_FOLDER_OPTIONS(&s->run),
        INTEGER("seed", &s->seed, "N", "seed of everything random", 0, 9e18),
        INTEGER("init-seed", &s->init_seed, "N",
                "seed of the initial values alone, instead of --seed", 0, 9e18),
        INTEGER("data-seed", &s->data_seed, "N",
                "seed of order and augmentation alone, instead of --seed", 0, 9e18),
        INPUT(
            "init", &s->init, "FILE",
            "a RUN or checkpoint to start from: its backbone, and its heads and queue if they fit"),
        PREFIX_OPTION(&s->run.prefix),
        TRAINING_RUN_OPTIONS(&s->run),
        INPUT("probe", &s->probe, "SHARD",
              "classify these labelled pictures before the first step, after each epoch, and at "
              "the end, each by the others nearest to it"),
        INPUT("probe-bank", &s->probe_bank, "SHARD",
              "classify those of --probe by their nearest labelled pictures here"),
        FLAG("dry-run", &s->run.dry_run,
             "train nothing: print the network, the memory, and the time that the run would take"),
        FLAG("json", &s->run.json, "print the tables of --dry-run as JSON"),
    };
    enum {
        FIRST = sizeof first / sizeof *first,
        REST = sizeof rest / sizeof *rest,
    };
    _Static_assert(FIRST + AUGMENT_OPTIONS_MOST + REST <= PRETRAIN_OPTIONS_MOST, "enlarge it");
    memcpy(table, first, sizeof first);
    const size_t augmented = FIRST + augment_options(&c->augment, &s->size, table + FIRST);
    memcpy(table + augmented, rest, sizeof rest);
    return augmented + REST;
}

/* ---- from options to a configuration ---- */

pretrain_settings pretrain_defaults(const nnclr_command_line *line) {
    pretrain_settings s = {.run = training_defaults()};
    int lars = option_find(nnclr_lars_names, nnclr_cli_peek(line, "lars"));
    int method = option_find(method_names, nnclr_cli_peek(line, "method"));
    nnclr_config *config = &s.run.config;
    *config = augment_defaults(line, &s.preset, &s.size);
    if (lars >= 0)
        nnclr_config_lars(config, (nnclr_lars)lars);
    if (method >= 0)
        nnclr_config_method(config, (nnclr_preset)s.preset, (nnclr_objective_kind)method);
    s.swap = config->method.swap;
    s.queue = config->method.queue;
    s.neighbours = config->method.soft ? 1 : config->method.neighbours;
    s.soft = config->method.soft ? config->method.neighbours : 0;
    if (nnclr_cli_peek(line, "neighbours") || nnclr_cli_peek(line, "k"))
        s.soft = 0;
    s.batch = config->batch;
    s.warmup = (nnclr_duration){config->warmup_epochs, NNCLR_EPOCHS};
    return s;
}

static void refuse_idle(nnclr_cli *cli, bool idle, const char *const *names, const char *why) {
    for (int i = 0; idle && names[i]; i++)
        if (nnclr_cli_given(cli, names[i]))
            nnclr_cli_usage(cli, "--%s: %s", names[i], why);
}

static void check_together(nnclr_cli *cli, const pretrain_settings *s) {
    const nnclr_config *c = &s->run.config;
    const char *made[NNCLR_AUGMENT_FIELDS + 4] = {"augment", "cache", "shuffle-window"};
    for (int i = 0, count = 3; i < NNCLR_AUGMENT_FIELDS; i++)
        if (nnclr_augment_fields[i].option && nnclr_augment_fields[i].random)
            made[count++] = nnclr_augment_fields[i].option;
    refuse_idle(cli, s->views != NULL, made,
                "the views of --views are taken as they are; leave it out");
    for (const nnclr_idle_option *o = nnclr_objective_of(c)->type->idle; o->options; o++)
        refuse_idle(cli, !o->when || o->when(&c->method), o->options, o->why);
    refuse_idle(cli, c->optimizer == NNCLR_SGD, (const char *[]){"lars", "trust", NULL},
                "the optimiser is sgd; leave it out, or give --optimizer lars");
    refuse_idle(cli, c->schedule == NNCLR_CONSTANT, (const char *[]){"final-lr", NULL},
                "a constant rate does not fall; leave it out, or give --schedule cosine");
    refuse_idle(cli, nnclr_cli_given(cli, "steps"), (const char *[]){"epochs", NULL},
                "--steps says how long the run is; give one of the two");
    refuse_idle(cli, s->soft > 0, (const char *[]){"neighbours", NULL},
                "--soft takes the mean of several neighbours; give one of the two");
    refuse_idle(cli, nnclr_cli_given(cli, "exclude-self"), (const char *[]){"include-self", NULL},
                "--exclude-self says the opposite; give one of the two");
}

static void apply(const nnclr_cli *cli, pretrain_settings *s) {
    nnclr_config *c = &s->run.config;
    c->model.size = c->augment.size = (int)s->size;
    if (s->views)
        nnclr_config_augment(c, NNCLR_AUGMENT_NONE);
    c->batch = (int)s->batch;
    c->micro_batch = (int)s->micro_batch;
    c->shuffle_window = (int)s->shuffle_window;
    c->method.queue = (int)s->queue;
    c->method.soft = s->soft > 0;
    c->method.neighbours = (int)(c->method.soft ? s->soft : s->neighbours);
    c->method.swap = s->swap != 0;
    if (s->include_self)
        c->method.exclude_self = false;
    c->init_seed = (uint64_t)(nnclr_cli_given(cli, "init-seed") ? s->init_seed : s->seed);
    c->data_seed = (uint64_t)(nnclr_cli_given(cli, "data-seed") ? s->data_seed : s->seed);
    training_take_warmup(c, &s->warmup);
}

static void check_resume(nnclr_cli *cli) {
    static const char *const allowed[] = {"output",    "resume", "save-every", "keep", "max-time",
                                          "log-every", "probe",  "probe-bank", NULL};
    training_check_resume(cli, allowed);
}

static void check_probe(nnclr_cli *cli, const pretrain_settings *s) {
    if (s->probe_bank && !s->probe)
        nnclr_cli_usage(cli, "--probe-bank: there is nothing to classify: give --probe SHARD with "
                             "it");
}

void pretrain_finish(nnclr_cli *cli, pretrain_settings *s) {
    training_check_folder(cli, &s->run);
    if (s->run.json && !s->run.dry_run)
        nnclr_cli_usage(cli, "--json is for the tables of --dry-run; leave it out, or give both");
    check_probe(cli, s);
    if (s->run.resume) {
        check_resume(cli);
        return;
    }
    if (s->views && cli->operand_count > 0)
        nnclr_cli_usage(cli, "--views replaces the shards: leave %s out", cli->operands[0]);
    if (!s->views && cli->operand_count == 0)
        nnclr_cli_usage(
            cli,
            "no input: give a shard or a folder of pictures, or - for a shard on standard input");
    if (s->run.prefix && !s->init)
        nnclr_cli_usage(cli, "--prefix goes with --init");
    apply(cli, s);
    check_together(cli, s);
}
