#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "io/shard_parts.h"

/* Reads a shard from front to back as the tar that it is, and rebuilds its index: if shards were
 * concatenated, or if zstd or a pipe left neither index nor seek table.
 *
 * Records are placed in frames by the writer's rule (whole records, closed at NNCLR_SHARD_FRAME
 * bytes), whatever the file's own frames are, so that equal data have an equal index. If the file's
 * own frames turn out to be those, records are later read from the file itself; otherwise from a
 * decompressed copy. */

enum { TEXT_LIMIT = 64 << 20, PIECE = 1 << 20, FRAME_IN_PLACE = 64 << 20 };

typedef enum member_kind {
    MEMBER_OTHER, /* passed over */
    MEMBER_FIRST,
    MEMBER_LAST,
    MEMBER_PICTURE,
    MEMBER_LABEL,
    MEMBER_DESCRIPTION
} member_kind;

typedef struct scanner {
    nnclr_shard_file *file;
    uint64_t position;    /* in the decompressed stream */
    uint64_t frame_start; /* of the frame under construction */
    bool ended;           /* the newest part has its end record */

    unsigned char block[NNCLR_TAR_BLOCK]; /* header under construction */
    size_t filled;
    member_kind kind;
    uint64_t data_left, padding_left;
    nnclr_buffer text; /* data of a member that is not a picture */

    bool in_record, has_picture, has_description;
    nnclr_index_entry record;
    nnclr_buffer name; /* its original name */
} scanner;

static nnclr_shard_part *newest(const scanner *s) {
    return s->file->part_count > 0 ? &s->file->parts[s->file->part_count - 1] : NULL;
}

/* ---- records and frames ---- */

static bool close_frame(scanner *s, uint64_t end, nnclr_error *e) {
    nnclr_seek_table *table = &newest(s)->table;
    size_t size = (size_t)(end - s->frame_start);
    if (!nnclr_seek_table_add(table, size, size, 0, e))
        return false;
    nnclr_frame *frame = &table->frames[table->count - 1];
    frame->offset = frame->start = s->frame_start;
    s->frame_start = end;
    return true;
}

/* A record ends where the header of another member starts. */
static bool end_record(scanner *s, uint64_t at, nnclr_error *e) {
    if (!s->in_record)
        return true;
    s->in_record = false;
    if (!s->has_picture || !s->has_description)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "record %lld has no %s",
                          (long long)s->record.number,
                          s->has_picture ? "description (.json)" : "picture");
    if (!nnclr_index_add(&newest(s)->index, &s->record, (const char *)s->name.data, s->name.size,
                         e))
        return false;
    return at - s->frame_start < NNCLR_SHARD_FRAME || close_frame(s, at, e);
}

static bool begin_part(scanner *s, nnclr_error *e) {
    if (newest(s) && !s->ended)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "truncated: a second shard begins before the first one's end record");
    s->ended = false;
    return nnclr_shard_file_add(s->file, e) != NULL;
}

static bool end_part(scanner *s, nnclr_error *e) {
    nnclr_shard_part *part = newest(s);
    nnclr_buffer printed = {0};
    int64_t records;
    if (!nnclr_shard_parse_last((const char *)s->text.data, s->text.size, &records, e))
        return false;
    if ((uint64_t)records != part->index.count)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%zu records are there, %lld are noted at its end",
                          part->index.count, (long long)records);
    bool ok = nnclr_index_print(&part->index, &printed, e);
    if (ok)
        part->index_crc = nnclr_crc32(0, printed.data, printed.size);
    nnclr_buffer_free(&printed);
    s->ended = true;
    return ok && nnclr_shard_check(part, e);
}

/* ---- members ---- */

