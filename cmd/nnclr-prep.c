/* nnclr-prep: packs pictures into a shard, and lists what a shard holds. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/option_table.h"
#include "cmd/pictures.h"
#include "image/packer.h"
#include "io/shard.h"

enum { ORDER_SORTED, ORDER_RANDOM };
static const char *const order_names[] = {"sorted", "random", NULL};

typedef struct settings {
    char *output; /* of the command line */
    const char *root, *list, *exclude, *relabel;
    bool plain; /* a tar that is not compressed */
    int order;
    int64_t seed, size, shard_size;
    bool pixels, strict, skip_bad, list_contents, json;
} settings;

/* ---- packing ---- */

typedef struct packing {
    nnclr_cli *cli;
    const settings *settings;
    nnclr_source *source;
    size_t beside;    /* pictures that were passed over */
    char changed[80]; /* what the reports changed, for the summary */
    pictures_left_out left_out;
    nnclr_pack_report report;
} packing;

static bool leave_out(void *context, const nnclr_error *why) {
    packing *p = context;
    if (p->settings->strict)
        return false;
    pictures_leave_out(p->cli, &p->left_out, why);
    return true;
}

static bool start(packing *p, nnclr_error *e) {
    const settings *s = p->settings;
    const nnclr_source_options options = {
        .inputs = (const char *const *)p->cli->operands,
        .input_count = (size_t)p->cli->operand_count,
        .root = s->root,
        .list = s->list,
        .exclude = s->exclude,
        .relabel = s->relabel,
        .file_limit = NNCLR_PACK_FILE_LIMIT,
        .outputs = p->cli->outputs,
        .output_count = p->cli->output_count,
    };
    p->source = nnclr_source_open(&options, e);
    if (!p->source)
        return false;
    nnclr_cli_detail(p->cli, "found %zu files of %zu classes", nnclr_source_count(p->source),
                     nnclr_source_class_count(p->source));
    p->beside = pictures_note(p->cli, p->source);
    if (s->exclude || s->relabel)
        snprintf(p->changed, sizeof p->changed, ", %zu excluded, %zu relabelled",
                 nnclr_source_excluded(p->source), nnclr_source_relabelled(p->source));
    nnclr_cli_catch(p->cli, NULL);
    return true;
}

static bool pack_source(packing *p, nnclr_error *e) {
    const settings *s = p->settings;
    const nnclr_progress progress = nnclr_cli_watch(p->cli);
    const nnclr_pack_request request = {
        .source = p->source,
        .shard =
            {
                .output = s->output ? s->output : "-",
                .plain = s->plain,
                .shard_size = (uint64_t)s->shard_size,
                .program = PICTURES_PACKER,
                .level = NNCLR_PACK_LEVEL,
            },
        .form = {.size = (int)s->size, .pixels = s->pixels},
        .random = s->order == ORDER_RANDOM,
        .seed = (uint64_t)s->seed,
        .threads = p->cli->threads,
        .leave_out = leave_out,
        .context = p,
        .progress = &progress,
    };
    return nnclr_pack(&request, &p->report, e);
}

static int pack(nnclr_cli *cli, const settings *s) {
    packing p = {.cli = cli, .settings = s};
    nnclr_error e = NNCLR_NO_ERROR;
    bool done = start(&p, &e) && pack_source(&p, &e);
    nnclr_source_close(p.source);
    nnclr_cli_progress_end(cli);
    pictures_count_left_out(cli, &p.left_out);
    if (!done)
        nnclr_cli_die(cli, &e);
    const uint64_t left_out = p.report.left_out + p.beside;
    nnclr_cli_note(cli, "pictures: %llu packed, %llu left out%s; classes: %zu; bytes: %llu",
                   (unsigned long long)p.report.packed, (unsigned long long)left_out, p.changed,
                   p.report.classes, (unsigned long long)p.report.bytes);
    return left_out > 0 && !s->skip_bad ? NNCLR_EXIT_SKIPPED : NNCLR_EXIT_DONE;
}

/* ---- listing ---- */

static int list_contents(nnclr_cli *cli, bool json) {
    static const char *const columns[] = {"record", "label",  "class", "name",
                                          "width",  "height", "codec", "bytes"};
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_shard_set *set =
        pictures_open(cli, (const char *const *)cli->operands, (size_t)cli->operand_count, 0, &e);
    if (!set)
        nnclr_cli_die(cli, &e);
    nnclr_table *table =
        nnclr_table_begin(cli, json, columns, (int)(sizeof columns / sizeof *columns));
    for (size_t i = 0; i < nnclr_shard_set_count(set); i++) {
        const nnclr_record record = nnclr_shard_set_record(set, i);
        nnclr_table_int(table, (int64_t)i);
        if (record.label < 0) {
            nnclr_table_text(table, NULL);
            nnclr_table_text(table, NULL);
        } else {
            nnclr_table_int(table, record.label);
            nnclr_table_text(table, nnclr_shard_set_class(set, (size_t)record.label));
        }
        nnclr_table_text(table, record.name);
        nnclr_table_int(table, record.width);
        nnclr_table_int(table, record.height);
        nnclr_table_text(table, nnclr_codecs[record.codec].name);
        nnclr_table_int(table, (int64_t)record.size);
        nnclr_table_row_end(table);
    }
    nnclr_table_end(table);
    nnclr_shard_set_close(set);
    return NNCLR_EXIT_DONE;
}

