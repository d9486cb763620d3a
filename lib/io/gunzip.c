#include "io/gunzip.h"

#include <zlib.h>

#include "base/memory.h"

enum { BLOCK = 64 * 1024, GZIP_WINDOW = 15 + 16 }; /* 16: a gzip header and trailer */

struct nnclr_gunzip {
    nnclr_gunzip_source source;
    z_stream z;
    bool started; /* z is initialised */
    bool inside;  /* of a member */
    unsigned char block[BLOCK];
};

bool nnclr_is_gzip(const void *bytes, size_t size) {
    const unsigned char *p = bytes;
    return size >= 2 && p[0] == 0x1f && p[1] == 0x8b;
}

nnclr_gunzip *nnclr_gunzip_open(nnclr_gunzip_source source, nnclr_error *e) {
    nnclr_gunzip *gunzip = nnclr_alloc_zero(1, sizeof *gunzip, e);
    if (!gunzip)
        return NULL;
    gunzip->source = source;
    gunzip->inside = true; /* an empty stream is not gzip */
    if (inflateInit2(&gunzip->z, GZIP_WINDOW) == Z_OK) {
        gunzip->started = true;
        return gunzip;
    }
    nnclr_fail(e, NNCLR_ERROR_MEMORY, "not enough memory for zlib");
    nnclr_gunzip_close(gunzip);
    return NULL;
}

void nnclr_gunzip_close(nnclr_gunzip *gunzip) {
    if (!gunzip)
        return;
    if (gunzip->started)
        inflateEnd(&gunzip->z);
    nnclr_free(gunzip);
}

/* Makes sure that there is input. 1: there is; 0: the stream has ended; -1: it is cut, or cannot be
 * read.
 */
static int feed(nnclr_gunzip *gunzip, nnclr_error *e) {
    const void *bytes;
    if (gunzip->z.avail_in > 0)
        return 1;
    long got = gunzip->source.next(gunzip->source.context, &bytes, e);
    if (got < 0)
        return -1;
    if (got == 0 && gunzip->inside) {
        nnclr_fail(e, NNCLR_ERROR_INPUT, "truncated gzip stream");
        return -1;
    }
    gunzip->z.next_in = (Bytef *)bytes; /* zlib does not write there */
    gunzip->z.avail_in = (uInt)got;
    return got > 0;
}

/* Between two members: on to the next one, past padding. 1: it starts; 0: there is none. */
static int begin_member(nnclr_gunzip *gunzip, nnclr_error *e) {
    for (;;) {
        int fed = feed(gunzip, e);
        if (fed <= 0)
            return fed;
        while (gunzip->z.avail_in > 0 && *gunzip->z.next_in == 0) {
            gunzip->z.next_in++;
            gunzip->z.avail_in--;
        }
        if (gunzip->z.avail_in > 0)
            break;
    }
    inflateReset(&gunzip->z);
    gunzip->inside = true;
    return 1;
}

long nnclr_gunzip_next(nnclr_gunzip *gunzip, const void **bytes, nnclr_error *e) {
    z_stream *z = &gunzip->z;
    z->next_out = gunzip->block;
    z->avail_out = BLOCK;
    *bytes = gunzip->block;
    while (z->avail_out == BLOCK) {
        int more = gunzip->inside ? feed(gunzip, e) : begin_member(gunzip, e);
        if (more <= 0)
            return more;
        int code = inflate(z, Z_NO_FLUSH);
        if (code == Z_STREAM_END) {
            gunzip->inside = false;
        } else if (code != Z_OK && code != Z_BUF_ERROR) {
            nnclr_fail(e, code == Z_MEM_ERROR ? NNCLR_ERROR_MEMORY : NNCLR_ERROR_INPUT,
                       "damaged gzip stream: %s", z->msg ? z->msg : "no reason given");
            return -1;
        }
    }
    return (long)(BLOCK - z->avail_out);
}
