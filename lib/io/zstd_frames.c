#include "io/zstd_frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/numbers.h"

/* The seek table of zstd's contrib seekable format, all little-endian:
 *
 *     skippable header   entries                         footer
 *   +-------+--------+ +------------------------------+ +--------+------------+---------------+
 *   | magic | length | | compressed  content checksum | | frames | descriptor | FOOTER_MAGIC  |
 *   |   4   |   4    | |     4          4        4    | |   4    |     1      |      4        |
 *   +-------+--------+ +------------------------------+ +--------+------------+---------------+
 */
enum {
    SKIPPABLE_HEADER = 8,
    ENTRY = 12,
    ENTRY_UNCHECKED = 8,
    FOOTER = 9,
    HAS_CHECKSUMS = 0x80,
    CHECKSUM = 4,
    HEADER_HAS_CHECKSUM = 0x04, /* in a data frame's descriptor, the byte after its magic */
    HEADER_UNUSED = 0x18,       /* bits there that no encoder sets */
    HEADER_DESCRIPTOR = 4
};
#define FOOTER_MAGIC 0x8F92EAB1u

bool nnclr_is_skippable(uint32_t magic) {
    return (magic & 0xFFFFFFF0u) == 0x184D2A50u;
}
bool nnclr_is_zstd(uint32_t magic) {
    return magic == ZSTD_MAGICNUMBER;
}

/* ---- single frames ---- */

static bool zstd_failed(size_t code, const char *what, nnclr_error *e) {
    bool memory = ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation;
    return nnclr_fail(e, memory ? NNCLR_ERROR_MEMORY : NNCLR_ERROR_INPUT, "%s: %s", what,
                      ZSTD_getErrorName(code));
}

bool nnclr_frame_compress(const void *src, size_t size, int level, nnclr_buffer *out,
                          nnclr_error *e) {
    if (size > NNCLR_FRAME_LIMIT)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "a zstd frame of %zu bytes, more than %d", size,
                          (int)NNCLR_FRAME_LIMIT);
    size_t bound = ZSTD_compressBound(size);
    if (!nnclr_buffer_reserve(out, bound, e))
        return false;
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    if (!zstd)
        return nnclr_fail(e, NNCLR_ERROR_MEMORY, "not enough memory for zstd");
    size_t code = ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level);
    if (!ZSTD_isError(code))
        code = ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
    if (!ZSTD_isError(code))
        code = ZSTD_compress2(zstd, out->data + out->size, bound, src, size);
    ZSTD_freeCCtx(zstd);
    if (ZSTD_isError(code))
        return zstd_failed(code, "cannot compress", e);
    out->size += code;
    out->data[out->size] = 0;
    return true;
}

size_t nnclr_frame_bound(size_t size) {
    return ZSTD_compressBound(size);
}

bool nnclr_frame_is_checked(const unsigned char start[NNCLR_FRAME_START]) {
    return start[HEADER_DESCRIPTOR] & HEADER_HAS_CHECKSUM;
}

bool nnclr_frame_content(const void *src, size_t src_size, size_t *size, nnclr_error *e) {
    const unsigned char *bytes = src;
    if (src_size <= HEADER_DESCRIPTOR || !nnclr_is_zstd(nnclr_load_u32(bytes)))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "no zstd frame where one must be");
    size_t whole = ZSTD_findFrameCompressedSize(src, src_size);
    if (ZSTD_isError(whole))
        return zstd_failed(whole, "damaged zstd frame", e);
    if (whole != src_size)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "a zstd frame of %zu bytes where %zu are noted",
                          whole, src_size);
    if (!nnclr_frame_is_checked(bytes))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "a zstd frame without checksum");
    if (bytes[HEADER_DESCRIPTOR] & HEADER_UNUSED)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "damaged zstd frame: unused bits are set");
    unsigned long long content = ZSTD_getFrameContentSize(src, src_size);
    if (content == ZSTD_CONTENTSIZE_UNKNOWN || content == ZSTD_CONTENTSIZE_ERROR)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "a zstd frame without content size");
    if (content > NNCLR_FRAME_LIMIT)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "a zstd frame of %llu bytes, more than %d", content,
                          (int)NNCLR_FRAME_LIMIT);
    *size = (size_t)content;
    return true;
}

