#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"
#include "io/shard_parts.h"

enum { SEEK_TABLE_FIXED = 17, SEEK_TABLE_ENTRY = 12, INDEX_FIXED = 16 };
/* The end record, and the zeros of a tar. */
enum { END_MEMBERS = 2 * NNCLR_TAR_BLOCK + NNCLR_TAR_END };

/* This many finished files of a split set are held open without a name; a process may open 1024. */
enum { HELD_FILES = 256 };

/* A file of a split set, which gets its name when all are finished. */
typedef struct waiting {
    nnclr_output *output; /* NULL: it is under construction, or has its name */
    char *path;
} waiting;

struct nnclr_shard_writer {
    char *path; /* or prefix */
    const int *descriptor;
    uint64_t shard_size;
    bool plain; /* no frames, index and seek table */
    int level;
    size_t class_count;
    nnclr_buffer first;   /* the member that every file starts with */
    nnclr_output *output; /* the file under construction; NULL: between two of a split set */
    nnclr_seek_table table;
    nnclr_index index;
    size_t index_bytes;   /* of its rows, once printed */
    nnclr_buffer pending; /* members of the frame under construction */
    nnclr_buffer scratch; /* that frame compressed */
    nnclr_buffer text;    /* JSON of one record */
    waiting *files;
    size_t file_count, file_capacity;
};

/* ---- frames ---- */

static bool flush_frame(nnclr_shard_writer *writer, nnclr_error *e) {
    const nnclr_buffer *frame = writer->plain ? &writer->pending : &writer->scratch;
    writer->scratch.size = 0;
    if (!writer->plain &&
        !nnclr_seek_table_compress(&writer->table, writer->pending.data, writer->pending.size,
                                   writer->level, &writer->scratch, e))
        return false;
    if (!nnclr_output_write(writer->output, frame->data, frame->size, e))
        return false;
    writer->pending.size = 0;
    return true;
}

/* Upper bound of the file's size if it were ended with `more` bytes of members, `index_more` of
 * index. */
static uint64_t bound(const nnclr_shard_writer *writer, size_t more, size_t index_more) {
    uint64_t members =
        nnclr_output_size(writer->output) + writer->pending.size + more + END_MEMBERS;
    if (writer->plain)
        return members;
    size_t index = nnclr_index_header_bytes() + writer->index_bytes + index_more;
    return nnclr_output_size(writer->output) + nnclr_frame_bound(writer->pending.size + more) +
           nnclr_frame_bound(END_MEMBERS) + INDEX_FIXED + nnclr_frame_bound(index) +
           SEEK_TABLE_FIXED + SEEK_TABLE_ENTRY * (uint64_t)(writer->table.count + 3);
}

/* ---- files ---- */

bool nnclr_shard_name_of(const char *prefix, size_t number, bool plain, nnclr_buffer *out,
                         nnclr_error *e) {
    return nnclr_buffer_printf(out, e, "%s-%06zu.tar%s", prefix, number, plain ? "" : ".zst");
}

static char *split_name(const nnclr_shard_writer *writer, size_t number, nnclr_error *e) {
    nnclr_buffer path = {0};
    if (nnclr_shard_name_of(writer->path, number, writer->plain, &path, e))
        return (char *)path.data;
    nnclr_buffer_free(&path);
    return NULL;
}

static bool begin_file(nnclr_shard_writer *writer, nnclr_error *e) {
    const char *path = writer->path;
    if (writer->shard_size > 0) {
        if (!nnclr_reserve(&writer->files, &writer->file_capacity, writer->file_count + 1,
                           sizeof *writer->files, e))
            return false;
        waiting *file = &writer->files[writer->file_count];
        *file = (waiting){.path = split_name(writer, writer->file_count, e)};
        if (!file->path)
            return false;
        writer->file_count++;
        path = file->path;
    }
    writer->output = writer->descriptor ? nnclr_output_open_fd(*writer->descriptor, path, e)
                                        : nnclr_output_open(path, e);
    return writer->output &&
           nnclr_buffer_append(&writer->pending, writer->first.data, writer->first.size, e) &&
           flush_frame(writer, e);
}

