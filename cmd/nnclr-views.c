/* nnclr-views: what pre-training sees of the pictures of shards, as data or to look at. */
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "cmd/augment_options.h"
#include "cmd/cli.h"
#include "cmd/option_table.h"
#include "cmd/pictures.h"
#include "image/epoch_order.h"
#include "image/view_sheet.h"

#define PROGRAM "nnclr-views " NNCLR_VERSION

enum { SHEET_ROWS = 12 };

typedef enum row_order { ORDER_RECORD, ORDER_TRAINING } row_order;
static const char *const order_names[] = {"record", "training", NULL};

typedef struct settings {
    int preset, order;
    int64_t size, n, epoch, seed, cache, window;
    bool bytes;
    const char *sheet, *output; /* output: NULL if only a sheet is made */
    nnclr_config config;
} settings;

/* ---- which records ---- */

static int64_t rows_wanted(const settings *s, size_t count) {
    int64_t n = s->n ? s->n : s->sheet && !s->output ? SHEET_ROWS : (int64_t)count;
    return nnclr_min(n, (int64_t)count);
}

/* The first n of the epoch's order, or n spread over the set, since shards may be sorted by
 * class. */
static uint32_t *choose_records(const settings *s, const nnclr_shard_set *set, size_t n,
                                nnclr_error *e) {
    size_t count = nnclr_shard_set_count(set);
    if (count > UINT32_MAX) {
        nnclr_fail(e, NNCLR_ERROR_LIMIT, "%zu records are more than %u", count, UINT32_MAX);
        return NULL;
    }
    uint32_t *records = nnclr_alloc(count, sizeof *records, e);
    if (records && s->order == ORDER_TRAINING &&
        !nnclr_epoch_order(set, (uint64_t)s->seed, (uint32_t)s->epoch, (size_t)s->window, records,
                           e)) {
        nnclr_free(records);
        return NULL;
    }
    for (size_t i = 0; records && s->order == ORDER_RECORD && i < n; i++)
        records[i] = (uint32_t)(i * (uint64_t)count / n);
    return records;
}

/* ---- what is written ---- */

/* What the views depend on. */
static nnclr_json *describe(const settings *s, nnclr_error *e) {
    nnclr_json *config = nnclr_json_object(e);
    return nnclr_json_if(config && nnclr_json_put_int(config, "size", s->config.model.size, e) &&
                             nnclr_augment_put(config, &s->config.augment, e) &&
                             nnclr_json_put_int(config, "seed", s->seed, e) &&
                             nnclr_json_put_int(config, "epoch", s->epoch, e) &&
                             nnclr_json_put_string(config, "order", order_names[s->order], e),
                         config);
}

static bool write_views(const settings *s, nnclr_shard_set *set, nnclr_views_request *request,
                        nnclr_error *e) {
    nnclr_json *config = describe(s, e);
    request->config = config;
    bool ok = config && nnclr_views_write(s->output, set, request, e);
    nnclr_json_free(config);
    return ok;
}

static bool write_sheet(const settings *s, nnclr_shard_set *set, const nnclr_views_request *request,
                        nnclr_error *e) {
    nnclr_buffer png = {0};
    char title[80];
    snprintf(title, sizeof title, "epoch %lld, seed %lld, size %d", (long long)s->epoch,
             (long long)s->seed, s->config.model.size);
    bool ok = nnclr_view_sheet(set, request, title, &png, e) &&
              nnclr_file_write(s->sheet, png.data, png.size, e);
    nnclr_buffer_free(&png);
    return ok;
}

static bool make_views(nnclr_cli *cli, const settings *s, nnclr_shard_set *set, nnclr_error *e) {
    size_t count = nnclr_shard_set_count(set), n = (size_t)rows_wanted(s, count);
    uint32_t *records = choose_records(s, set, n, e);
    const nnclr_progress progress = nnclr_cli_watch(cli);
    nnclr_views_request request = {
        .augment = s->config.augment,
        .seed = (uint64_t)s->seed,
        .epoch = (uint32_t)s->epoch,
        .records = records,
        .count = n,
        .bytes = s->bytes,
        .threads = cli->threads,
        .program = PROGRAM,
        .progress = &progress,
    };
    nnclr_cli_catch(cli, NULL);
    bool ok = records && (!s->sheet || write_sheet(s, set, &request, e)) &&
              (!s->output || write_views(s, set, &request, e));
    nnclr_cli_progress_end(cli);
    nnclr_free(records);
    return ok;
}

