#include "cmd/finetune_options.h"

#include <string.h>

#include "cmd/augment_options.h"
#include "cmd/shared_options.h"

finetune_settings finetune_defaults(const nnclr_command_line *line) {
    static const double few = 0.05; /* labels: between the published 1 % and 10 % */
    finetune_settings s = {
        .run = training_defaults(), .eval_every = 1, .batch = 256, .head_lr = -1};
    const char *fraction = nnclr_cli_peek(line, "label-fraction");
    double share = 1;
    nnclr_config *c = &s.run.config;
    *c = nnclr_config_preset(NNCLR_PRESET_IMAGENET);
    nnclr_config_augment(c, NNCLR_AUGMENT_CROP);
    c->objective = NNCLR_OBJECTIVE_FINETUNE;
    c->method = (nnclr_method_options){
        .temperature = 1, .off_diagonal = c->method.off_diagonal, .queue = 1, .neighbours = 1};
    c->augment.flip = 0.5;
    c->epochs = fraction && nnclr_parse_real(fraction, 0, 1, &share) && share < few ? 60 : 30;
    c->warmup_epochs = 0;
    c->lr = 0.05;
    c->optimizer = NNCLR_SGD;
    c->nesterov = true;
    c->weight_decay = 0;
    c->label_fraction = 1;
    s.warmup = (nnclr_duration){0, NNCLR_EPOCHS};
    return s;
}

size_t finetune_options(finetune_settings *s, nnclr_option table[FINETUNE_OPTIONS_MOST]) {
    nnclr_config *c = &s->run.config;
    const nnclr_option options[] = {
        GROUP("Data"),
        SHORT('m', INPUT, "model", &s->model, "CHECKPOINT",
              "the RUN or checkpoint whose backbone is fine-tuned, or a ResNet's weights"),
        PREFIX_OPTION(&s->run.prefix),
        INPUT("test", &s->test, "SHARD", "test the network on these labelled pictures"),
        REAL("label-fraction", &c->label_fraction, "F",
             "train on this share of each class's pictures, drawn by --seed", 1e-9, 1),
        REALS("crop", &c->augment.area_low, 2, "LOW,HIGH",
              "share of the picture's area that a crop has", 1e-6, 1),
        REAL("flip", &c->augment.flip, "P", "probability of a mirrored view", 0, 1),
        BYTES("cache", &s->run.cache, "BYTES",
              "keep at most this much of the shards decompressed in memory; the rest is read again",
              0, 1e15),
        GROUP("Optimiser"),
        REAL("epochs", &c->epochs, "N",
             "length of the run; 60 if --label-fraction is below 0.05, otherwise 30", 0, 1e9),
        INTEGER("steps", &c->steps, "N", "length of the run, instead of --epochs", 1, 1e15),
        INTEGER("batch", &s->batch, "N",
                "pictures per step; by default no more than there are to train on", 2, 1 << 24),
        INTEGER("micro-batch", &s->micro_batch, "N",
                "pictures that pass through the backbone at a time, which saves memory and costs a "
                "second forward pass; 0: the whole batch",
                0, 1 << 24),
        REAL("lr", &c->lr, "RATE", "base learning rate of the backbone", 0, 1e30),
        REAL("head-lr", &s->head_lr, "RATE",
             "base learning rate of the classifier, instead of --lr", 0, 1e30),
        CHOICE("lr-scale", &c->lr_scale, nnclr_lr_scale_names,
               "the peak rate: base x batch / 256, base x sqrt(batch), or base"),
        CUSTOM("warmup", &s->warmup, "EPOCHS", "length of the linear warm-up; also as 500steps",
               training_parse_warmup, training_show_duration),
        CHOICE("schedule", &c->schedule, nnclr_schedule_names,
               "course of the rates after the warm-up"),
        REAL("final-lr", &c->final_lr, "SHARE", "share of the peak rate that the cosine ends at", 0,
             1),
        REAL("weight-decay", &c->weight_decay, "W", "applied to weights, not to 1-D parameters", 0,
             1e6),
        REAL("momentum", &c->momentum, "M", "momentum of the optimiser, SGD, in Nesterov's form", 0,
             1),
        GROUP("Run"),
        TRAINING_FOLDER_OPTIONS(&s->run),
        INTEGER("seed", &s->seed, "N", "seed of everything random", 0, 9e18),
        TRAINING_RUN_OPTIONS(&s->run),
        INTEGER("eval-every", &s->eval_every, "N",
                "epochs between tests on --test; there is always one at the end", 1, 1e9),
        GROUP("Report"),
        FLAG("per-class", &s->per_class, "also print how many of each class are right"),
        FLAG("json", &s->run.json, "print the tables as JSON"),
        FLAG("dry-run", &s->run.dry_run,
             "train nothing: print the network, the memory, and the time that the run would take"),
    };
    _Static_assert(sizeof options / sizeof *options <= FINETUNE_OPTIONS_MOST, "enlarge it");
    memcpy(table, options, sizeof options);
    return sizeof options / sizeof *options;
}