/* The end record in a frame of its own, so that a reader finds it cheaply. */
static bool write_end_frame(nnclr_shard_writer *writer, nnclr_error *e) {
    static const unsigned char zeros[NNCLR_TAR_END];
    char text[64];
    int size = snprintf(text, sizeof text, "{\"records\":%zu}", writer->index.count);
    return nnclr_tar_append(&writer->pending, NNCLR_SHARD_LAST, text, (size_t)size, e) &&
           nnclr_buffer_append(&writer->pending, zeros, sizeof zeros, e) && flush_frame(writer, e);
}

static bool write_index_and_table(nnclr_shard_writer *writer, nnclr_error *e) {
    nnclr_buffer printed = {0};
    writer->scratch.size = 0;
    bool ok =
        nnclr_index_print(&writer->index, &printed, e) &&
        nnclr_index_pack(&printed, writer->level, &writer->scratch, e) &&
        nnclr_seek_table_add(&writer->table, writer->scratch.size, 0, NNCLR_EMPTY_CHECKSUM, e) &&
        nnclr_seek_table_append(&writer->table, &writer->scratch, e) &&
        nnclr_output_write(writer->output, writer->scratch.data, writer->scratch.size, e);
    nnclr_buffer_free(&printed);
    return ok;
}

static bool end_file(nnclr_shard_writer *writer, nnclr_error *e) {
    if ((writer->pending.size > 0 && !flush_frame(writer, e)) || !write_end_frame(writer, e) ||
        (!writer->plain && !write_index_and_table(writer, e)) ||
        !nnclr_index_sort(&writer->index, e))
        return false;
    nnclr_output *output = writer->output;
    writer->output = NULL;
    if (writer->shard_size > 0) {
        writer->files[writer->file_count - 1].output = output;
        if (!nnclr_output_finish(output, writer->file_count <= HELD_FILES, e))
            return false;
    } else if (!nnclr_output_commit(output, e)) {
        return false;
    }
    nnclr_seek_table_free(&writer->table);
    nnclr_index_free(&writer->index);
    writer->index_bytes = 0;
    return true;
}

/* ---- opening ---- */

static bool put_classes(nnclr_json *root, const nnclr_shard_options *options, nnclr_error *e) {
    bool ok = false;
    size_t made = 0;
    char **names = nnclr_alloc_zero(options->class_count, sizeof *names, e);
    nnclr_json *array = names ? nnclr_json_array(e) : NULL;
    if (!nnclr_json_put(root, "classes", array, e))
        goto exit;
    for (; made < options->class_count; made++) {
        names[made] = nnclr_utf8_copy(options->classes[made], strlen(options->classes[made]), e);
        if (!names[made] || !nnclr_json_push_string(array, names[made], e))
            goto exit;
    }
    ok = nnclr_shard_check_classes(names, made, e);
exit:
    for (size_t i = 0; names && i < options->class_count; i++)
        nnclr_free(names[i]);
    nnclr_free(names);
    return ok;
}

static bool make_first(nnclr_shard_writer *writer, const nnclr_shard_options *options,
                       nnclr_error *e) {
    bool ok = false;
    nnclr_buffer text = {0};
    nnclr_json *root = nnclr_json_object(e);
    ok = root && nnclr_json_put_int(root, "format", NNCLR_SHARD_FORMAT, e) &&
         nnclr_json_put_string(root, "program", options->program, e) &&
         put_classes(root, options, e) && nnclr_json_print(root, false, &text, e) &&
         nnclr_tar_append(&writer->first, NNCLR_SHARD_FIRST, text.data, text.size, e);
    nnclr_json_free(root);
    nnclr_buffer_free(&text);
    return ok;
}

