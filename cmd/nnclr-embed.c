/* nnclr-embed: a network's output for every picture of a shard, or the picture's pixels. */
#include <stdio.h>

#include "cmd/augment_options.h"
#include "cmd/cli.h"
#include "cmd/pictures.h"
#include "cmd/shared_options.h"
#include "eval/embed.h"
#include "eval/embedding.h"
#include "eval/frozen_network.h"
#include "train/ranks_alike.h"

enum { PIXELS_LIMIT = 256, OWN_OPTIONS = 11 };

#define PROGRAM "nnclr-embed " NNCLR_VERSION

static const char *const cut_names[] = {"features", "projection", NULL};

typedef struct settings {
    const char *model, *prefix, *output;
    int cut, engine, precision;
    bool untrained;
    int64_t pixels;
    view_choices view;
} settings;

/* Where the rows go: into the file, which rank 0 writes, with progress on the way. */
typedef struct target {
    nnclr_cli *cli;
    nnclr_embedding_writer *writer; /* NULL: another rank's */
    nnclr_progress progress;
    int64_t total;
} target;

static target target_of(nnclr_cli *cli, nnclr_shard_set *set) {
    nnclr_cli_catch(cli, NULL);
    return (target){
        .cli = cli, .progress = nnclr_cli_watch(cli), .total = (int64_t)nnclr_shard_set_count(set)};
}

static bool put_rows(void *context, int64_t first, int64_t count, const float *rows,
                     nnclr_error *e) {
    target *t = context;
    return (!t->writer || nnclr_embedding_writer_put(t->writer, rows, count, e)) &&
           nnclr_progress_tell(&t->progress, "pictures", first + count, t->total, NULL, e);
}

static const char *output_path(const settings *s) {
    return s->output ? s->output : "-";
}

/* Commits if `ok`, otherwise leaves nothing behind. */
static bool finish(target *t, bool ok, nnclr_error *e) {
    nnclr_cli_progress_end(t->cli);
    if (!ok)
        nnclr_embedding_writer_abandon(t->writer);
    else if (t->writer)
        nnclr_embedding_writer_commit(t->writer, e);
    return ok && nnclr_agree(&t->cli->ranks, NULL, e);
}

/* ---- pixels ---- */

static bool embed_pixels(nnclr_cli *cli, const settings *s, nnclr_shard_set *set, nnclr_error *e) {
    const int size = (int)s->pixels;
    target t = target_of(cli, set);
    nnclr_json *config = nnclr_json_object(e);
    if (config && nnclr_json_put_string(config, "output", "pixels", e) &&
        nnclr_json_put_int(config, "size", size, e) &&
        nnclr_json_put_string(config, "interpolation", "bicubic", e))
        t.writer =
            nnclr_embedding_writer_open(output_path(s), PROGRAM, set, 3 * size * size, config, e);
    nnclr_json_free(config);
    if (!t.writer)
        return false;
    nnclr_cli_opening(cli, "embedding %lld pictures of %s%s: %d x %d pixels of each",
                      (long long)t.total, cli->operands[0],
                      cli->operand_count > 1 ? " and others" : "", size, size);
    const nnclr_row_sink sink = {.put = put_rows, .context = &t};
    return finish(&t, nnclr_embed_pixels(set, size, NNCLR_BICUBIC, cli->threads, &sink, e), e);
}

/* ---- a network ---- */

/* Every rank reads the files itself. */
static bool ranks_alike(nnclr_cli *cli, nnclr_frozen_network *n, const nnclr_shard_set *set,
                        nnclr_error *e) {
    nnclr_checkpoint_info info = {.config = n->config, .step = n->step};
    const nnclr_run_state state = {.info = &info, .parameters = &n->parameters};
    if (cli->ranks.ranks > 1)
        info.identity = nnclr_shard_set_identity(set, e);
    const bool ok = nnclr_cli_prepared(cli, e) &&
                    nnclr_ranks_start_alike(&cli->ranks, &info, &n->engine, e) &&
                    nnclr_ranks_are_alike(&cli->ranks, &state, "the model", e);
    nnclr_json_free(info.identity);
    return ok;
}

static bool open_network(nnclr_frozen_network *n, const nnclr_cli *cli, const settings *s,
                         nnclr_error *e) {
    if (!nnclr_frozen_network_open(n, s->model, s->prefix, e))
        return false;
    view_apply(&s->view, cli, &n->config);
    n->choice = (nnclr_engine_choice)s->engine;
    n->precision = (nnclr_precision)s->precision;
    return engine_asked_for(nnclr_frozen_network_load(n, s->untrained, cli->threads, e), e) &&
           (nnclr_network_find(n->list, cut_names[s->cut]) >= 0 ||
            nnclr_fail(e, NNCLR_ERROR_USAGE, "%s has no projector: leave --layer projection out",
                       s->model));
}

