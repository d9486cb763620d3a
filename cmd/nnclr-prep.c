/* nnclr-prep: packs pictures into a shard, and lists what a shard holds. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/threads.h"
#include "cmd/cli.h"
#include "image/decode.h"
#include "image/picture_source.h"
#include "io/shard.h"

enum { FILE_LIMIT = 256 * 1024 * 1024, ZSTD_LEVEL = 3, SLOTS_PER_THREAD = 4 };

typedef struct settings {
    const char *output, *root, *list, *order;
    int64_t shard_size;
    bool strict, skip_bad, list_contents, json;
} settings;

/* ---- packing ---- */

/* A picture on its way from the pipeline's threads to the writer. */
typedef struct picture {
    nnclr_buffer bytes;
    nnclr_record record;
} picture;

typedef struct packing {
    nnclr_cli *cli;
    const settings *settings;
    nnclr_source *source;
    nnclr_shard_writer *writer;
    nnclr_pipeline *pipeline;
    picture *slots;
    int depth;
    uint64_t packed, left_out, bytes;
} packing;

/* Decodes the picture to its end, so that no later reader meets a damaged one. */
static bool read_picture(packing *p, size_t i, picture *out, nnclr_error *e) {
    nnclr_source_entry entry = nnclr_source_entry_at(p->source, i);
    nnclr_decode_limits limits = nnclr_decode_limits_default();
    nnclr_image image = {0};
    out->record = (nnclr_record){.name = entry.name, .label = entry.label};
    if (!nnclr_source_read(p->source, i, &out->bytes, e))
        return false;
    if (!nnclr_probe(out->bytes.data, out->bytes.size, &limits, &out->record.codec,
                     &out->record.width, &out->record.height, e) ||
        !nnclr_decode(out->bytes.data, out->bytes.size, &limits, &image, e))
        return nnclr_fail_at(e, "%s", entry.name);
    nnclr_image_free(&image);
    out->record.size = out->bytes.size;
    return true;
}

static bool produce(void *context, uint64_t item, int slot, int worker, nnclr_error *e) {
    packing *p = context;
    (void)worker;
    return read_picture(p, (size_t)item, &p->slots[slot], e);
}

/* A picture that cannot be read is left out, unless --strict; that memory is short says nothing
 * about the picture. */
static bool leave_out(packing *p, const nnclr_error *why) {
    if (p->settings->strict || why->code == NNCLR_ERROR_MEMORY)
        return false;
    nnclr_cli_error(p->cli, "%s", why->message);
    p->left_out++;
    return true;
}

static bool pack_all(packing *p, nnclr_error *e) {
    size_t total = nnclr_source_count(p->source);
    for (;;) {
        nnclr_error why = NNCLR_NO_ERROR;
        int slot = 0;
        nnclr_next next = nnclr_pipeline_next(p->pipeline, &slot, &why);
        if (next == NNCLR_NEXT_END)
            return true;
        if (nnclr_cli_stop)
            return nnclr_fail(e, NNCLR_ERROR_IO, "stopped by a signal");
        if (next == NNCLR_NEXT_FAILED) {
            if (!leave_out(p, &why)) {
                *e = why;
                return false;
            }
        } else {
            const picture *done = &p->slots[slot];
            if (!nnclr_shard_writer_add(p->writer, -1, &done->record, done->bytes.data, e))
                return false;
            p->packed++;
            p->bytes += done->record.size;
        }
        nnclr_pipeline_release(p->pipeline);
        nnclr_cli_progress(p->cli, "pictures", p->packed + p->left_out, total, NULL);
    }
}

static nnclr_shard_writer *open_writer(const packing *p, nnclr_error *e) {
    size_t count = nnclr_source_class_count(p->source);
    const char **classes = nnclr_alloc(count, sizeof *classes, e);
    if (!classes)
        return NULL;
    for (size_t i = 0; i < count; i++)
        classes[i] = nnclr_source_class(p->source, i);
    const nnclr_shard_options options = {
        .output = p->settings->output ? p->settings->output : "-",
        .shard_size = (uint64_t)p->settings->shard_size,
        .classes = classes,
        .class_count = count,
        .program = "nnclr-prep " NNCLR_VERSION,
        .level = ZSTD_LEVEL,
    };
    nnclr_shard_writer *writer = nnclr_shard_writer_open(&options, e);
    nnclr_free(classes);
    return writer;
}

