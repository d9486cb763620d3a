#include "cmd/pictures.h"

#include <stdio.h>
#include <string.h>

size_t pictures_note(nnclr_cli *cli, const nnclr_source *source) {
    const char *first, *folder;
    const size_t beside = nnclr_source_beside(source, &first);
    const int only = (int)nnclr_source_only_folder(source, &folder);
    if (beside > 0)
        nnclr_cli_error(
            cli,
            "%s: %zu picture%s next to the class folders %s passed over; put such pictures into a "
            "folder, or list all files (nnclr-prep --list), to take them too",
            first, beside, beside > 1 ? "s" : "", beside > 1 ? "are" : "is");
    if (only > 0)
        nnclr_cli_note(cli,
                       "%.*s: everything is below it, which makes one class; with nnclr-prep "
                       "--root %.*s its folders are the classes",
                       only, folder, only, folder);
    if (nnclr_source_mixes_parts(source))
        nnclr_cli_note(cli, "training and test pictures are taken together; nnclr-prep --root "
                            "train and --root test take one part each");
    return beside;
}

/* ---- what is left out ---- */

enum { NAMED = 5 };

/* How many there were before it with the same reason, which ends the message. */
static size_t count_reason(pictures_left_out *left_out, const char *message) {
    const char *reason = message;
    for (const char *next; (next = strstr(reason, ": ")) != NULL;)
        reason = next + strlen(": ");
    size_t i = 0;
    while (i < left_out->count && strcmp(left_out->reasons[i].text, reason) != 0)
        i++;
    if (i == PICTURES_REASONS || strlen(reason) >= sizeof left_out->reasons[i].text)
        return 0;
    if (i == left_out->count)
        strcpy(left_out->reasons[left_out->count++].text, reason);
    return left_out->reasons[i].count++;
}

void pictures_leave_out(nnclr_cli *cli, pictures_left_out *left_out, const nnclr_error *why) {
    if (count_reason(left_out, why->message) < NAMED || cli->verbosity > 0)
        nnclr_cli_error(cli, "%s", why->message);
}

void pictures_count_left_out(nnclr_cli *cli, const pictures_left_out *left_out) {
    for (size_t i = 0; i < left_out->count && cli->verbosity <= 0; i++)
        if (left_out->reasons[i].count > NAMED)
            nnclr_cli_error(cli, "%zu more: %s (-v names each)", left_out->reasons[i].count - NAMED,
                            left_out->reasons[i].text);
}

/* ---- packing on the way ---- */

typedef struct packing {
    nnclr_cli *cli;
    pictures_left_out left_out;
} packing;

static void on_packing(void *context, const char *name, size_t count, const nnclr_source *source) {
    nnclr_cli *cli = ((packing *)context)->cli;
    char more[60] = "";
    if (count > 1)
        snprintf(more, sizeof more, " and %zu more", count - 1);
    nnclr_cli_note(cli, "%s%s: packing %zu picture%s on the way; nnclr-prep keeps them", name, more,
                   nnclr_source_count(source), nnclr_source_count(source) == 1 ? "" : "s");
    if (pictures_note(cli, source) > 0)
        cli->skipped = true;
}

static bool leave_out(void *context, const nnclr_error *why) {
    packing *p = context;
    pictures_leave_out(p->cli, &p->left_out, why);
    p->cli->skipped = true;
    return true;
}

nnclr_shard_set *pictures_open(nnclr_cli *cli, const char *const *paths, size_t count,
                               uint64_t cache_bytes, nnclr_error *e) {
    const nnclr_progress progress = nnclr_cli_watch(cli);
    packing p = {.cli = cli};
    const nnclr_pictures_options options = {
        .cache_bytes = cache_bytes,
        .program = PICTURES_PACKER,
        .threads = cli->threads,
        .on_packing = on_packing,
        .leave_out = leave_out,
        .context = &p,
        .outputs = cli->outputs,
        .output_count = cli->output_count,
        .progress = &progress,
    };
    nnclr_shard_set *set = nnclr_pictures_open(paths, count, &options, e);
    nnclr_cli_progress_end(cli);
    pictures_count_left_out(cli, &p.left_out);
    return set;
}
