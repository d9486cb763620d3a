#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/strings.h"
#include "io/input.h"
#include "io/run_folder.h"
#include "io/shard_parts.h"
#include "io/tensor_file.h"
#include "io/zstd_frames.h"

enum { PEEK = 512, NO_FRAME = -1, PIECE = 1 << 20 };

struct nnclr_tensor_reader {
    nnclr_input input;
    nnclr_seek_table table; /* empty: the document is in the input as it is */
    uint64_t stream_bytes;  /* of the whole document */
    nnclr_tensor_header header;
    unsigned char *frame; /* content of frame number `held` */
    size_t frame_capacity;
    int64_t held;
};

/* ---- the document as a stream of bytes ---- */

static size_t frame_at(const nnclr_seek_table *table, uint64_t offset) {
    size_t low = 0, high = table->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (table->frames[middle].start <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Copies the part of [offset, offset+size) that is in frame i; *got is its size. A frame that is
 * wanted in full is not copied twice. */
static bool read_frame(nnclr_tensor_reader *reader, size_t i, uint64_t offset, unsigned char *to,
                       size_t size, size_t *got, nnclr_error *e) {
    const nnclr_frame *frame = &reader->table.frames[i];
    size_t skip = (size_t)(offset - frame->start), whole = frame->decompressed;
    *got = size < whole - skip ? size : whole - skip;
    if (whole == 0) /* a skippable frame */
        return true;
    if (*got == whole && reader->held != (int64_t)i)
        return nnclr_seek_table_load(&reader->table, i, reader->input.fd, reader->input.name, to,
                                     e);
    if (reader->held != (int64_t)i) {
        reader->held = NO_FRAME;
        if (!nnclr_reserve(&reader->frame, &reader->frame_capacity, whole, 1, e) ||
            !nnclr_seek_table_load(&reader->table, i, reader->input.fd, reader->input.name,
                                   reader->frame, e))
            return false;
        reader->held = (int64_t)i;
    }
    memcpy(to, reader->frame + skip, *got);
    return true;
}

static bool read_stream(nnclr_tensor_reader *reader, uint64_t offset, void *to, size_t size,
                        nnclr_error *e) {
    unsigned char *p = to;
    if (reader->table.count == 0)
        return nnclr_read_at(reader->input.fd, to, size, offset, reader->input.name, e);
    for (size_t i = frame_at(&reader->table, offset), got; size > 0;
         i++, p += got, offset += got, size -= got)
        if (!read_frame(reader, i, offset, p, size, &got, e))
            return false;
    return true;
}

/* ---- opening ---- */

static bool check_frames(const nnclr_tensor_reader *reader, nnclr_error *e) {
    for (size_t i = 0; i < reader->table.count; i++)
        if (reader->table.frames[i].decompressed > NNCLR_FRAME_LIMIT)
            return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: frame %zu is larger than %d bytes",
                              reader->input.name, i, (int)NNCLR_FRAME_LIMIT);
    return true;
}

/* Refuses what is not a tensor file by the first bytes of its content. */
static bool check_content(nnclr_tensor_reader *reader, nnclr_error *e) {
    static const char *const others[] = {
        [NNCLR_CONTENT_SHARD] = "is a shard, not a tensor file: nnclr-pretrain makes a "
                                "checkpoint of it, nnclr-embed embeddings",
        [NNCLR_CONTENT_TAR] = "is a tar archive, not a tensor file: nnclr-pretrain makes a "
                              "checkpoint of its pictures, nnclr-embed embeddings",
        [NNCLR_CONTENT_OTHER] = "is not a tensor file (safetensors, plain or in zstd)",
    };
    nnclr_buffer start = {0};
    bool ok = false;
    if (!nnclr_input_peek(&reader->input, PEEK, &start, e))
        goto exit;
    nnclr_content content = nnclr_content_of(start.data, start.size);
    ok = content == NNCLR_CONTENT_TENSORS ||
         nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: %s", reader->input.name, others[content]);
exit:
    nnclr_buffer_free(&start);
    return ok;
}

/* Finds where the document's bytes are. */
static bool locate(nnclr_tensor_reader *reader, nnclr_error *e) {
    nnclr_input *input = &reader->input;
    unsigned char start[NNCLR_FRAME_START];
    if (input->size < sizeof start)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: %s", input->name,
                          input->size == 0 ? "is empty" : "is not a tensor file: too short");
    if (!nnclr_read_at(input->fd, start, sizeof start, 0, input->name, e) ||
        !check_content(reader, e))
        return false;
    reader->stream_bytes = input->size;
    if (!nnclr_is_zstd(nnclr_load_u32(start)) && !nnclr_is_skippable(nnclr_load_u32(start)))
        return true;

    nnclr_seek_state state =
        nnclr_seek_table_read(input->fd, input->size, input->name, &reader->table, e);
    if (state == NNCLR_SEEK_FAILED)
        return false;
    if (state == NNCLR_SEEK_PART)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "%s: the seek table does not cover the file: it is damaged, or several "
                          "files in one, which tensor files cannot be",
                          input->name);
    /* Frames that others made may lack checksums and sizes: those are read from front to back. */
    if (state == NNCLR_SEEK_FOUND && reader->table.count > 0 && nnclr_frame_is_checked(start)) {
        const nnclr_frame *last = &reader->table.frames[reader->table.count - 1];
        reader->stream_bytes = last->start + last->decompressed;
        return check_frames(reader, e);
    }
    nnclr_seek_table_free(&reader->table);
    if (!nnclr_input_unpack(input, e))
        return false;
    reader->stream_bytes = input->size;
    return true;
}

