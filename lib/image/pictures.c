#include "image/pictures.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"
#include "image/packer.h"
#include "io/run_folder.h"

enum { PEEK = 512 };

/* What one of the paths is. */
typedef struct operand {
    const char *path;
    nnclr_input input; /* open: a shard, or an archive from a pipe */
    bool pictures;     /* not a shard */
} operand;

/* ---- what there is ---- */

bool nnclr_are_pictures(const char *path) {
    nnclr_error ignored = NNCLR_NO_ERROR;
    nnclr_input input = {.fd = -1};
    nnclr_buffer start = {0};
    struct stat status;
    bool pictures = false;
    if (nnclr_is_standard(path) || stat(path, &status) != 0)
        return false;
    if (S_ISDIR(status.st_mode))
        pictures = !nnclr_run_find_checkpoint(path, &start, &ignored);
    else if (S_ISREG(status.st_mode))
        pictures = nnclr_input_open(path, &input, &ignored) &&
                   nnclr_input_peek(&input, PEEK, &start, &ignored) &&
                   nnclr_content_of(start.data, start.size) != NNCLR_CONTENT_TENSORS;
    nnclr_input_close(&input);
    nnclr_buffer_free(&start);
    return pictures;
}

/* Everything that nnclr-prep may have an answer to; what cannot be read at all is left to the
 * reader of shards, as is what another program of ours made. */
static bool holds_pictures(const nnclr_input *input) {
    nnclr_error ignored = NNCLR_NO_ERROR;
    nnclr_buffer start = {0};
    bool pictures = false;
    if (input->size > 0 && nnclr_input_peek(input, PEEK, &start, &ignored)) {
        const nnclr_content content = nnclr_content_of(start.data, start.size);
        pictures = content == NNCLR_CONTENT_TAR || content == NNCLR_CONTENT_OTHER;
    }
    nnclr_buffer_free(&start);
    return pictures;
}

/* Files that can be opened again are closed: there may be as many of them as pictures. */
static bool look_at(operand *o, nnclr_error *e) {
    struct stat status;
    const bool named = !nnclr_is_standard(o->path) && stat(o->path, &status) == 0;
    o->pictures = named && S_ISDIR(status.st_mode);
    if (o->pictures)
        return true;
    if (!nnclr_input_open(o->path, &o->input, e))
        return false;
    o->pictures = holds_pictures(&o->input);
    if (o->pictures && named && S_ISREG(status.st_mode))
        nnclr_input_close(&o->input);
    return true;
}

/* ---- packing ---- */

static bool pack_source(nnclr_source *source, const nnclr_pictures_options *options, int fd,
                        const char *name, nnclr_error *e) {
    char output[NNCLR_TEMPORARY_NAME];
    nnclr_temporary_name(output);
    const nnclr_pack_request request = {
        .source = source,
        .shard = {.output = output,
                  .descriptor = &fd,
                  .program = options->program,
                  .level = NNCLR_PACK_LEVEL},
        .threads = options->threads,
        .leave_out = options->leave_out,
        .context = options->context,
        .progress = options->progress,
    };
    nnclr_pack_report report;
    return nnclr_pack(&request, &report, e) || nnclr_fail_at(e, "%s", name);
}

static nnclr_source *open_source(const operand *operands, size_t count,
                                 const nnclr_pictures_options *o, nnclr_error *e) {
    const char **paths = nnclr_alloc(count, sizeof *paths, e);
    nnclr_input *opened = nnclr_alloc(count, sizeof *opened, e);
    for (size_t i = 0; paths && opened && i < count; i++) {
        paths[i] = operands[i].path;
        opened[i] = operands[i].input;
    }
    const nnclr_source_options options = {.inputs = paths,
                                          .input_count = count,
                                          .opened = opened,
                                          .outputs = o->outputs,
                                          .output_count = o->output_count,
                                          .file_limit = NNCLR_PACK_FILE_LIMIT};
    nnclr_source *source = paths && opened ? nnclr_source_open(&options, e) : NULL;
    nnclr_free(paths);
    nnclr_free(opened);
    return source;
}

/* Packs these neighbours into a shard in a file without a name. */
static bool pack(const operand *operands, size_t count, const nnclr_pictures_options *options,
                 nnclr_input *shard, nnclr_error *e) {
    const char *path = operands[0].path;
    struct stat status;
    nnclr_source *source = open_source(operands, count, options, e);
    if (!source)
        return false;
    *shard = (nnclr_input){.fd = -1};
    shard->name = nnclr_strdup(nnclr_input_name(path), e);
    bool ok = shard->name && (shard->fd = nnclr_temporary_fd(e)) >= 0;
    if (ok) {
        options->on_packing(options->context, shard->name, count, source);
        ok = pack_source(source, options, shard->fd, shard->name, e) &&
             (fstat(shard->fd, &status) == 0 || nnclr_fail_errno(e, "%s", shard->name));
    }
    nnclr_source_close(source);
    if (ok)
        shard->size = (uint64_t)status.st_size;
    else
        nnclr_input_close(shard);
    return ok;
}

/* Makes shards of all operands, at most as many. */
static bool make_shards(operand *operands, size_t count, const nnclr_pictures_options *options,
                        nnclr_input *shards, size_t *made, nnclr_error *e) {
    for (size_t i = 0, end; i < count; i = end) {
        end = i + 1;
        if (!operands[i].pictures) {
            shards[(*made)++] = operands[i].input;
            operands[i].input = (nnclr_input){.fd = -1};
            continue;
        }
        while (end < count && operands[end].pictures)
            end++;
        if (!pack(operands + i, end - i, options, &shards[*made], e))
            return false;
        ++*made;
    }
    return true;
}

nnclr_shard_set *nnclr_pictures_open(const char *const *paths, size_t count,
                                     const nnclr_pictures_options *options, nnclr_error *e) {
    nnclr_shard_set *set = NULL;
    size_t looked_at = 0, made = 0;
    operand *operands = nnclr_alloc_zero(count, sizeof *operands, e);
    nnclr_input *shards = nnclr_alloc_zero(count, sizeof *shards, e);
    bool ok = operands && shards && nnclr_input_check(paths, count, e);
    for (; ok && looked_at < count; looked_at++) {
        operands[looked_at] = (operand){.path = paths[looked_at], .input = {.fd = -1}};
        ok = look_at(&operands[looked_at], e);
    }
    ok = ok && make_shards(operands, count, options, shards, &made, e);
    if (ok)
        set = nnclr_shard_set_open_inputs(shards, made, options->cache_bytes, e);
    for (size_t i = 0; !ok && i < made; i++)
        nnclr_input_close(&shards[i]);
    for (size_t i = 0; i < looked_at; i++)
        nnclr_input_close(&operands[i].input);
    nnclr_free(operands);
    nnclr_free(shards);
    return set;
}
