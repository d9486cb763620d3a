#include <string.h>

#include "base/memory.h"
#include "io/shard_parts.h"

/* The ustar header (POSIX.1-1988). Numbers are octal digits with a NUL or blank after them. */
typedef struct ustar {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
    char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], rest[12];
} ustar;
_Static_assert(sizeof(ustar) == NNCLR_TAR_BLOCK, "a tar header is one block");

static unsigned checksum(const ustar *header) {
    const unsigned char *bytes = (const unsigned char *)header;
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof *header; i++) {
        bool own = i >= offsetof(ustar, checksum) && i < offsetof(ustar, type);
        sum += own ? ' ' : bytes[i];
    }
    return sum;
}

/* Fills `width` bytes: digits, then a NUL. */
static void put_octal(char *field, size_t width, uint64_t value) {
    field[width - 1] = '\0';
    for (size_t i = width - 1; i-- > 0; value /= 8)
        field[i] = (char)('0' + value % 8);
}

static bool get_octal(const char *field, size_t width, uint64_t *out) {
    size_t i = 0;
    while (i < width && field[i] == ' ')
        i++;
    uint64_t value = 0;
    size_t first = i;
    for (; i < width && field[i] >= '0' && field[i] <= '7'; i++)
        value = value * 8 + (uint64_t)(field[i] - '0');
    if (i == first || (i < width && field[i] != ' ' && field[i] != '\0'))
        return false;
    *out = value;
    return true;
}

uint64_t nnclr_tar_padding(uint64_t size) {
    return (NNCLR_TAR_BLOCK - size % NNCLR_TAR_BLOCK) % NNCLR_TAR_BLOCK;
}

bool nnclr_tar_append(nnclr_buffer *out, const char *name, const void *bytes, size_t size,
                      nnclr_error *e) {
    static const unsigned char zeros[NNCLR_TAR_BLOCK];
    ustar header = {.type = '0', .magic = "ustar", .version = {'0', '0'}};
    if (size > NNCLR_FRAME_LIMIT || strlen(name) >= sizeof header.name)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: %zu bytes, more than a shard's member holds",
                          name, size);
    memcpy(header.name, name, strlen(name));
    put_octal(header.mode, sizeof header.mode, 0644);
    put_octal(header.uid, sizeof header.uid, 0);
    put_octal(header.gid, sizeof header.gid, 0);
    put_octal(header.size, sizeof header.size, size);
    put_octal(header.mtime, sizeof header.mtime, 0);
    put_octal(header.major, sizeof header.major, 0);
    put_octal(header.minor, sizeof header.minor, 0);
    put_octal(header.checksum, sizeof header.checksum - 1, checksum(&header));
    header.checksum[sizeof header.checksum - 1] = ' ';
    return nnclr_buffer_append(out, &header, sizeof header, e) &&
           nnclr_buffer_append(out, bytes, size, e) &&
           nnclr_buffer_append(out, zeros, nnclr_tar_padding(size), e);
}

bool nnclr_tar_parse(const unsigned char block[NNCLR_TAR_BLOCK], nnclr_tar_header *out,
                     nnclr_error *e) {
    ustar header;
    uint64_t sum;
    memcpy(&header, block, sizeof header);
    *out = (nnclr_tar_header){0};
    if (memcmp(header.magic, "ustar", 5) != 0 ||
        !get_octal(header.checksum, sizeof header.checksum, &sum) || sum != checksum(&header))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "a damaged tar header");
    if (!get_octal(header.size, sizeof header.size, &out->size))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "a tar member without a size");
    out->regular = header.type == '0' || header.type == '\0';
    /* GNU tar, whose magic goes on with a blank, keeps other things where ustar has the prefix. */
    bool prefixed = header.magic[5] == '\0' && header.prefix[0] != '\0';
    size_t used = prefixed ? strnlen(header.prefix, sizeof header.prefix) : 0;
    memcpy(out->name, header.prefix, used);
    if (prefixed)
        out->name[used++] = '/';
    memcpy(out->name + used, header.name, strnlen(header.name, sizeof header.name));
    return true;
}