static bool read_header(nnclr_tensor_reader *reader, nnclr_error *e) {
    const char *name = reader->input.name;
    nnclr_buffer bytes = {0};
    size_t need = 8;
    bool ok = false;
    while (!ok) {
        if (need > reader->stream_bytes) {
            nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: truncated: ends inside its header", name);
            break;
        }
        bytes.size = 0;
        if (!nnclr_buffer_reserve(&bytes, need, e) || !read_stream(reader, 0, bytes.data, need, e))
            break;
        size_t more;
        ok = nnclr_tensor_header_parse(bytes.data, need, name, &reader->header, &more, e);
        if (!ok && more <= need)
            break;
        need = more;
    }
    nnclr_buffer_free(&bytes);
    return ok;
}

static bool check_size(const nnclr_tensor_reader *reader, nnclr_error *e) {
    uint64_t whole = reader->header.header_bytes + reader->header.data_bytes;
    if (reader->stream_bytes < whole)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: truncated: holds %llu of %llu bytes",
                          reader->input.name, (unsigned long long)reader->stream_bytes,
                          (unsigned long long)whole);
    if (reader->stream_bytes > whole)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: %llu bytes follow the last tensor",
                          reader->input.name, (unsigned long long)(reader->stream_bytes - whole));
    return true;
}

/* Owns the input. */
static nnclr_tensor_reader *open_input(const nnclr_input *input, nnclr_error *e) {
    nnclr_tensor_reader *reader = nnclr_alloc_zero(1, sizeof *reader, e);
    if (!reader) {
        nnclr_input owned = *input;
        nnclr_input_close(&owned);
        return NULL;
    }
    reader->input = *input;
    reader->held = NO_FRAME;
    if (locate(reader, e) && read_header(reader, e) && check_size(reader, e) &&
        nnclr_tensor_header_check_format(&reader->header, reader->input.name, e))
        return reader;
    nnclr_tensor_reader_close(reader);
    return NULL;
}

nnclr_tensor_reader *nnclr_tensor_reader_open(const char *path, nnclr_error *e) {
    nnclr_input input;
    nnclr_buffer name = {0};
    const bool ok =
        nnclr_run_resolve(path, &name, e) && nnclr_input_open((const char *)name.data, &input, e);
    nnclr_buffer_free(&name);
    return ok ? open_input(&input, e) : NULL;
}

nnclr_tensor_reader *nnclr_tensor_reader_dup(const nnclr_tensor_reader *reader, nnclr_error *e) {
    nnclr_input input;
    return nnclr_input_dup(&reader->input, &input, e) ? open_input(&input, e) : NULL;
}

void nnclr_tensor_reader_close(nnclr_tensor_reader *reader) {
    if (!reader)
        return;
    nnclr_free(reader->frame);
    nnclr_tensor_header_free(&reader->header);
    nnclr_seek_table_free(&reader->table);
    nnclr_input_close(&reader->input);
    nnclr_free(reader);
}

/* ---- what is in it ---- */

const char *nnclr_tensor_reader_path(const nnclr_tensor_reader *reader) {
    return reader->input.name;
}

size_t nnclr_tensor_reader_count(const nnclr_tensor_reader *reader) {
    return reader->header.count;
}

const nnclr_tensor_info *nnclr_tensor_reader_info(const nnclr_tensor_reader *reader, size_t i) {
    return &reader->header.infos[i];
}