/* ---- the program ---- */

static void finish(nnclr_cli *cli, settings *s) {
    nnclr_error e = NNCLR_NO_ERROR;
    if (cli->operand_count == 0)
        nnclr_cli_usage(
            cli,
            "no input: give a shard or a folder of pictures, or - for a shard on standard input");
    if (s->sheet && !s->output && s->bytes)
        nnclr_cli_usage(cli, "--u8: a sheet has no tensors; give -o FILE with it, or leave it out");
    if (s->window > 0 && s->order != ORDER_TRAINING)
        nnclr_cli_usage(cli, "--shuffle-window goes with --order training");
    if (!s->sheet && !s->output)
        s->output = "-";
    if (nnclr_is_standard(s->sheet) && nnclr_is_standard(s->output))
        nnclr_cli_usage(cli, "only one of --sheet and -o can be standard output");
    if (nnclr_is_standard(s->output) || nnclr_is_standard(s->sheet))
        nnclr_cli_refuse_terminal(cli, s->output ? "a file of views" : "a picture");
    s->config.model.size = s->config.augment.size = (int)s->size;
    if (!nnclr_config_check(&s->config, &e))
        nnclr_cli_die(cli, &e);
}

int main(int argc, char **argv) {
    settings s = {.cache = 64 << 20};
    const nnclr_option first[] = {
        CHOICE("preset", &s.preset, nnclr_preset_names,
               "whose augmentation: the paper's, or that of two smaller settings"),
        GROUP("Augmentation, as in nnclr-pretrain"),
    };
    const nnclr_option last[] = {
        GROUP("Views"),
        SHORT('n', INTEGER, "count", &s.n, "N",
              "how many pictures, spread over the SHARDs, or the first ones with --order "
              "training; by default all, or 12 for a --sheet",
              1, 4e9),
        INTEGER("epoch", &s.epoch, "N", "epoch whose views to make", 0, UINT32_MAX),
        INTEGER("seed", &s.seed, "N", "seed of the training", 0, 9e18),
        CHOICE("order", &s.order, order_names, "by record number, or in the order of the epoch"),
        INTEGER("shuffle-window", &s.window, "N", "window of the training, with --order training",
                0, 1 << 30),
        BYTES("cache", &s.cache, "BYTES",
              "keep at most this much of the shards decompressed in memory; the rest is read again",
              0, 1e15),
        FLAG("u8", &s.bytes, "store rounded bytes instead of F32: a quarter of the size"),
        OUTPUT("sheet", &s.sheet, "OUT.png", NNCLR_MAKES_PICTURE,
               "draw a contact sheet: each picture, its view 1 and its view 2"),
        RENAMED("out", "output"),
        SHORT('o', OUTPUT, "output", &s.output, "FILE", NNCLR_MAKES_TENSORS,
              "write the views there instead of to standard output; a name ending in "
              ".safetensors is written uncompressed"),
    };
    enum { FIRST = sizeof first / sizeof *first, LAST = sizeof last / sizeof *last };
    nnclr_option options[FIRST + AUGMENT_OPTIONS_MOST + LAST];
    memcpy(options, first, sizeof first);
    size_t count = FIRST + augment_options(&s.config.augment, &s.size, options + FIRST);
    memcpy(options + count, last, sizeof last);
    count += LAST;
    s.config =
        augment_defaults(&(nnclr_command_line){options, count, argc, argv}, &s.preset, &s.size);
    const nnclr_program program = {
        .name = "nnclr-views",
        .summary = "Makes the views that nnclr-pretrain trains on, as a file or to look at.",
        .usage = "[options] [-o FILE] SHARD...\n[options] --sheet OUT.png [-o FILE] SHARD...",
        .notes =
            "Several SHARDs form one set, numbered consecutively in the order given; - is standard "
            "input. Folders, tars and pictures given in their place are packed on the way.",
        .options = options,
        .option_count = count,
    };
    nnclr_cli cli;
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_cli_begin(&cli, &program, argc, argv);
    finish(&cli, &s);
    nnclr_shard_set *set = pictures_open(&cli, (const char *const *)cli.operands,
                                         (size_t)cli.operand_count, (uint64_t)s.cache, &e);
    bool ok = set && make_views(&cli, &s, set, &e);
    nnclr_shard_set_close(set);
    if (!ok)
        nnclr_cli_die(&cli, &e);
    nnclr_cli_end(&cli, NNCLR_EXIT_DONE);
}