bool nnclr_frame_decompress(const void *src, size_t src_size, void *dst, size_t size,
                            nnclr_error *e) {
    size_t content;
    if (!nnclr_frame_content(src, src_size, &content, e))
        return false;
    if (content != size)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "a zstd frame holds %zu bytes, not %zu", content,
                          size);
    size_t code = ZSTD_decompress(dst, size, src, src_size);
    if (ZSTD_isError(code))
        return zstd_failed(code, "damaged zstd frame", e);
    return code == size || nnclr_fail(e, NNCLR_ERROR_INPUT, "a zstd frame ended early");
}

bool nnclr_skippable_append(uint32_t magic, const void *payload, size_t size, nnclr_buffer *out,
                            nnclr_error *e) {
    if (size > UINT32_MAX)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "a skippable frame of %zu bytes is too large",
                          size);
    unsigned char header[SKIPPABLE_HEADER];
    nnclr_store_u32(header, magic);
    nnclr_store_u32(header + 4, (uint32_t)size);
    return nnclr_buffer_append(out, header, sizeof header, e) &&
           nnclr_buffer_append(out, payload, size, e);
}

/* How long the frame is whose first bytes these are; 0: they are too few to tell. */
static bool frame_extent(const unsigned char *bytes, size_t size, uint64_t *extent,
                         nnclr_error *e) {
    *extent = 0;
    if (size < SKIPPABLE_HEADER)
        return true;
    if (nnclr_is_skippable(nnclr_load_u32(bytes))) {
        *extent = SKIPPABLE_HEADER + (uint64_t)nnclr_load_u32(bytes + 4);
        return true;
    }
    size_t code = ZSTD_findFrameCompressedSize(bytes, size);
    if (!ZSTD_isError(code))
        *extent = code;
    else if (ZSTD_getErrorCode(code) != ZSTD_error_srcSize_wrong)
        return zstd_failed(code, "damaged zstd frame", e);
    return true;
}

bool nnclr_frame_fetch(int fd, uint64_t file_size, uint64_t offset, size_t limit, const char *name,
                       nnclr_buffer *out, nnclr_error *e) {
    enum { FIRST = 256 * 1024 };
    uint64_t left = file_size - offset, extent = 0;
    for (uint64_t size = FIRST; extent == 0; size *= 4) {
        size = nnclr_min(size, left);
        out->size = 0;
        if (size > limit)
            return true;
        if (!nnclr_buffer_reserve(out, (size_t)size, e) ||
            !nnclr_read_at(fd, out->data, (size_t)size, offset, name, e))
            return false;
        if (!frame_extent(out->data, (size_t)size, &extent, e))
            return nnclr_fail_at(e, "%s: byte %llu", name, (unsigned long long)offset);
        out->size = (size_t)size;
        if (extent > left || (extent == 0 && size == left))
            return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: truncated: ends inside a zstd frame",
                              name);
    }
    if (extent > limit) {
        out->size = 0;
        return true;
    }
    size_t whole = (size_t)extent;
    if (whole > out->size &&
        (!nnclr_buffer_reserve(out, whole - out->size, e) ||
         !nnclr_read_at(fd, out->data + out->size, whole - out->size, offset + out->size, name, e)))
        return false;
    out->size = whole;
    return true;
}

/* ---- the seek table ---- */

void nnclr_seek_table_free(nnclr_seek_table *table) {
    nnclr_free(table->frames);
    *table = (nnclr_seek_table){0};
}

bool nnclr_seek_table_add(nnclr_seek_table *table, size_t compressed, size_t decompressed,
                          uint32_t checksum, nnclr_error *e) {
    if (compressed > UINT32_MAX || decompressed > UINT32_MAX)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "a frame is too large for the seek table");
    if (!nnclr_reserve(&table->frames, &table->capacity, table->count + 1, sizeof *table->frames,
                       e))
        return false;
    nnclr_frame frame = {.compressed = (uint32_t)compressed,
                         .decompressed = (uint32_t)decompressed,
                         .checksum = checksum};
    if (table->count > 0) {
        const nnclr_frame *last = &table->frames[table->count - 1];
        frame.offset = last->offset + last->compressed;
        frame.start = last->start + last->decompressed;
    }
    table->frames[table->count++] = frame;
    return true;
}