static bool parse_hex(const char *hex, nnclr_buffer *out, nnclr_error *e) {
    static const char digits[] = "0123456789abcdef";
    size_t size = strlen(hex);
    bool ok = size % 2 == 0;
    for (size_t i = 0; i < size && ok; i += 2) {
        const char *high = strchr(digits, hex[i]), *low = strchr(digits, hex[i + 1]);
        unsigned char byte =
            high && low ? (unsigned char)((high - digits) * 16 + (low - digits)) : 0;
        if (byte != 0 && !nnclr_buffer_append(out, &byte, 1, e))
            return false;
        ok = byte != 0;
    }
    return ok || nnclr_fail(e, NNCLR_ERROR_INPUT, "\"name_hex\" is damaged");
}

static bool parse_description(scanner *s, nnclr_error *e) {
    int64_t width, height;
    nnclr_json *root = nnclr_json_parse((const char *)s->text.data, s->text.size, "description", e);
    const char *name = root ? nnclr_json_get_string(root, "name", e) : NULL;
    const char *hex = nnclr_json_string(nnclr_json_get(root, "name_hex"));
    bool ok = name && nnclr_json_get_int(root, "width", 1, INT32_MAX, &width, e) &&
              nnclr_json_get_int(root, "height", 1, INT32_MAX, &height, e);
    s->name.size = 0;
    if (ok && hex)
        ok = parse_hex(hex, &s->name, e);
    else if (ok)
        ok = nnclr_buffer_append(&s->name, name, strlen(name), e);
    if (ok) {
        s->record.width = (int)width;
        s->record.height = (int)height;
        s->has_description = true;
    }
    nnclr_json_free(root);
    return ok;
}

static bool parse_label(scanner *s, nnclr_error *e) {
    if (s->text.size > 0 && s->text.data[s->text.size - 1] == '\n')
        s->text.data[--s->text.size] = '\0';
    int64_t label;
    if (s->text.size == 0 || !nnclr_parse_int((const char *)s->text.data, 0, INT32_MAX, &label))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "its label is not a number");
    s->record.label = (int32_t)label;
    return true;
}

/* Nine digits, a dot, and what the member is; otherwise a member that does not concern us. */
static member_kind record_member(const char *name, int64_t *number, nnclr_codec *codec) {
    for (int i = 0; i < NNCLR_SHARD_KEY_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9')
            return MEMBER_OTHER;
        *number = *number * 10 + (name[i] - '0');
    }
    const char *suffix = name + NNCLR_SHARD_KEY_DIGITS;
    if (*suffix++ != '.')
        return MEMBER_OTHER;
    for (int i = 0; i < NNCLR_CODECS; i++)
        if (strcmp(suffix, nnclr_codecs[i].name) == 0) {
            *codec = (nnclr_codec)i;
            return MEMBER_PICTURE;
        }
    return strcmp(suffix, "cls") == 0    ? MEMBER_LABEL
           : strcmp(suffix, "json") == 0 ? MEMBER_DESCRIPTION
                                         : MEMBER_OTHER;
}

static bool begin_record_member(scanner *s, const nnclr_tar_header *header, int64_t number,
                                nnclr_codec codec, uint64_t at, nnclr_error *e) {
    if (!s->in_record || s->record.number != number) {
        if (!end_record(s, at, e))
            return false;
        s->in_record = true;
        s->has_picture = s->has_description = false;
        s->record = (nnclr_index_entry){.number = (int32_t)number, .label = -1};
    }
    if (s->kind != MEMBER_PICTURE)
        return true;
    if (s->has_picture || header->size > NNCLR_FRAME_LIMIT)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: %s", header->name,
                          s->has_picture ? "a second picture of this record" : "too large");
    uint64_t frame = newest(s)->table.count, offset = s->position - s->frame_start;
    if (frame > UINT32_MAX || offset > NNCLR_FRAME_LIMIT)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: too far in", header->name);
    s->has_picture = true;
    s->record.codec = codec;
    s->record.frame = (uint32_t)frame;
    s->record.offset = (uint32_t)offset;
    s->record.length = (uint32_t)header->size;
    return true;
}