/* ---- options ---- */

/* The ending names the format; with several files, their numbers go before it. */
static void settle_output(settings *s) {
    const char *ending = s->output ? nnclr_output_ending(s->output) : "";
    s->plain = strcmp(ending, ".tar") == 0;
    if (s->shard_size > 0)
        s->output[strlen(s->output) - strlen(ending)] = '\0';
}

static void check_packing(nnclr_cli *cli, settings *s) {
    bool to_stdout = !s->output || nnclr_is_standard(s->output);
    if (s->json)
        nnclr_cli_usage(cli, "--json goes with --list-contents");
    if (nnclr_cli_given(cli, "seed") && s->order != ORDER_RANDOM)
        nnclr_cli_usage(cli, "--seed goes with --order random");
    if (s->strict && s->skip_bad)
        nnclr_cli_usage(cli, "--strict and --skip-bad contradict each other");
    if (s->shard_size > 0 && to_stdout)
        nnclr_cli_usage(cli, "--shard-size: several files need a prefix: give -o PREFIX");
    if (cli->operand_count == 0 && !s->list)
        nnclr_cli_usage(cli, "no input: give a folder, a tar, or - for a tar on standard input");
    if (to_stdout)
        nnclr_cli_refuse_terminal(cli, "a shard");
    settle_output(s);
    if (s->shard_size > 0)
        nnclr_cli_check_numbered(cli, s->output);
}

static void check_listing(nnclr_cli *cli) {
    static const char *const foreign[] = {"output",  "root",       "list",   "exclude",
                                          "relabel", "size",       "pixels", "order",
                                          "seed",    "shard-size", "strict", "skip-bad"};
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (nnclr_cli_given(cli, foreign[i]))
            nnclr_cli_usage(cli, "--%s does not go with --list-contents", foreign[i]);
    if (cli->operand_count == 0)
        nnclr_cli_usage(cli, "no input: give a shard, or - for one on standard input");
}

int main(int argc, char **argv) {
    settings s = {0};
    const nnclr_option options[] = {
        GROUP("Packing"),
        SHORT('o', OUTPUT, "output", &s.output, "FILE", NNCLR_MAKES_SHARD,
              "write the shard there instead of to standard output; with --shard-size, the "
              "beginning of the files' names"),
        TEXT("root", &s.root, "PATH",
             "take only what is below PATH in the input; the next component is the class. With "
             "files of CIFAR, STL-10 and MNIST it may end in train, test or unlabeled"),
        INPUT("list", &s.list, "FILE",
              "take the files that FILE names, one per line: path, then a tab and the label; - is "
              "standard input"),
        INPUT(
            "exclude", &s.exclude, "FILE",
            "leave out the pictures that FILE names: a report of nnclr-queue-inspect, or a name a "
            "line"),
        INPUT("relabel", &s.relabel, "FILE",
              "give pictures the classes that FILE has for them: a report on labels, or lines of "
              "name, tab and class"),
        INTEGER("size", &s.size, "N",
                "shrink the shorter side to N and store a JPEG of quality 95; smaller pictures are "
                "kept",
                1, 65535),
        FLAG("pixels", &s.pixels,
             "store decoded pixels, which take more room but less time to read"),
        CHOICE("order", &s.order, order_names, "the order in which records are stored"),
        INTEGER("seed", &s.seed, "N", "seed of the random order", 0, 9e18),
        BYTES("shard-size", &s.shard_size, "BYTES",
              "begin a new file before one would exceed BYTES; suffixes K, M, G, T", 1, 1e18),
        FLAG("strict", &s.strict, "stop at the first picture that cannot be read"),
        FLAG("skip-bad", &s.skip_bad, "exit with 0 even if pictures were left out"),
        GROUP("Listing"),
        FLAG("list-contents", &s.list_contents, "print a table of what is in the shards"),
        FLAG("json", &s.json, "print the table as JSON"),
    };
    const nnclr_program program = {
        .name = "nnclr-prep",
        .summary = "Packs pictures into a shard, the file that the other programs read.",
        .usage = "[options] INPUT...\n--list-contents [--json] SHARD...",
        .notes =
            "An INPUT is a folder (its subfolders are the classes), a tar in any compression, - (a "
            "tar on standard input), a single picture, or a file of many pictures: CIFAR-10, "
            "CIFAR-100 or STL-10 (.bin) and MNIST (idx). Folders and archives of such files are "
            "read too; --root train and --root test take one part of the set. A picture that "
            "cannot be read is named on standard error and left out; the exit code is then 3.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    nnclr_cli cli;
    nnclr_cli_begin(&cli, &program, argc, argv);
    if (s.list_contents)
        check_listing(&cli);
    else
        check_packing(&cli, &s);
    nnclr_cli_end(&cli, s.list_contents ? list_contents(&cli, s.json) : pack(&cli, &s));
}