bool nnclr_seek_table_compress(nnclr_seek_table *table, const void *src, size_t size, int level,
                               nnclr_buffer *out, nnclr_error *e) {
    size_t before = out->size;
    if (!nnclr_frame_compress(src, size, level, out, e))
        return false;
    uint32_t checksum = nnclr_load_u32(out->data + out->size - CHECKSUM);
    return nnclr_seek_table_add(table, out->size - before, size, checksum, e);
}

bool nnclr_seek_table_append(const nnclr_seek_table *table, nnclr_buffer *out, nnclr_error *e) {
    size_t entries;
    if (!nnclr_size_mul(table->count, ENTRY, &entries) || entries > UINT32_MAX - FOOTER)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "too many frames for a seek table");
    unsigned char *payload = nnclr_alloc(entries + FOOTER, 1, e);
    if (!payload)
        return false;
    unsigned char *p = payload;
    for (size_t i = 0; i < table->count; i++, p += ENTRY) {
        nnclr_store_u32(p, table->frames[i].compressed);
        nnclr_store_u32(p + 4, table->frames[i].decompressed);
        nnclr_store_u32(p + 8, table->frames[i].checksum);
    }
    nnclr_store_u32(p, (uint32_t)table->count);
    p[4] = HAS_CHECKSUMS;
    nnclr_store_u32(p + 5, FOOTER_MAGIC);
    bool ok = nnclr_skippable_append(NNCLR_SEEKTABLE_MAGIC, payload, entries + FOOTER, out, e);
    nnclr_free(payload);
    return ok;
}

/* Bytes of the whole table frame whose footer this is; 0: no such table. */
static uint64_t table_bytes(const unsigned char footer[FOOTER]) {
    if (nnclr_load_u32(footer + 5) != FOOTER_MAGIC || (footer[4] & ~HAS_CHECKSUMS) != 0)
        return 0;
    uint64_t entry = footer[4] & HAS_CHECKSUMS ? ENTRY : ENTRY_UNCHECKED;
    return SKIPPABLE_HEADER + nnclr_load_u32(footer) * entry + FOOTER;
}

bool nnclr_seek_table_parse(const unsigned char *bytes, size_t size, nnclr_seek_table *table,
                            nnclr_error *e) {
    if (size < SKIPPABLE_HEADER + FOOTER || nnclr_load_u32(bytes) != NNCLR_SEEKTABLE_MAGIC ||
        nnclr_load_u32(bytes + 4) != size - SKIPPABLE_HEADER ||
        table_bytes(bytes + size - FOOTER) != size)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "the seek table is damaged");
    const unsigned char *footer = bytes + size - FOOTER;
    table->unchecked = !(footer[4] & HAS_CHECKSUMS);
    size_t entry = table->unchecked ? ENTRY_UNCHECKED : ENTRY;
    for (const unsigned char *p = bytes + SKIPPABLE_HEADER; p < footer; p += entry)
        if (!nnclr_seek_table_add(table, nnclr_load_u32(p), nnclr_load_u32(p + 4),
                                  table->unchecked ? 0 : nnclr_load_u32(p + 8), e))
            return false;
    return true;
}

nnclr_seek_state nnclr_seek_table_read(int fd, uint64_t file_size, const char *name,
                                       nnclr_seek_table *table, nnclr_error *e) {
    if (file_size < SKIPPABLE_HEADER + FOOTER)
        return NNCLR_SEEK_ABSENT;
    unsigned char footer[FOOTER];
    if (!nnclr_read_at(fd, footer, FOOTER, file_size - FOOTER, name, e))
        return NNCLR_SEEK_FAILED;
    if (nnclr_load_u32(footer + 5) != FOOTER_MAGIC)
        return NNCLR_SEEK_ABSENT;
    uint64_t size = table_bytes(footer);
    if (size == 0 || size > file_size) {
        nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: the seek table is damaged", name);
        return NNCLR_SEEK_FAILED;
    }

    nnclr_seek_state state = NNCLR_SEEK_FAILED;
    unsigned char *bytes = nnclr_alloc((size_t)size, 1, e);
    if (!bytes || !nnclr_read_at(fd, bytes, (size_t)size, file_size - size, name, e))
        goto exit;
    if (!nnclr_seek_table_parse(bytes, (size_t)size, table, e)) {
        nnclr_fail_at(e, "%s", name);
        goto exit;
    }
    uint64_t covered = 0;
    if (table->count > 0) {
        const nnclr_frame *last = &table->frames[table->count - 1];
        covered = last->offset + last->compressed;
    }
    if (covered > file_size - size)
        nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: the seek table covers more than the file holds",
                   name);
    else
        state = covered == file_size - size ? NNCLR_SEEK_FOUND : NNCLR_SEEK_PART;