/* A header is complete in s->block; its member's data begin at s->position. */
static bool begin_member(scanner *s, nnclr_error *e) {
    nnclr_tar_header header;
    uint64_t at = s->position - NNCLR_TAR_BLOCK;
    int64_t number = 0;
    nnclr_codec codec = NNCLR_CODEC_JPEG;
    if (!nnclr_tar_parse(s->block, &header, e))
        return false;
    s->data_left = header.size;
    s->padding_left = nnclr_tar_padding(header.size);
    s->text.size = 0;
    s->kind = MEMBER_OTHER;
    if (!header.regular)
        return true;
    if (nnclr_is_shard_member(header.name, NNCLR_SHARD_FIRST)) {
        s->kind = MEMBER_FIRST;
        s->frame_start = at;
        return begin_part(s, e);
    }
    if (!newest(s))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "is not a shard: it does not start with %s",
                          NNCLR_SHARD_FIRST);
    if (nnclr_is_shard_member(header.name, NNCLR_SHARD_LAST)) {
        s->kind = MEMBER_LAST;
        if (!end_record(s, at, e))
            return false;
    } else {
        s->kind = record_member(header.name, &number, &codec);
        if (s->kind == MEMBER_OTHER)
            return true;
    }
    if (s->ended)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s comes after the end record", header.name);
    if (s->kind == MEMBER_LAST)
        return at == s->frame_start || close_frame(s, at, e);
    return begin_record_member(s, &header, number, codec, at, e);
}

/* The data of a member are complete; `position` is after its padding. */
static bool end_member(scanner *s, nnclr_error *e) {
    switch (s->kind) {
    case MEMBER_FIRST:
        return nnclr_shard_parse_first((const char *)s->text.data, s->text.size, newest(s), e) &&
               close_frame(s, s->position, e);
    case MEMBER_LAST:
        return end_part(s, e);
    case MEMBER_LABEL:
        return parse_label(s, e) || nnclr_fail_at(e, "record %lld", (long long)s->record.number);
    case MEMBER_DESCRIPTION:
        return parse_description(s, e) ||
               nnclr_fail_at(e, "record %lld", (long long)s->record.number);
    default:
        return true;
    }
}

/* ---- the stream, in pieces of any size ---- */

static bool take_data(scanner *s, const unsigned char *bytes, size_t size, nnclr_error *e) {
    if (s->kind == MEMBER_PICTURE)
        s->record.crc32 = nnclr_crc32(s->record.crc32, bytes, size);
    if (s->kind == MEMBER_OTHER || s->kind == MEMBER_PICTURE)
        return true;
    if (s->text.size + size > TEXT_LIMIT)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "a member of over %d bytes that is not a picture",
                          (int)TEXT_LIMIT);
    return nnclr_buffer_append(&s->text, bytes, size, e);
}

static bool take_header(scanner *s, nnclr_error *e) {
    static const unsigned char zeros[NNCLR_TAR_BLOCK];
    s->filled = 0;
    if (memcmp(s->block, zeros, sizeof zeros) == 0)
        return true;
    if (!begin_member(s, e))
        return false;
    return s->data_left > 0 || end_member(s, e);
}

static bool feed(scanner *s, const unsigned char *bytes, size_t size, nnclr_error *e) {
    while (size > 0) {
        size_t taken;
        bool ok = true;
        if (s->data_left > 0) {
            taken = nnclr_min(s->data_left, size);
            s->data_left -= taken;
            s->position += taken;
            ok = take_data(s, bytes, taken, e);
            if (ok && s->data_left + s->padding_left == 0)
                ok = end_member(s, e);
        } else if (s->padding_left > 0) {
            taken = nnclr_min(s->padding_left, size);
            s->padding_left -= taken;
            s->position += taken;
            if (s->padding_left == 0)
                ok = end_member(s, e);
        } else {
            taken = nnclr_min(sizeof s->block - s->filled, size);
            memcpy(s->block + s->filled, bytes, taken);
            s->filled += taken;
            s->position += taken;
            if (s->filled == sizeof s->block)
                ok = take_header(s, e);
        }
        if (!ok)
            return false;
        bytes += taken;
        size -= taken;
    }
    return true;
}