static bool start(packing *p, nnclr_error *e) {
    const settings *s = p->settings;
    const nnclr_source_options options = {
        .inputs = (const char *const *)p->cli->operands,
        .input_count = (size_t)p->cli->operand_count,
        .root = s->root,
        .list = s->list,
        .file_limit = FILE_LIMIT,
    };
    p->source = nnclr_source_open(&options, e);
    if (!p->source)
        return false;
    nnclr_cli_detail(p->cli, "%zu files of %zu classes found", nnclr_source_count(p->source),
                     nnclr_source_class_count(p->source));
    if (nnclr_source_mixes_parts(p->source))
        nnclr_cli_note(p->cli, "training and test pictures go into one shard; --root train and "
                               "--root test take them apart");
    nnclr_cli_catch();
    p->writer = open_writer(p, e);
    if (!p->writer)
        return false;
    p->depth = p->cli->threads * SLOTS_PER_THREAD;
    p->slots = nnclr_alloc_zero((size_t)p->depth, sizeof *p->slots, e);
    if (!p->slots)
        return false;
    p->pipeline = nnclr_pipeline_start(p->cli->threads, p->depth, 0, nnclr_source_count(p->source),
                                       produce, p, e);
    return p->pipeline != NULL;
}

static bool finish(packing *p, nnclr_error *e) {
    if (p->packed == 0)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "none of the %llu files is a picture that can be read",
                          (unsigned long long)p->left_out);
    nnclr_shard_writer *writer = p->writer;
    p->writer = NULL;
    return nnclr_shard_writer_commit(writer, e);
}

static void stop(packing *p) {
    nnclr_pipeline_stop(p->pipeline);
    nnclr_shard_writer_abandon(p->writer);
    for (int i = 0; p->slots && i < p->depth; i++)
        nnclr_buffer_free(&p->slots[i].bytes);
    nnclr_free(p->slots);
}

static int pack(nnclr_cli *cli, const settings *s) {
    packing p = {.cli = cli, .settings = s};
    nnclr_error e = NNCLR_NO_ERROR;
    bool done = start(&p, &e) && pack_all(&p, &e) && finish(&p, &e);
    size_t classes = done ? nnclr_source_class_count(p.source) : 0;
    stop(&p);
    nnclr_source_close(p.source);
    nnclr_cli_progress_end(cli);
    if (!done && nnclr_cli_stop)
        nnclr_cli_die_of(nnclr_cli_stop);
    if (!done)
        nnclr_cli_die(cli, &e);
    nnclr_cli_note(cli, "pictures: %llu packed, %llu left out; classes: %zu; bytes: %llu",
                   (unsigned long long)p.packed, (unsigned long long)p.left_out, classes,
                   (unsigned long long)p.bytes);
    return p.left_out > 0 && !s->skip_bad ? NNCLR_EXIT_SKIPPED : NNCLR_EXIT_DONE;
}

/* ---- listing ---- */

static int list_contents(nnclr_cli *cli, bool json) {
    static const char *const columns[] = {"record", "label",  "class", "name",
                                          "width",  "height", "codec", "bytes"};
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_shard_set *set =
        nnclr_shard_set_open((const char *const *)cli->operands, (size_t)cli->operand_count, 0, &e);
    if (!set)
        nnclr_cli_die(cli, &e);
    nnclr_table *table =
        nnclr_table_begin(cli, json, columns, (int)(sizeof columns / sizeof *columns));
    for (size_t i = 0; i < nnclr_shard_set_count(set); i++) {
        nnclr_record record;
        nnclr_shard_set_record(set, i, &record);
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
        nnclr_table_text(table, nnclr_codec_name(record.codec));
        nnclr_table_int(table, (int64_t)record.size);
        nnclr_table_row_end(table);
    }
    nnclr_table_end(table);
    nnclr_shard_set_close(set);
    return NNCLR_EXIT_DONE;
}