exit:
    nnclr_free(bytes);
    if (state != NNCLR_SEEK_FOUND)
        nnclr_seek_table_free(table);
    return state;
}

bool nnclr_seek_table_load(const nnclr_seek_table *table, size_t i, int fd, const char *name,
                           void *to, nnclr_error *e) {
    const nnclr_frame *frame = &table->frames[i];
    unsigned char *bytes = nnclr_alloc(frame->compressed, 1, e);
    if (!bytes)
        return false;
    bool ok = nnclr_read_at(fd, bytes, frame->compressed, frame->offset, name, e);
    if (ok && !nnclr_frame_decompress(bytes, frame->compressed, to, frame->decompressed, e))
        ok = nnclr_fail_at(e, "%s: frame %zu at byte %llu", name, i,
                           (unsigned long long)frame->offset);
    if (ok && !table->unchecked &&
        nnclr_load_u32(bytes + frame->compressed - CHECKSUM) != frame->checksum)
        ok = nnclr_fail(e, NNCLR_ERROR_INPUT,
                        "%s: frame %zu does not have the checksum that the seek table notes", name,
                        i);
    nnclr_free(bytes);
    return ok;
}

/* ---- streams ---- */

/* Up to `size` bytes; less only at the end. */
static bool read_some(int fd, void *to, size_t size, const char *name, size_t *got,
                      nnclr_error *e) {
    *got = 0;
    while (*got < size) {
        ssize_t n = read(fd, (char *)to + *got, size - *got);
        if (n == 0)
            break;
        if (n > 0)
            *got += (size_t)n;
        else if (errno != EINTR)
            return nnclr_fail_errno(e, "%s: cannot read", name);
    }
    return true;
}

typedef struct spool {
    ZSTD_DStream *zstd;
    unsigned char *in, *out;
    size_t in_size, out_size;
    size_t wanted; /* 0: between two frames */
    int to;
    const char *name;
    uint64_t written;
} spool;

static bool decompress_block(spool *s, size_t size, nnclr_error *e) {
    ZSTD_inBuffer in = {s->in, size, 0};
    bool full = false; /* the decoder may hold back more than fitted */
    while (in.pos < in.size || full) {
        ZSTD_outBuffer out = {s->out, s->out_size, 0};
        size_t consumed = in.pos;
        size_t wanted = ZSTD_decompressStream(s->zstd, &out, &in);
        if (ZSTD_isError(wanted))
            return zstd_failed(wanted, "damaged zstd stream", e) || nnclr_fail_at(e, "%s", s->name);
        if (in.pos > consumed || out.pos > 0)
            s->wanted = wanted;
        if (!nnclr_temporary_write(s->to, out.dst, out.pos, e))
            return false;
        s->written += out.pos;
        full = out.pos == out.size;
    }
    return true;
}

bool nnclr_zstd_spool(int fd, int to, const char *name, uint64_t *written, nnclr_error *e) {
    bool ok = false;
    spool s = {
        .in_size = ZSTD_DStreamInSize(), .out_size = ZSTD_DStreamOutSize(), .to = to, .name = name};
    s.in = nnclr_alloc(s.in_size, 1, e);
    s.out = s.in ? nnclr_alloc(s.out_size, 1, e) : NULL;
    if (!s.out)
        goto exit;
    s.zstd = ZSTD_createDStream();
    if (!s.zstd) {
        nnclr_fail(e, NNCLR_ERROR_MEMORY, "not enough memory for zstd");
        goto exit;
    }
    for (;;) {
        size_t got;
        if (!read_some(fd, s.in, s.in_size, name, &got, e))
            goto exit;
        if (got == 0)
            break;
        if (!decompress_block(&s, got, e))
            goto exit;
    }
    if (s.wanted != 0) {
        nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: truncated: the file ends inside a zstd frame", name);
        goto exit;
    }
    *written = s.written;
    ok = true;
exit:
    ZSTD_freeDStream(s.zstd);
    nnclr_free(s.out);
    nnclr_free(s.in);
    return ok;
}
