#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/strings.h"
#include "io/shard_parts.h"
#include "io/tensor_file.h"

enum { PEEK = 1 << 20, FIRST_LIMIT = 64 << 20 };

/* ---- a file with seek table and index ---- */

static bool load_frame(const nnclr_shard_file *file, const nnclr_seek_table *table, size_t i,
                       size_t limit, nnclr_buffer *out, nnclr_error *e) {
    size_t size = table->frames[i].decompressed;
    out->size = 0;
    if (size > limit)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: frame %zu holds %zu bytes, more than %zu",
                          file->input.name, i, size, limit);
    if (!nnclr_buffer_reserve(out, size, e) ||
        !nnclr_seek_table_load(table, i, file->input.fd, file->input.name, out->data, e))
        return false;
    out->size = size;
    return true;
}

/* The data of the member `name` in a frame's content; *data NULL: it is not there. */
static bool find_member(const nnclr_buffer *content, const char *name, const char **data,
                        size_t *size, nnclr_error *e) {
    static const unsigned char zeros[NNCLR_TAR_BLOCK];
    *data = NULL;
    for (size_t at = 0; content->size - at >= NNCLR_TAR_BLOCK;) {
        const unsigned char *block = content->data + at;
        nnclr_tar_header header;
        if (memcmp(block, zeros, sizeof zeros) == 0)
            return true;
        if (!nnclr_tar_parse(block, &header, e))
            return false;
        at += NNCLR_TAR_BLOCK;
        if (header.size > content->size - at)
            return nnclr_fail(e, NNCLR_ERROR_INPUT, "a tar member crosses the end of its frame");
        if (nnclr_is_shard_member(header.name, name)) {
            *data = (const char *)content->data + at;
            *size = (size_t)header.size;
            return true;
        }
        uint64_t step = header.size + nnclr_tar_padding(header.size);
        at = step < content->size - at ? at + (size_t)step : content->size;
    }
    return true;
}

/* Says what the file is instead of a shard, from the first bytes of its content. */
static bool refuse_other(const char *name, const nnclr_buffer *start, nnclr_error *e) {
    nnclr_content content = nnclr_content_of(start->data, start->size);
    if (content == NNCLR_CONTENT_SHARD)
        return true;
    if (content == NNCLR_CONTENT_TAR)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "%s: is a tar archive, but not a shard (nnclr-prep makes one of it)",
                          name);
    if (content == NNCLR_CONTENT_OTHER)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: is not a shard", name);

    nnclr_tensor_header header;
    nnclr_error unused = NNCLR_NO_ERROR;
    size_t need;
    const char *kind = NULL;
    if (nnclr_tensor_header_parse(start->data, start->size, name, &header, &need, &unused))
        kind = nnclr_json_string(nnclr_json_get(header.metadata, "nnclr.kind"));
    kind = kind && kind[0] != '\0' ? kind : "tensor";
    nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: is %s %.40s file, not a shard", name, nnclr_article(kind),
               kind);
    nnclr_tensor_header_free(&header);
    return false;
}

static bool read_first(const nnclr_shard_file *file, nnclr_shard_part *part, nnclr_error *e) {
    nnclr_buffer content = {0};
    const char *text;
    size_t size;
    bool ok = load_frame(file, &part->table, 0, FIRST_LIMIT, &content, e) &&
              refuse_other(file->input.name, &content, e);
    if (ok) {
        ok = find_member(&content, NNCLR_SHARD_FIRST, &text, &size, e) &&
             (text ? nnclr_shard_parse_first(text, size, part, e)
                   : nnclr_fail(e, NNCLR_ERROR_INPUT, "its first member is damaged"));
        if (!ok)
            nnclr_fail_at(e, "%s", file->input.name);
    }
    nnclr_buffer_free(&content);
    return ok;
}