static bool embed_network(nnclr_cli *cli, const settings *s, nnclr_shard_set *set, nnclr_error *e) {
    nnclr_frozen_network n;
    nnclr_json *config = NULL;
    target t = {0};
    bool ok = false;
    if (!open_network(&n, cli, s, e) ||
        !(config = nnclr_frozen_network_describe(&n, cut_names[s->cut], e)))
        goto done;
    const int cut = nnclr_network_find(n.list, cut_names[s->cut]);
    t = target_of(cli, set);
    if (cli->ranks.rank == 0 && !(t.writer = nnclr_embedding_writer_open(
                                      output_path(s), PROGRAM, set,
                                      nnclr_network_value(n.list, (size_t)cut)->c, config, e)))
        goto done;
    if (!ranks_alike(cli, &n, set, e)) {
        nnclr_embedding_writer_abandon(t.writer);
        goto done;
    }
    nnclr_cli_opening(cli, "embedding %lld pictures of %s%s with %s of %s: %d %s of each",
                      (long long)t.total, cli->operands[0],
                      cli->operand_count > 1 ? " and others" : "",
                      nnclr_arch_names[n.config.model.arch], s->model,
                      nnclr_network_value(n.list, (size_t)cut)->c,
                      s->cut ? "numbers of the projection" : "features");
    const nnclr_row_sink sink = {.put = put_rows, .context = &t, .ranks = &cli->ranks};
    const nnclr_evaluation_options view = nnclr_embed_view(&n.config, cli->threads);
    ok = finish(&t, nnclr_embed_network(&n.parameters, cut, set, &view, &sink, e), e);
done:
    nnclr_json_free(config);
    nnclr_frozen_network_close(&n);
    return ok;
}

/* ---- the program ---- */

static void check(nnclr_cli *cli, const settings *s) {
    if (!s->model && !s->pixels)
        nnclr_cli_usage(cli, "nothing to embed with: give -m CHECKPOINT, or --pixels N");
    if (s->pixels && s->model)
        nnclr_cli_usage(cli, "--pixels takes no model: leave -m out");
    static const char *const networks[] = {"layer",         "prefix",    "untrained",
                                           "engine",        "precision", "size",
                                           "interpolation", "mean",      "std"};
    for (size_t i = 0; s->pixels && i < sizeof networks / sizeof *networks; i++)
        if (nnclr_cli_given(cli, networks[i]))
            nnclr_cli_usage(cli, "--pixels has no network: leave --%s out", networks[i]);
    if (cli->operand_count == 0)
        nnclr_cli_usage(
            cli,
            "no input: give a shard or a folder of pictures, or - for a shard on standard input");
    if (cli->ranks.ranks > 1 && s->pixels)
        nnclr_cli_usage(cli, "--pixels cannot be shared by %d ranks: start it without mpirun",
                        cli->ranks.ranks);
    if (cli->ranks.ranks > 1 && nnclr_is_standard(output_path(s)))
        nnclr_cli_usage(cli, "standard output is mpirun's: give -o FILE");
    if (nnclr_is_standard(output_path(s)))
        nnclr_cli_refuse_terminal(cli, "an embedding file");
}

int main(int argc, char **argv) {
    settings s = {.engine = NNCLR_ENGINE_AUTO, .precision = NNCLR_PRECISION_F32};
    nnclr_option options[OWN_OPTIONS + VIEW_OPTIONS] = {
        SHORT('m', INPUT, "model", &s.model, "CHECKPOINT",
              "the RUN or checkpoint whose network is used, or a ResNet's weights under "
              "torchvision's names"),
        PREFIX_OPTION(&s.prefix),
        RENAMED_VALUES("output", "layer", cut_names),
        CHOICE("layer", &s.cut, cut_names,
               "which of the network's values become rows: the pooled features of the backbone, or "
               "the projector's output"),
        FLAG("untrained", &s.untrained, "take the same network at step 0: the baseline to beat"),
        ENGINE_OPTIONS(&s.engine, &s.precision),
        INTEGER("pixels", &s.pixels, "N",
                "no network: N x N x 3 pixels minus the picture's own mean, the other baseline", 1,
                PIXELS_LIMIT),
        RENAMED("out", "output"),
        SHORT('o', OUTPUT, "output", &s.output, "FILE", NNCLR_MAKES_TENSORS,
              "write there instead of to standard output; a name ending in .safetensors is written "
              "uncompressed"),
        GROUP("What the network is shown (default: what its file says)"),
    };
    view_options(&s.view, options + OWN_OPTIONS);
    const nnclr_program program = {
        .name = "nnclr-embed",
        .summary = "Turns the pictures of shards into embeddings, one row each.",
        .usage =
            "-m CHECKPOINT|WEIGHTS [options] [-o FILE] SHARD...\n--pixels N [-o FILE] SHARD...",
        .notes =
            "Several SHARDs form one set, numbered consecutively in the order given; - is standard "
            "input. Folders, tars and pictures given in their place are packed on the way.\n"
            "Weights that say nothing about it are shown 224 pixels (32 with the 32x32 stem), "
            "bilinear, "
            "with ImageNet's mean and std.",
        .ranks = true,
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    nnclr_cli cli;
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_cli_begin(&cli, &program, argc, argv);
    check(&cli, &s);
    nnclr_shard_set *set = pictures_open(&cli, (const char *const *)cli.operands,
                                         (size_t)cli.operand_count, PICTURES_CACHE, &e);
    if (!set)
        nnclr_cli_die(&cli, &e);
    bool ok = s.pixels ? embed_pixels(&cli, &s, set, &e) : embed_network(&cli, &s, set, &e);
    nnclr_shard_set_close(set);
    if (!ok)
        nnclr_cli_die(&cli, &e);
    nnclr_cli_end(&cli, NNCLR_EXIT_DONE);
}
