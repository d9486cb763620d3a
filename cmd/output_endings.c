/* What the ending of an output's name promises, and which program keeps that promise. */
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "cmd/cli_internal.h"

#define EXPORTS_ROWS    "nnclr-export makes one from embeddings"
#define EXPORTS_WEIGHTS "nnclr-export makes one from a checkpoint"
#define EXPORTS_METRICS "nnclr-export makes one from the metrics of a run"
#define TENSORS_COME    "nnclr-embed, nnclr-views and nnclr-lineval write such files"

/* A longer ending comes before one that it ends in. */
static const struct {
    const char *ending;
    unsigned outputs;  /* kinds of output that have it */
    const char *maker; /* which program makes one */
} endings[] = {
    {".tar.zst", NNCLR_MAKES_SHARD, "nnclr-prep packs pictures into one"},
    {".tar", NNCLR_MAKES_SHARD, "nnclr-prep packs pictures into one"},
    {".safetensors.zst", NNCLR_MAKES_TENSORS, TENSORS_COME},
    {".safetensors", NNCLR_MAKES_TENSORS | NNCLR_MAKES_EXPORT, EXPORTS_WEIGHTS},
    {".emb", NNCLR_MAKES_TENSORS, "nnclr-embed writes such files"},
    {".onnx", NNCLR_MAKES_EXPORT, EXPORTS_WEIGHTS},
    {".npy", NNCLR_MAKES_EXPORT, EXPORTS_ROWS},
    {".tsv", NNCLR_MAKES_EXPORT | NNCLR_MAKES_TABLE, EXPORTS_ROWS},
    {".csv", NNCLR_MAKES_EXPORT, EXPORTS_METRICS},
    {".tfevents", NNCLR_MAKES_EXPORT, EXPORTS_METRICS},
    {".png", NNCLR_MAKES_PICTURE, "nnclr-views --sheet and nnclr-queue-inspect --sheet draw one"},
    {".html", NNCLR_MAKES_PAGE, "nnclr-queue-inspect --html writes one"},
};
enum { ENDINGS = sizeof endings / sizeof *endings };

/* Formats that none of the programs write. */
static const char *const foreign[] = {
    ".7z",  ".arrow", ".bmp",   ".bz2",      ".ckpt", ".gif", ".gz",   ".h5",  ".hdf5",    ".jpeg",
    ".jpg", ".json",  ".jsonl", ".lmdb",     ".mat",  ".npz", ".pdf",  ".pkl", ".parquet", ".pt",
    ".pth", ".rar",   ".svg",   ".tfrecord", ".tgz",  ".txt", ".webp", ".xz",  ".zip",
};

static const struct {
    unsigned output;
    const char *name;
} outputs[] = {
    {NNCLR_MAKES_SHARD, "a shard"},     {NNCLR_MAKES_TENSORS, "this file"},
    {NNCLR_MAKES_PICTURE, "a picture"}, {NNCLR_MAKES_PAGE, "a page"},
    {NNCLR_MAKES_TABLE, "a table"},     {NNCLR_MAKES_EXPORT, "an export"},
};

/* "the name of a shard ends in .tar.zst or .tar" */
static void say_what(unsigned output, char *text, size_t size) {
    size_t used = 0, listed = 0, count = 0;
    const char *name = "";
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++)
        name = outputs[i].output == output ? outputs[i].name : name;
    used += (size_t)snprintf(text, size, "the name of %s ends in ", name);
    for (size_t i = 0; i < ENDINGS; i++)
        count += (endings[i].outputs & output) != 0;
    for (size_t i = 0; i < ENDINGS && used < size; i++)
        if (endings[i].outputs & output) {
            listed++;
            used += (size_t)snprintf(text + used, size - used, "%s%s",
                                     listed == 1       ? ""
                                     : listed == count ? " or "
                                                       : ", ",
                                     endings[i].ending);
        }
}

/* Index in the table; ENDINGS: not there. */
static size_t find(const char *path) {
    size_t i = 0;
    while (i < ENDINGS && !nnclr_ends_in(path, endings[i].ending))
        i++;
    return i;
}

static bool is_foreign(const char *path) {
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (nnclr_ends_in(path, foreign[i]))
            return true;
    return false;
}

const char *nnclr_output_ending(const char *path) {
    const size_t i = find(path);
    return i < ENDINGS ? endings[i].ending : "";
}

void nnclr_check_ending(nnclr_cli *cli, unsigned output, const char *shown, const char *path) {
    const size_t i = find(path);
    const bool ours = i < ENDINGS;
    if (ours ? (endings[i].outputs & output) != 0 : !is_foreign(path))
        return;
    if (output == NNCLR_MAKES_RUN && nnclr_is_folder(path))
        return;
    char what[200] = "RUN is a folder";
    if (output != NNCLR_MAKES_RUN)
        say_what(output, what, sizeof what);
    nnclr_cli_usage(cli, "%s: %s, unlike %s; %s", shown, what, path,
                    ours ? endings[i].maker : "none of these programs writes that format");
}