static bool read_last(const nnclr_shard_file *file, const nnclr_shard_part *part, nnclr_error *e) {
    nnclr_buffer content = {0};
    const char *text = NULL, *name = file->input.name;
    size_t size;
    int64_t records;
    bool ok = false;
    if (!load_frame(file, &part->table, part->table.count - 1, NNCLR_FRAME_LIMIT, &content, e))
        goto exit;
    if (!find_member(&content, NNCLR_SHARD_LAST, &text, &size, e) ||
        (text && !nnclr_shard_parse_last(text, size, &records, e))) {
        nnclr_fail_at(e, "%s", name);
        goto exit;
    }
    if (!text)
        nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: truncated: it has no end record", name);
    else if ((uint64_t)records != part->index.count)
        nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: %lld records are noted at its end, %zu in its index",
                   name, (long long)records, part->index.count);
    else
        ok = true;
exit:
    nnclr_buffer_free(&content);
    return ok;
}

static bool read_index(const nnclr_shard_file *file, const nnclr_frame *frame,
                       nnclr_shard_part *part, nnclr_error *e) {
    nnclr_buffer packed = {0}, printed = {0};
    const char *name = file->input.name;
    bool ok = nnclr_buffer_reserve(&packed, frame->compressed, e) &&
              nnclr_read_at(file->input.fd, packed.data, frame->compressed, frame->offset, name, e);
    if (ok) {
        ok = nnclr_index_unpack(packed.data, frame->compressed, &printed, e) &&
             nnclr_index_parse(printed.data, printed.size, &part->index, e);
        if (!ok)
            nnclr_fail_at(e, "%s", name);
    }
    if (ok)
        part->index_crc = nnclr_crc32(0, printed.data, printed.size);
    nnclr_buffer_free(&printed);
    nnclr_buffer_free(&packed);
    return ok;
}

/* Takes the table, whose last frame is skippable. */
static bool open_indexed(nnclr_shard_file *file, nnclr_seek_table *table, nnclr_error *e) {
    nnclr_shard_part *part = nnclr_shard_file_add(file, e);
    if (!part)
        return false;
    part->table = *table;
    *table = (nnclr_seek_table){0};
    nnclr_frame index = part->table.frames[--part->table.count];
    if (part->table.count < 2 || (!part->table.unchecked && index.checksum != NNCLR_EMPTY_CHECKSUM))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: the seek table is damaged", file->input.name);
    if (!read_first(file, part, e) || !read_index(file, &index, part, e) ||
        !read_last(file, part, e))
        return false;
    return nnclr_shard_check(part, e) || nnclr_fail_at(e, "%s", file->input.name);
}

/* ---- any file ---- */

static bool open_unindexed(nnclr_shard_file *file, nnclr_error *e) {
    nnclr_buffer start = {0};
    bool ok = nnclr_input_peek(&file->input, PEEK, &start, e) &&
              refuse_other(file->input.name, &start, e);
    nnclr_buffer_free(&start);
    return ok && nnclr_shard_scan(file, e);
}

bool nnclr_shard_file_open(nnclr_input *from, nnclr_shard_file *file, nnclr_error *e) {
    *file = (nnclr_shard_file){.input = *from};
    *from = (nnclr_input){.fd = -1};
    nnclr_seek_table table = {0};
    bool ok = false;
    nnclr_input *input = &file->input;
    if (input->size == 0) {
        nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: is empty", input->name);
        goto exit;
    }
    nnclr_seek_state state = nnclr_seek_table_read(input->fd, input->size, input->name, &table, e);
    if (state == NNCLR_SEEK_FAILED)
        goto exit;
    bool indexed = state == NNCLR_SEEK_FOUND && table.count > 0 &&
                   table.frames[table.count - 1].decompressed == 0;
    ok = indexed ? open_indexed(file, &table, e) : open_unindexed(file, e);
exit:
    nnclr_seek_table_free(&table);
    if (!ok)
        nnclr_shard_file_close(file);
    return ok;
}
