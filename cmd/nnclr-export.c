/* nnclr-export: a checkpoint's backbone, embeddings, or metrics in the formats of other programs.
 */
#include <string.h>

#include "cmd/cli.h"
#include "cmd/option_table.h"
#include "cmd/shared_options.h"
#include "eval/export.h"
#include "eval/export_metrics.h"
#include "eval/onnx.h"

static const char *const format_names[] = {"safetensors", "onnx",     "npy", "tsv",
                                           "csv",         "tfevents", NULL};
/* What each of them makes, as a sentence names it. */
static const char *const outputs[] = {
    "a safetensors file", "an ONNX model", "a NumPy array", "a table", "a table", "an event file"};
enum {
    FORMAT_SAFETENSORS,
    FORMAT_ONNX,
    FORMAT_NPY,
    FORMAT_TSV,
    FORMAT_CSV,
    FORMAT_EVENTS,
    FORMATS
};

/* The format that the ending of `path` names; FORMATS: none. */
static int format_of(const char *path) {
    const char *ending = nnclr_output_ending(path);
    int format = 0;
    while (format < FORMATS && !(*ending && strcmp(ending + 1, format_names[format]) == 0))
        format++;
    return format;
}

/* Once the input is open: a pipe that yields nothing is not waited for by a program that is asked
 * to stop. */
static nnclr_progress watch(nnclr_cli *cli) {
    nnclr_cli_catch(cli, NULL);
    return nnclr_cli_watch(cli);
}

static bool export_backbone(nnclr_cli *cli, const char *input, const char *prefix, int format,
                            const char *output, nnclr_error *e) {
    nnclr_frozen_network n;
    bool ok = nnclr_frozen_network_open(&n, input, prefix, e);
    if (ok && n.foreign && format == FORMAT_SAFETENSORS)
        ok = nnclr_fail(e, NNCLR_ERROR_USAGE,
                        "%s: these are weights in this format already: --format onnx makes a "
                        "model of them",
                        nnclr_tensor_reader_path(n.reader));
    if (ok) {
        const nnclr_progress progress = watch(cli);
        ok = format == FORMAT_ONNX ? nnclr_export_onnx(&n, output, NNCLR_VERSION, &progress, e)
                                   : nnclr_export_backbone(n.reader, &n.info, output, &progress, e);
    }
    nnclr_frozen_network_close(&n);
    return ok;
}

static bool export_rows(nnclr_cli *cli, const char *input, int format, const char *output,
                        nnclr_error *e) {
    nnclr_embedding x = {0};
    if (!nnclr_embedding_open(&x, input, e))
        return false;
    const nnclr_progress progress = watch(cli);
    bool ok = format == FORMAT_NPY ? nnclr_export_npy(&x, output, &progress, e)
                                   : nnclr_export_tsv(&x, output, &progress, e);
    nnclr_embedding_close(&x);
    return ok;
}

static bool export_metrics(nnclr_cli *cli, const char *input, int format, const char *output,
                           nnclr_error *e) {
    const nnclr_progress progress = watch(cli);
    return format == FORMAT_CSV ? nnclr_export_csv(input, output, &progress, e)
                                : nnclr_export_events(input, output, &progress, e);
}

int main(int argc, char **argv) {
    int format = 0;
    const char *output = NULL, *prefix = NULL;
    const nnclr_option options[] = {
        CHOICE("format", &format, format_names,
               "what to write: a checkpoint's backbone as torchvision and timm name it or as ONNX, "
               "embeddings as a NumPy array, or their names and labels as a table, metrics as a "
               "table or as an event file of TensorBoard; if this is not given, the ending of FILE "
               "decides"),
        PREFIX_OPTION(&prefix),
        RENAMED("out", "output"),
        SHORT('o', OUTPUT, "output", &output, "FILE", NNCLR_MAKES_EXPORT,
              "write there instead of to standard output"),
    };
    const nnclr_program program = {
        .name = "nnclr-export",
        .summary = "Turns a checkpoint, embeddings or metrics into files that other programs read.",
        .usage = "[options] [-o FILE] CHECKPOINT\n--format npy|tsv [-o FILE] "
                 "EMBEDDINGS\n--format csv|tfevents [-o FILE] RUN",
        .notes = "A CHECKPOINT may be weights of another program for --format onnx, or a RUN, "
                 "whose newest checkpoint is taken, or its "
                 "metrics.jsonl; - is standard input.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    nnclr_cli cli;
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_cli_begin(&cli, &program, argc, argv);
    if (cli.operand_count != 1)
        nnclr_cli_usage(&cli, "needs one input: a RUN, a checkpoint or an embedding file");
    const int named = output ? format_of(output) : FORMATS;
    if (!nnclr_cli_given(&cli, "format") && output && !nnclr_is_standard(output)) {
        if (named == FORMATS)
            nnclr_cli_usage(&cli, "%s: its ending names no format: give --format", output);
        format = named;
    }
    if (named != FORMATS && named != format)
        nnclr_cli_usage(&cli, "--format %s: %s is the name of another format", format_names[format],
                        output);
    if (prefix && format != FORMAT_ONNX)
        nnclr_cli_usage(&cli, "--prefix goes with weights for --format onnx");
    if (!output)
        output = "-";
    if (format >= FORMAT_CSV && nnclr_is_standard(cli.operands[0]))
        nnclr_cli_usage(&cli, "--format %s needs a RUN or its metrics.jsonl, not standard input",
                        format_names[format]);
    if (format != FORMAT_TSV && format != FORMAT_CSV && nnclr_is_standard(output))
        nnclr_cli_refuse_terminal(&cli, outputs[format]);
    const bool ok =
        format <= FORMAT_ONNX  ? export_backbone(&cli, cli.operands[0], prefix, format, output, &e)
        : format <= FORMAT_TSV ? export_rows(&cli, cli.operands[0], format, output, &e)
                               : export_metrics(&cli, cli.operands[0], format, output, &e);
    nnclr_cli_progress_end(&cli);
    if (!ok)
        nnclr_cli_die(&cli, &e);
    nnclr_cli_end(&cli, NNCLR_EXIT_DONE);
}
