#include "eval/protobuf.h"

#include <string.h>

static bool put_varint(nnclr_buffer *out, uint64_t x, nnclr_error *e) {
    unsigned char bytes[10];
    size_t size = 0;
    do {
        bytes[size++] = (unsigned char)((x & 127) | (x > 127 ? 128 : 0));
        x >>= 7;
    } while (x);
    return nnclr_buffer_append(out, bytes, size, e);
}

bool nnclr_proto_int(nnclr_buffer *out, int field, int64_t x, nnclr_error *e) {
    return put_varint(out, (uint64_t)field << 3, e) && put_varint(out, (uint64_t)x, e);
}

bool nnclr_proto_bytes(nnclr_buffer *out, int field, const void *bytes, size_t size,
                       nnclr_error *e) {
    return put_varint(out, (uint64_t)field << 3 | 2, e) && put_varint(out, size, e) &&
           nnclr_buffer_append(out, bytes, size, e);
}

bool nnclr_proto_text(nnclr_buffer *out, int field, const char *text, nnclr_error *e) {
    return nnclr_proto_bytes(out, field, text, strlen(text), e);
}

bool nnclr_proto_message(nnclr_buffer *out, int field, nnclr_buffer *message, bool ok,
                         nnclr_error *e) {
    ok = ok && nnclr_proto_bytes(out, field, message->size ? (const void *)message->data : "",
                                 message->size, e);
    nnclr_buffer_free(message);
    return ok;
}

bool nnclr_proto_float(nnclr_buffer *out, int field, float x, nnclr_error *e) {
    unsigned char bytes[4];
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    nnclr_store_u32(bytes, bits);
    return put_varint(out, (uint64_t)field << 3 | 5, e) &&
           nnclr_buffer_append(out, bytes, sizeof bytes, e);
}
