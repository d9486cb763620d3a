/* Views that were made before: a tensor file of kind "views" (nnclr-tensor(5)), pairs of views of n
 * pictures before normalisation, with the record and the label of each. nnclr-views writes them,
 * nnclr-pretrain --views trains on them. */
#ifndef NNCLR_IMAGE_VIEWS_FILE_H
#define NNCLR_IMAGE_VIEWS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/progress.h"
#include "image/augment.h"
#include "io/json.h"
#include "io/shard.h"

/* ---- reading ---- */

typedef struct nnclr_views nnclr_views;

/* PATH "-" is standard input. Views must be square, both of one shape and type. Records and labels
 * are held in memory, pictures are read when asked for. */
nnclr_views *nnclr_views_open(const char *path, nnclr_error *e);
void nnclr_views_close(nnclr_views *views); /* NULL is fine */

const char *nnclr_views_path(const nnclr_views *views);
size_t nnclr_views_count(const nnclr_views *views); /* >= 1 */
int nnclr_views_size(const nnclr_views *views);
const int64_t *nnclr_views_record(const nnclr_views *views); /* [count], >= 0 */
const int64_t *nnclr_views_label(const nnclr_views *views);  /* [count]; -1: none */
/* Names in label order; none if the file does not name them. */
size_t nnclr_views_class_count(const nnclr_views *views);
const char *nnclr_views_class(const nnclr_views *views, size_t label);
/* What a checkpoint remembers of the data: [{"records", "crc32", "kind": "views"}]. The
 * first call reads the whole file. Owned by the caller. */
nnclr_json *nnclr_views_identity(nnclr_views *views, nnclr_error *e);

/* Rows [first, first+n) of view 0 or 1: out [n][size][size][3] in [0,1]. Numbers outside that are
 * refused. One thread at a time reads a view; the other may be read meanwhile. */
bool nnclr_views_read(nnclr_views *views, int view, size_t first, size_t n, float *out,
                      nnclr_error *e);

/* ---- writing ---- */

typedef struct nnclr_views_request {
    nnclr_augment augment;
    uint64_t seed;
    uint32_t epoch;
    const uint32_t *records; /* [count], in the order of the rows */
    size_t count;
    bool bytes; /* U8, rounded; otherwise F32 */
    int threads;
    const nnclr_json *config;       /* nnclr.config: how the views are made */
    const char *program;            /* name and version */
    const nnclr_progress *progress; /* told of views that are written; may be NULL */
} nnclr_views_request;

/* Pictures are decoded once for each view, instead of keeping a copy of all second views. */
bool nnclr_views_write(const char *path, nnclr_shard_set *set, const nnclr_views_request *request,
                       nnclr_error *e);

/* [0,1] to 0..255, rounded: `count` values. */
void nnclr_views_to_bytes(const float *values, size_t count, uint8_t *bytes);

#endif
