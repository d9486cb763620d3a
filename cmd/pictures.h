/* The pictures that a program reads: shards, and everything that nnclr-prep makes shards from. */
#ifndef NNCLR_CMD_PICTURES_H
#define NNCLR_CMD_PICTURES_H

#include "cmd/cli.h"
#include "image/pictures.h"

#define PICTURES_PACKER "nnclr-prep " NNCLR_VERSION /* kept in what it makes */

enum { PICTURES_CACHE = 64 << 20 }; /* for pictures that are read once, in their order */

/* As nnclr_pictures_open, with a note about what is packed on the way. A picture that cannot be
 * read is named and left out, as in nnclr-prep: the program's exit code is then NNCLR_EXIT_SKIPPED
 * instead of NNCLR_EXIT_DONE. */
nnclr_shard_set *pictures_open(nnclr_cli *cli, const char *const *paths, size_t count,
                               uint64_t cache_bytes, nnclr_error *e);

/* Pictures that are left out, by the reason. Zero-initialise. */
enum { PICTURES_REASONS = 16 };
typedef struct pictures_left_out {
    struct {
        char text[200];
        size_t count;
    } reasons[PICTURES_REASONS];
    size_t count;
} pictures_left_out;
/* Names one, unless some others were named with the same reason already, and there is no -v. */
void pictures_leave_out(nnclr_cli *cli, pictures_left_out *left_out, const nnclr_error *why);
/* Says after all of them how many were not named. */
void pictures_count_left_out(nnclr_cli *cli, const pictures_left_out *left_out);

/* Says what is passed over in a source, and what was probably meant differently; returns how many
 * pictures are passed over. */
size_t pictures_note(nnclr_cli *cli, const nnclr_source *source);

#endif
