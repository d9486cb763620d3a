/* The part of packing that is the JPEG library's work, which every program that uses it does.
 *
 *     bench_jpeg SIZE SHRINK ROUNDS FILE...
 *
 * decodes each file to a SHRINKth of its sides and encodes a picture that was made of it, its
 * shorter side SIZE pixels long, ROUNDS times, without anything in between; prints the pictures per
 * second of processor time in each round, one per line. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/strings.h"
#include "image/decode.h"
#include "image/encode.h"
#include "image/stored_picture.h"

typedef struct photograph {
    nnclr_buffer bytes;
    nnclr_image small;
} photograph;

static double processor_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool read_file(photograph *photo, const char *path, int size, nnclr_storing *storing,
                      nnclr_error *e) {
    nnclr_decode_limits limits = nnclr_decode_limits_default();
    nnclr_stored_form form = {.size = size};
    nnclr_record record;
    nnclr_buffer stored = {0};
    bool ok = nnclr_file_read(path, 1 << 30, &photo->bytes, e) &&
              nnclr_buffer_append(&stored, photo->bytes.data, photo->bytes.size, e) &&
              nnclr_store_picture(storing, &form, &stored, &record, e) &&
              nnclr_decode(stored.data, stored.size, &limits, &photo->small, e);
    nnclr_buffer_free(&stored);
    return ok;
}

static nnclr_part choose(void *context, int width, int height, int most) {
    const int *shrink = context;
    return (nnclr_part){0, 0, width, height, *shrink < most ? *shrink : most};
}

static bool run(photograph *photos, int count, const char *const *paths, int size, int shrink,
                int rounds, nnclr_error *e) {
    nnclr_decode_limits limits = nnclr_decode_limits_default();
    nnclr_storing storing = {0};
    nnclr_patch patch = {0};
    nnclr_buffer out = {0};
    bool ok = true;
    for (int i = 0; ok && i < count; i++)
        ok = read_file(&photos[i], paths[i], size, &storing, e);
    for (int round = 0; ok && round < rounds; round++) {
        double start = processor_seconds();
        for (int i = 0; ok && i < count; i++) {
            out.size = 0;
            ok = nnclr_decode_part(photos[i].bytes.data, photos[i].bytes.size, &limits, choose,
                                   &shrink, &patch, e) &&
                 nnclr_encode_jpeg(&photos[i].small, NNCLR_STORED_QUALITY, &out, e);
        }
        if (ok)
            printf("%.1f\n", count / (processor_seconds() - start));
    }
    nnclr_buffer_free(&out);
    nnclr_image_free(&patch.image);
    nnclr_storing_free(&storing);
    return ok;
}

int main(int argc, char **argv) {
    int64_t number[3];
    bool fit = argc > 4;
    for (int i = 0; fit && i < 3; i++)
        fit = nnclr_parse_int(argv[i + 1], 1, 4096, &number[i]);
    if (!fit) {
        fprintf(stderr, "usage: bench_jpeg SIZE SHRINK ROUNDS FILE...\n");
        return 2;
    }
    int count = argc - 4;
    nnclr_error e = NNCLR_NO_ERROR;
    photograph *photos = nnclr_alloc_zero((size_t)count, sizeof *photos, &e);
    bool ok = photos && run(photos, count, (const char *const *)argv + 4, (int)number[0],
                            (int)number[1], (int)number[2], &e);
    for (int i = 0; photos && i < count; i++) {
        nnclr_buffer_free(&photos[i].bytes);
        nnclr_image_free(&photos[i].small);
    }
    nnclr_free(photos);
    if (!ok)
        fprintf(stderr, "bench_jpeg: %s\n", e.message);
    return ok ? 0 : 1;
}