static bool end_stream(const scanner *s, nnclr_error *e) {
    if (s->filled > 0 || s->data_left > 0 || s->padding_left > 0)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "truncated: ends inside a tar member");
    return (newest(s) && s->ended) ||
           nnclr_fail(e, NNCLR_ERROR_INPUT, "truncated: it has no end record");
}

static void scanner_reset(scanner *s) {
    nnclr_shard_file *file = s->file;
    nnclr_shard_file_clear(file);
    nnclr_buffer_free(&s->text);
    nnclr_buffer_free(&s->name);
    *s = (scanner){.file = file};
}

/* ---- the file's own frames ---- */

/* A seek table in the middle of a file describes the frames before it, back to the table before
 * that at most. */
static bool check_table(const nnclr_buffer *bytes, const nnclr_seek_table *frames, size_t first,
                        nnclr_error *e) {
    nnclr_seek_table table = {0};
    bool ok = nnclr_seek_table_parse(bytes->data, bytes->size, &table, e);
    if (ok) {
        bool equal = table.count <= frames->count - first;
        size_t start = frames->count - table.count;
        for (size_t i = 0; i < table.count && equal; i++) {
            const nnclr_frame *a = &table.frames[i], *b = &frames->frames[start + i];
            equal = a->compressed == b->compressed && a->decompressed == b->decompressed &&
                    (table.unchecked || a->checksum == b->checksum);
        }
        ok = equal || nnclr_fail(e, NNCLR_ERROR_INPUT, "the seek table does not fit the frames");
    }
    nnclr_seek_table_free(&table);
    return ok;
}

/* An index that was written counts as the part's, so that its data keep their identity. */
static bool check_index(const nnclr_buffer *bytes, nnclr_shard_part *part, nnclr_error *e) {
    nnclr_buffer printed = {0};
    nnclr_index index = {0};
    bool ok = nnclr_index_unpack(bytes->data, bytes->size, &printed, e) &&
              nnclr_index_parse(printed.data, printed.size, &index, e);
    if (ok && (!part || index.count != part->index.count))
        ok = nnclr_fail(e, NNCLR_ERROR_INPUT, "the index does not fit the records before it");
    if (ok)
        part->index_crc = nnclr_crc32(0, printed.data, printed.size);
    nnclr_index_free(&index);
    nnclr_buffer_free(&printed);
    return ok;
}

static bool take_skippable(scanner *s, const nnclr_buffer *frame, nnclr_seek_table *frames,
                           size_t *first, nnclr_error *e) {
    bool table = nnclr_load_u32(frame->data) == NNCLR_SEEKTABLE_MAGIC;
    if (table && !check_table(frame, frames, *first, e))
        return false;
    if (nnclr_index_recognise(frame->data, frame->size) &&
        !check_index(frame, s->ended ? newest(s) : NULL, e))
        return false;
    if (!nnclr_seek_table_add(frames, frame->size, 0, NNCLR_EMPTY_CHECKSUM, e))
        return false;
    if (table)
        *first = frames->count;
    return true;
}

/* *foreign: the frame is not one that our writer makes. */
static bool take_data_frame(scanner *s, const nnclr_buffer *frame, nnclr_seek_table *frames,
                            nnclr_buffer *content, bool *foreign, nnclr_error *e) {
    size_t size;
    nnclr_error why;
    *foreign = !nnclr_frame_content(frame->data, frame->size, &size, &why) || size > FRAME_IN_PLACE;
    if (*foreign)
        return true;
    content->size = 0;
    if (!nnclr_buffer_reserve(content, size, e) ||
        !nnclr_frame_decompress(frame->data, frame->size, content->data, size, e))
        return false;
    uint32_t checksum = nnclr_load_u32(frame->data + frame->size - 4);
    bool ok = nnclr_seek_table_add(frames, frame->size, size, checksum, e) &&
              feed(s, content->data, size, e);
    /* The very first one tells already whether the file was compressed anew as a whole. */
    if (ok && frames->count == 1) {
        const nnclr_shard_part *part = newest(s);
        *foreign = !part || part->table.count != 1 || part->table.frames[0].decompressed != size;
    }
    return ok;
}