/* ---- options ---- */

static bool parse_order(const char *text, void *target, nnclr_error *e) {
    if (strcmp(text, "random") == 0)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "random is not offered yet; give sorted");
    if (strcmp(text, "sorted") != 0)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "needs sorted, not \"%s\"", text);
    *(const char **)target = "sorted";
    return true;
}

static void show_order(const void *target, char *text, size_t size) {
    snprintf(text, size, "%s", *(const char *const *)target);
}

static void check_packing(nnclr_cli *cli, const settings *s) {
    bool to_stdout = !s->output || strcmp(s->output, "-") == 0;
    if (s->json)
        nnclr_cli_usage(cli, "--json goes with --list-contents");
    if (s->strict && s->skip_bad)
        nnclr_cli_usage(cli, "--strict and --skip-bad contradict each other");
    if (s->shard_size > 0 && to_stdout)
        nnclr_cli_usage(cli, "--shard-size: several files need a prefix: give -o PREFIX");
    if (cli->operand_count == 0 && !s->list)
        nnclr_cli_usage(cli, "no input: give a folder, a tar, or - for a tar on standard input");
    if (to_stdout)
        nnclr_cli_refuse_terminal(cli, "a shard");
}

static void check_listing(nnclr_cli *cli) {
    static const char *const foreign[] = {"output",     "root",   "list",    "order",
                                          "shard-size", "strict", "skip-bad"};
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (nnclr_cli_given(cli, foreign[i]))
            nnclr_cli_usage(cli, "--%s does not go with --list-contents", foreign[i]);
    if (cli->operand_count == 0)
        nnclr_cli_usage(cli, "no input: give a shard, or - for one on standard input");
}

int main(int argc, char **argv) {
    settings s = {.order = "sorted"};
    const nnclr_option options[] = {
        {.type = NNCLR_OPTION_GROUP, .help = "Packing"},
        {"output", 'o', NNCLR_OPTION_TEXT, &s.output, "FILE",
         .help = "write the shard there instead of to standard output; with --shard-size the "
                 "beginning of the files' names"},
        {"root", 0, NNCLR_OPTION_TEXT, &s.root, "PATH",
         .help = "take only what lies below PATH in the input; the next component is the class. "
                 "With files of CIFAR, STL-10 and MNIST it may end in train, test or unlabeled"},
        {"list", 0, NNCLR_OPTION_TEXT, &s.list, "FILE",
         .help = "take the files that FILE names, a line each: path, and behind a tab the label; "
                 "- is standard input"},
        {"order", 0, NNCLR_OPTION_CUSTOM, &s.order, "sorted", .parse = parse_order,
         .show = show_order, .help = "the order in which records are stored"},
        {"shard-size", 0, NNCLR_OPTION_BYTES, &s.shard_size, "BYTES", .low = 1, .high = 1e18,
         .help = "begin a new file before one would exceed BYTES; suffixes K, M, G, T"},
        {"strict", 0, NNCLR_OPTION_FLAG, &s.strict,
         .help = "stop at the first picture that cannot be read"},
        {"skip-bad", 0, NNCLR_OPTION_FLAG, &s.skip_bad,
         .help = "exit with 0 also when pictures were left out"},
        {"size", 0, NNCLR_OPTION_ABSENT, .argument = "N",
         .help =
             "not offered yet; leave it out: pictures keep their size and their original bytes"},
        {"pixels", 0, NNCLR_OPTION_ABSENT,
         .help = "not offered yet; leave it out: the original bytes are kept"},
        {.type = NNCLR_OPTION_GROUP, .help = "Listing"},
        {"list-contents", 0, NNCLR_OPTION_FLAG, &s.list_contents,
         .help = "print a table of what is in the shards"},
        {"json", 0, NNCLR_OPTION_FLAG, &s.json, .help = "print the table as JSON"},
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