nnclr_shard_writer *nnclr_shard_writer_open(const nnclr_shard_options *options, nnclr_error *e) {
    if (options->shard_size > 0 && nnclr_is_standard(options->output)) {
        nnclr_fail(e, NNCLR_ERROR_USAGE, "standard output cannot be split into several shards");
        return NULL;
    }
    nnclr_shard_writer *writer = nnclr_alloc_zero(1, sizeof *writer, e);
    if (!writer)
        return NULL;
    writer->descriptor = options->descriptor;
    writer->shard_size = options->shard_size;
    writer->plain = options->plain;
    writer->level = options->level;
    writer->class_count = options->class_count;
    writer->path = nnclr_strdup(options->output, e);
    if (writer->path && make_first(writer, options, e) && begin_file(writer, e))
        return writer;
    nnclr_shard_writer_abandon(writer);
    return NULL;
}

/* ---- records ---- */

const nnclr_codec_row nnclr_codecs[NNCLR_CODECS] = {
    [NNCLR_CODEC_JPEG] = {"jpg", "image/jpeg"},
    [NNCLR_CODEC_PNG] = {"png", "image/png"},
    [NNCLR_CODEC_PPM] = {"ppm", NULL},
};

/* {"name":...,"width":...,"height":...}; a name that is not UTF-8 also has its bytes in hex. */
static bool describe(const nnclr_record *record, nnclr_buffer *out, nnclr_error *e) {
    nnclr_buffer hex = {0};
    nnclr_json *root = nnclr_json_object(e);
    bool ok = root && nnclr_json_put_string(root, "name", record->name, e);
    if (ok && !nnclr_is_utf8(record->name)) {
        for (const char *p = record->name; *p != '\0' && ok; p++)
            ok = nnclr_buffer_printf(&hex, e, "%02x", (unsigned)(unsigned char)*p);
        ok = ok && nnclr_json_put_string(root, "name_hex", (const char *)hex.data, e);
    }
    out->size = 0;
    ok = ok && nnclr_json_put_int(root, "width", record->width, e) &&
         nnclr_json_put_int(root, "height", record->height, e) &&
         nnclr_json_print(root, false, out, e);
    nnclr_json_free(root);
    nnclr_buffer_free(&hex);
    return ok;
}

static bool check_record(const nnclr_shard_writer *writer, const nnclr_record *record,
                         nnclr_error *e) {
    if (record->label < -1 || record->label >= (int64_t)writer->class_count)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: label %" PRId64 " of %zu classes",
                          record->name, record->label, writer->class_count);
    if (record->width < 1 || record->height < 1)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: a picture of %d x %d", record->name,
                          record->width, record->height);
    return true;
}

static bool append_members(nnclr_shard_writer *writer, int64_t number, const nnclr_record *record,
                           const void *bytes, nnclr_error *e) {
    char name[32], label[24];
    snprintf(name, sizeof name, "%0*" PRId64 ".%s", NNCLR_SHARD_KEY_DIGITS, number,
             nnclr_codecs[record->codec].name);
    if (!nnclr_tar_append(&writer->pending, name, bytes, record->size, e))
        return false;
    if (record->label >= 0) {
        int size = snprintf(label, sizeof label, "%" PRId64, record->label);
        snprintf(name, sizeof name, "%0*" PRId64 ".cls", NNCLR_SHARD_KEY_DIGITS, number);
        if (!nnclr_tar_append(&writer->pending, name, label, (size_t)size, e))
            return false;
    }
    snprintf(name, sizeof name, "%0*" PRId64 ".json", NNCLR_SHARD_KEY_DIGITS, number);
    return nnclr_tar_append(&writer->pending, name, writer->text.data, writer->text.size, e);
}

static size_t member_bytes(size_t size) {
    return NNCLR_TAR_BLOCK + size + (size_t)nnclr_tar_padding(size);
}