/* ---- from options to a configuration ---- */

static void check_resume(nnclr_cli *cli) {
    static const char *const allowed[] = {"output", "resume",    "test",      "save-every",
                                          "keep",   "max-time",  "log-every", "eval-every",
                                          "json",   "per-class", NULL};
    training_check_resume(cli, allowed);
}

static void check_together(nnclr_cli *cli, const finetune_settings *s) {
    if (!s->model)
        nnclr_cli_usage(cli, "nothing to fine-tune: give -m CHECKPOINT");
    if (cli->operand_count == 0)
        nnclr_cli_usage(
            cli,
            "no input: give a shard or a folder of pictures, or - for a shard on standard input");
    if (nnclr_cli_given(cli, "steps") && nnclr_cli_given(cli, "epochs"))
        nnclr_cli_usage(cli, "--epochs: --steps says how long the run is; give one of the two");
    if (s->run.config.schedule == NNCLR_CONSTANT && nnclr_cli_given(cli, "final-lr"))
        nnclr_cli_usage(
            cli,
            "--final-lr: a constant rate does not fall; leave it out, or give --schedule cosine");
    if (!s->test && nnclr_cli_given(cli, "eval-every"))
        nnclr_cli_usage(cli,
                        "--eval-every: there is nothing to test on; give --test SHARD with it");
    if (!s->test && s->per_class)
        nnclr_cli_usage(cli, "--per-class: there is nothing to test on; give --test SHARD with it");
    if (s->run.json && !s->test && !s->run.dry_run)
        nnclr_cli_usage(cli, "--json: no table is printed; give --test SHARD or --dry-run with it");
}

void finetune_finish(nnclr_cli *cli, finetune_settings *s) {
    nnclr_config *c = &s->run.config;
    training_check_folder(cli, &s->run);
    if (s->run.resume) {
        check_resume(cli);
        return;
    }
    check_together(cli, s);
    c->batch = (int)s->batch;
    c->micro_batch = (int)s->micro_batch;
    c->init_seed = c->data_seed = (uint64_t)s->seed;
    c->head_lr = s->head_lr < 0 ? c->lr : s->head_lr;
    training_take_warmup(c, &s->warmup);
}

void finetune_take_model(finetune_settings *s, const nnclr_config *from, int classes) {
    nnclr_config *c = &s->run.config;
    c->model = from->model;
    c->model.projector.count = c->model.predictor.count = 0;
    c->model.classes = classes;
    c->augment.size = from->model.size;
    c->augment.operators = from->augment.operators;
    c->augment.filter = from->augment.filter;
    memcpy(c->augment.mean, from->augment.mean, sizeof c->augment.mean);
    memcpy(c->augment.std, from->augment.std, sizeof c->augment.std);
}