const nnclr_tensor_info *nnclr_tensor_reader_find(const nnclr_tensor_reader *reader,
                                                  const char *name) {
    for (size_t i = 0; i < reader->header.count; i++)
        if (strcmp(reader->header.infos[i].name, name) == 0)
            return &reader->header.infos[i];
    return NULL;
}

const char *nnclr_tensor_reader_metadata(const nnclr_tensor_reader *reader, const char *key) {
    return nnclr_json_string(nnclr_json_get(reader->header.metadata, key));
}

bool nnclr_tensor_reader_expect(const nnclr_tensor_reader *reader, const char *kind,
                                nnclr_error *e) {
    const char *is = nnclr_tensor_reader_metadata(reader, "nnclr.kind");
    if (!is)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "%s: is a safetensors file of another program, not %s %s file",
                          reader->input.name, nnclr_article(kind), kind);
    return strcmp(is, kind) == 0 ||
           nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: is %s %.40s file, not %s %s file",
                      reader->input.name, nnclr_article(is), is, nnclr_article(kind), kind);
}

bool nnclr_tensor_reader_read(nnclr_tensor_reader *reader, const nnclr_tensor_info *info,
                              uint64_t skip, void *to, size_t size, nnclr_error *e) {
    size_t i = (size_t)(info - reader->header.infos);
    uint64_t bytes = nnclr_tensor_bytes(info);
    if (skip > bytes || size > bytes - skip)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: tensor \"%s\" has no bytes %llu to %llu",
                          reader->input.name, info->name, (unsigned long long)skip,
                          (unsigned long long)skip + size);
    return size == 0 ||
           read_stream(reader, reader->header.header_bytes + reader->header.offsets[i] + skip, to,
                       size, e);
}

/* "F32 [3, 64]"; a dim below 0 is shown as "any". */
static void describe(nnclr_dtype dtype, int rank, const int64_t *dims, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "%s [", nnclr_dtype_name(dtype));
    for (int i = 0; i < rank && used < size; i++) {
        const char *comma = i > 0 ? ", " : "";
        int n = dims[i] < 0
                    ? snprintf(text + used, size - used, "%sany", comma)
                    : snprintf(text + used, size - used, "%s%lld", comma, (long long)dims[i]);
        used += (size_t)n;
    }
    if (used < size)
        snprintf(text + used, size - used, "]");
}

static bool fits(const nnclr_tensor_info *info, nnclr_dtype dtype, int rank, const int64_t *dims) {
    if (info->dtype != dtype || info->rank != rank)
        return false;
    for (int i = 0; i < rank; i++)
        if (dims[i] >= 0 && dims[i] != info->dims[i])
            return false;
    return true;
}

void *nnclr_tensor_reader_load(nnclr_tensor_reader *reader, const char *name, nnclr_dtype dtype,
                               int rank, const int64_t *dims, nnclr_tensor_info *info,
                               nnclr_error *e) {
    const nnclr_tensor_info *found = nnclr_tensor_reader_find(reader, name);
    if (!found) {
        nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: holds no tensor \"%s\"", reader->input.name, name);
        return NULL;
    }
    if (!fits(found, dtype, rank, dims)) {
        char is[200], must[200];
        describe(found->dtype, found->rank, found->dims, is, sizeof is);
        describe(dtype, rank, dims, must, sizeof must);
        nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: tensor \"%s\" is %s, not %s", reader->input.name,
                   name, is, must);
        return NULL;
    }
    size_t size = nnclr_tensor_bytes(found);
    void *data = nnclr_alloc(size, 1, e);
    if (data && !nnclr_tensor_reader_read(reader, found, 0, data, size, e)) {
        nnclr_free(data);
        data = NULL;
    }
    if (data && info)
        *info = *found;
    return data;
}

bool nnclr_tensor_reader_crc32(nnclr_tensor_reader *reader, uint32_t *crc, nnclr_error *e) {
    const nnclr_tensor_header *header = &reader->header;
    unsigned char *piece = nnclr_alloc(PIECE, 1, e);
    bool ok = piece != NULL;
    *crc = 0;
    for (uint64_t done = 0; ok && done < header->data_bytes;) {
        uint64_t left = header->data_bytes - done;
        size_t size = left < PIECE ? (size_t)left : PIECE;
        ok = read_stream(reader, header->header_bytes + done, piece, size, e);
        if (ok)
            *crc = nnclr_crc32(*crc, piece, size);
        done += size;
    }
    nnclr_free(piece);
    return ok;
}