/* Puts the file's own frames in the place of those that the rule yields; false: they differ. */
static bool adopt_frames(nnclr_shard_part *part, const nnclr_seek_table *frames, size_t *at) {
    for (size_t i = 0; i < part->table.count; i++) {
        nnclr_frame *frame = &part->table.frames[i];
        while (*at < frames->count &&
               (frames->frames[*at].start < frame->start || frames->frames[*at].decompressed == 0))
            ++*at;
        if (*at == frames->count || frames->frames[*at].start != frame->start ||
            frames->frames[*at].decompressed != frame->decompressed)
            return false;
        *frame = frames->frames[*at];
    }
    return true;
}

static bool scan_in_place(scanner *s, bool *foreign, nnclr_error *e) {
    const nnclr_input *input = &s->file->input;
    nnclr_seek_table frames = {0};
    nnclr_buffer frame = {0}, content = {0};
    size_t first = 0, at = 0; /* first: of the frames that the next seek table describes */
    bool ok = false;
    *foreign = false;
    for (uint64_t offset = 0; offset < input->size && !*foreign; offset += frame.size) {
        if (!nnclr_frame_fetch(input->fd, input->size, offset, FRAME_IN_PLACE, input->name, &frame,
                               e))
            goto exit;
        *foreign = frame.size == 0;
        if (*foreign)
            break;
        bool taken = nnclr_is_skippable(nnclr_load_u32(frame.data))
                         ? take_skippable(s, &frame, &frames, &first, e)
                         : take_data_frame(s, &frame, &frames, &content, foreign, e);
        if (!taken) {
            nnclr_fail_at(e, "%s: frame at byte %llu", input->name, (unsigned long long)offset);
            goto exit;
        }
    }
    ok = true;
    if (*foreign)
        goto exit;
    ok = end_stream(s, e) || nnclr_fail_at(e, "%s", input->name);
    for (size_t i = 0; ok && i < s->file->part_count && !*foreign; i++)
        *foreign = !adopt_frames(&s->file->parts[i], &frames, &at);
exit:
    nnclr_buffer_free(&content);
    nnclr_buffer_free(&frame);
    nnclr_seek_table_free(&frames);
    return ok;
}

static bool scan_plain(scanner *s, nnclr_error *e) {
    const nnclr_input *input = &s->file->input;
    bool ok = false;
    unsigned char *piece = nnclr_alloc(PIECE, 1, e);
    if (!piece)
        return false;
    for (uint64_t offset = 0; offset < input->size;) {
        size_t size = nnclr_min(input->size - offset, PIECE);
        if (!nnclr_read_at(input->fd, piece, size, offset, input->name, e))
            goto exit;
        if (!feed(s, piece, size, e)) {
            nnclr_fail_at(e, "%s", input->name);
            goto exit;
        }
        offset += size;
    }
    ok = end_stream(s, e) || nnclr_fail_at(e, "%s", input->name);
exit:
    nnclr_free(piece);
    return ok;
}

bool nnclr_shard_scan(nnclr_shard_file *file, nnclr_error *e) {
    scanner s = {.file = file};
    unsigned char magic[4];
    bool foreign = true,
         ok = nnclr_read_at(file->input.fd, magic, sizeof magic, 0, file->input.name, e);
    bool zstd =
        ok && (nnclr_is_zstd(nnclr_load_u32(magic)) || nnclr_is_skippable(nnclr_load_u32(magic)));
    if (zstd)
        ok = scan_in_place(&s, &foreign, e);
    if (ok && foreign) {
        scanner_reset(&s);
        file->plain = true;
        ok = (!zstd || nnclr_input_unpack(&file->input, e)) && scan_plain(&s, e);
    }
    nnclr_buffer_free(&s.text);
    nnclr_buffer_free(&s.name);
    return ok;
}
