/* Neighbours sought by what z does not know yet: each row of a support set, and each query, has a
 * key, z^ and the appearance a of its picture (image/appearance.h) side by side, such that
 *
 *   key . key' = (1 - share) z^ . z^' + share a . a'
 *
 * Keys are unit vectors; those of rows without a picture, initial ones and those of other data, are
 * zeros, near to nothing. */
#ifndef NNCLR_SSL_SEARCH_KEYS_H
#define NNCLR_SSL_SEARCH_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"
#include "image/appearance.h"

/* One thread uses it. */
typedef struct nnclr_search_keys {
    nnclr_engine *engine;                 /* the caller's, as is the next */
    const nnclr_appearances *appearances; /* by record */
    nnclr_search *search;                 /* NULL: there are no keys */
    int d, width;                         /* of z, and of a key */
    double factor[2];                     /* of z^ and a in it */
    double *rows, *keys;                  /* host, of a chunk */
    void *place;                          /* keys of a chunk, engine memory */
} nnclr_search_keys;

/* For m rows of d; share in (0, 1]. All keys are zeros. */
bool nnclr_search_keys_create(nnclr_search_keys *keys, nnclr_engine *engine, int m, int d,
                              const nnclr_appearances *appearances, double share, nnclr_error *e);
void nnclr_search_keys_free(nnclr_search_keys *keys); /* a zeroed one is fine */
size_t nnclr_search_keys_bytes(const nnclr_engine *engine, int m, int d);

/* Those of the rows first..first+count-1 (no wrap): `rows` (reals [count][d], engine memory) of the
 * records [count], -1: none. */
void nnclr_search_keys_put(nnclr_search_keys *keys, int first, int count, const void *rows,
                           const int64_t *record);
/* As an engine's search_nearest, for queries of the records [n]. */
void nnclr_search_keys_nearest(nnclr_search_keys *keys, const void *queries, const int64_t *record,
                               int n, int k, const nnclr_exclusion *exclude, void *picks,
                               void *scores);

#endif
