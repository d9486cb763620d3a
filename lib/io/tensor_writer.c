#include <stdio.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "io/tensor_file.h"
#include "io/zstd_frames.h"

enum { FRAME = 8 << 20, LEVEL = 1 };

struct nnclr_tensor_writer {
    nnclr_output *output;
    char *path;
    bool plain;
    uint64_t declared, put; /* bytes of data */
    nnclr_buffer pending;   /* content of the next frame, at most FRAME bytes */
    nnclr_buffer packed;    /* scratch: that frame compressed */
    nnclr_seek_table table;
};

/* Writes what is pending as a frame of its own (or as it is). */
static bool flush(nnclr_tensor_writer *writer, nnclr_error *e) {
    nnclr_buffer *out = &writer->pending;
    if (!writer->plain) {
        out = &writer->packed;
        out->size = 0;
        if (!nnclr_seek_table_compress(&writer->table, writer->pending.data, writer->pending.size,
                                       LEVEL, out, e))
            return false;
    }
    if (!nnclr_output_write(writer->output, out->data, out->size, e))
        return false;
    writer->pending.size = 0;
    return true;
}

/* Ours first, then the caller's in their order. */
static nnclr_json *full_metadata(const char *kind, const char *program, const nnclr_json *metadata,
                                 nnclr_error *e) {
    nnclr_json *full = nnclr_json_object(e);
    char format[12];
    snprintf(format, sizeof format, "%d", (int)NNCLR_TENSOR_FORMAT);
    bool ok = full && nnclr_json_put_string(full, "format", "pt", e) &&
              nnclr_json_put_string(full, "nnclr.kind", kind, e) &&
              nnclr_json_put_string(full, "nnclr.format", format, e) &&
              nnclr_json_put_string(full, "nnclr.program", program, e);
    void *iterator = NULL;
    const char *key;
    nnclr_json *value;
    while (ok && metadata && (value = nnclr_json_each(metadata, &iterator, &key)) != NULL) {
        const char *text = nnclr_json_string(value);
        if (!text)
            ok = nnclr_fail(e, NNCLR_ERROR_USAGE, "metadata \"%s\" is not a string", key);
        else if (!nnclr_json_get(full, key))
            ok = nnclr_json_put_string(full, key, text, e);
    }
    return nnclr_json_if(ok, full);
}

nnclr_tensor_writer *nnclr_tensor_writer_open(const char *path, const char *kind,
                                              const char *program, const nnclr_json *metadata,
                                              const nnclr_tensor_info *infos, size_t count,
                                              nnclr_error *e) {
    nnclr_json *full = NULL;
    nnclr_tensor_writer *writer = nnclr_alloc_zero(1, sizeof *writer, e);
    if (!writer)
        return NULL;
    writer->plain = nnclr_ends_in(path, ".safetensors");
    writer->path = nnclr_strdup(nnclr_is_standard(path) ? "standard output" : path, e);
    full = writer->path ? full_metadata(kind, program, metadata, e) : NULL;
    if (!full || !nnclr_tensor_header_print(infos, count, full, &writer->pending, e))
        goto fail;
    for (size_t i = 0; i < count; i++)
        writer->declared += nnclr_tensor_bytes(&infos[i]);
    writer->output = nnclr_output_open(path, e);
    if (!writer->output || !flush(writer, e))
        goto fail;
    nnclr_json_free(full);
    return writer;
fail:
    nnclr_json_free(full);
    nnclr_tensor_writer_abandon(writer);
    return NULL;
}

bool nnclr_tensor_writer_put(nnclr_tensor_writer *writer, const void *bytes, size_t size,
                             nnclr_error *e) {
    const unsigned char *p = bytes;
    if (size > writer->declared - writer->put)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: more data than its %llu declared bytes",
                          writer->path, (unsigned long long)writer->declared);
    writer->put += size;
    while (size > 0) {
        size_t room = FRAME - writer->pending.size, taken = nnclr_min(size, room);
        if (!nnclr_buffer_append(&writer->pending, p, taken, e))
            return false;
        p += taken;
        size -= taken;
        if (writer->pending.size == FRAME && !flush(writer, e))
            return false;
    }
    return true;
}

static bool finish(nnclr_tensor_writer *writer, nnclr_error *e) {
    if (writer->put != writer->declared)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: %llu of %llu declared bytes were given",
                          writer->path, (unsigned long long)writer->put,
                          (unsigned long long)writer->declared);
    if (writer->pending.size > 0 && !flush(writer, e))
        return false;
    if (writer->plain)
        return true;
    writer->packed.size = 0;
    return nnclr_seek_table_append(&writer->table, &writer->packed, e) &&
           nnclr_output_write(writer->output, writer->packed.data, writer->packed.size, e);
}

bool nnclr_tensor_writer_commit(nnclr_tensor_writer *writer, nnclr_error *e) {
    bool ok = finish(writer, e);
    if (ok) {
        ok = nnclr_output_commit(writer->output, e);
        writer->output = NULL;
    }
    nnclr_tensor_writer_abandon(writer);
    return ok;
}

void nnclr_tensor_writer_abandon(nnclr_tensor_writer *writer) {
    if (!writer)
        return;
    nnclr_output_abandon(writer->output);
    nnclr_seek_table_free(&writer->table);
    nnclr_buffer_free(&writer->packed);
    nnclr_buffer_free(&writer->pending);
    nnclr_free(writer->path);
    nnclr_free(writer);
}