bool nnclr_shard_writer_add(nnclr_shard_writer *writer, int64_t number, const nnclr_record *record,
                            const void *bytes, nnclr_error *e) {
    if (!check_record(writer, record, e) || !describe(record, &writer->text, e))
        return false;
    size_t row = nnclr_index_entry_bytes(record->name);
    if (writer->shard_size > 0 && writer->index.count > 0) {
        size_t more =
            member_bytes(record->size) + member_bytes(8) + member_bytes(writer->text.size);
        if (bound(writer, more, row) > writer->shard_size &&
            (!end_file(writer, e) || !begin_file(writer, e)))
            return false;
    }
    int64_t next = (int64_t)writer->index.count;
    if (number >= 0 && number != next && writer->shard_size > 0)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "records of a split set must come in order");
    number = number < 0 ? next : number;
    if (number >= NNCLR_SHARD_MAX_RECORDS)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "more than %d records in one shard",
                          (int)NNCLR_SHARD_MAX_RECORDS);
    if (writer->index_bytes + row > NNCLR_FRAME_LIMIT - nnclr_index_header_bytes())
        return nnclr_fail(e, NNCLR_ERROR_LIMIT,
                          "%s: the index of one shard cannot hold more records; split it",
                          writer->path);
    nnclr_index_entry entry = {
        .number = (int32_t)number,
        .frame = (uint32_t)writer->table.count,
        .offset = (uint32_t)(writer->pending.size + NNCLR_TAR_BLOCK),
        .length = (uint32_t)record->size /* bounded as a tar member */,
        .crc32 = nnclr_crc32(0, bytes, record->size),
        .label = (int32_t)record->label,
        .width = record->width,
        .height = record->height,
        .codec = record->codec,
    };
    if (!append_members(writer, number, record, bytes, e) ||
        !nnclr_index_add(&writer->index, &entry, record->name, strlen(record->name), e))
        return false;
    writer->index_bytes += row;
    return writer->pending.size < NNCLR_SHARD_FRAME || flush_frame(writer, e);
}

/* ---- ending ---- */

/* Gives every file of a split set its name; after a failure none has it. */
static bool name_files(nnclr_shard_writer *writer, nnclr_error *e) {
    for (size_t i = 0; i < writer->file_count; i++) {
        nnclr_output *output = writer->files[i].output;
        writer->files[i].output = NULL;
        if (nnclr_output_place(output, e))
            continue;
        while (i-- > 0)
            unlink(writer->files[i].path);
        return false;
    }
    for (size_t number = writer->file_count;; number++) { /* of a larger set that was there */
        char *stale = split_name(writer, number, e);
        if (!stale)
            return false;
        bool gone = unlink(stale) != 0;
        nnclr_free(stale);
        if (gone)
            break;
    }
    return nnclr_sync_folder_of(writer->path, e);
}

bool nnclr_shard_writer_commit(nnclr_shard_writer *writer, nnclr_error *e) {
    bool ok = end_file(writer, e) && (writer->shard_size == 0 || name_files(writer, e));
    nnclr_shard_writer_abandon(writer);
    return ok;
}

void nnclr_shard_writer_abandon(nnclr_shard_writer *writer) {
    if (!writer)
        return;
    nnclr_output_abandon(writer->output);
    for (size_t i = 0; i < writer->file_count; i++) {
        nnclr_output_abandon(writer->files[i].output);
        nnclr_free(writer->files[i].path);
    }
    nnclr_free(writer->files);
    nnclr_buffer_free(&writer->text);
    nnclr_buffer_free(&writer->scratch);
    nnclr_buffer_free(&writer->pending);
    nnclr_index_free(&writer->index);
    nnclr_seek_table_free(&writer->table);
    nnclr_buffer_free(&writer->first);
    nnclr_free(writer->path);
    nnclr_free(writer);
}
