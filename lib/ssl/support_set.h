/* The support set: a FIFO ring of m past embeddings (Dwibedi et al. 2021, sec. 3.2), and for each
 * row the record it shows, its label and the step it came from. The embeddings live in the engine's
 * search index; ring and metadata live here, on the host, and nowhere else: an engine is given the
 * records at each search that excludes some.
 *
 *      row  0        cursor                     m-1
 *          +--------+-----------------------------+
 *          | newest | oldest ............. newer  |     enqueue overwrites from cursor on, wrapping
 *          +--------+-----------------------------+
 *
 * Initial rows are unit Gaussian directions drawn from (seed, NNCLR_DRAW_QUEUE, row), with record,
 * label and step -1. One thread uses a support set. */
#ifndef NNCLR_SSL_SUPPORT_SET_H
#define NNCLR_SSL_SUPPORT_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"
#include "ssl/search_keys.h"

typedef struct nnclr_support_set {
    nnclr_engine *engine; /* the caller's */
    nnclr_search *search;
    nnclr_search_keys keys; /* what is compared instead of the rows, if there are any */
    int m, d;
    int cursor;      /* row that the next embedding overwrites */
    int64_t *record; /* [m]; -1: initial random row */
    int64_t *label;  /* [m]; -1: none */
    int64_t *step;   /* [m]; -1: initial random row */
} nnclr_support_set;

/* All rows initial, from `seed`. m, d >= 1. */
bool nnclr_support_set_create(nnclr_support_set *s, nnclr_engine *engine, int m, int d,
                              uint64_t seed, nnclr_error *e);
void nnclr_support_set_free(nnclr_support_set *s); /* a zeroed one is fine */

/* From now on neighbours are sought by rows and appearances, which are the caller's and must
 * outlive the set; share as search_keys.h has it. */
bool nnclr_support_set_look(nnclr_support_set *s, const nnclr_appearances *appearances,
                            double share, nnclr_error *e);

/* As an engine's search_nearest, for unit queries of the records [n]. */
void nnclr_support_set_nearest(nnclr_support_set *s, const void *queries, const int64_t *record,
                               int n, int k, bool exclude_self, void *picks, void *scores);

/* Overwrites the n oldest rows with n <= m unit rows (reals [n][d], engine memory). */
bool nnclr_support_set_enqueue(nnclr_support_set *s, const void *rows, int n, const int64_t *record,
                               const int64_t *label, int64_t step, nnclr_error *e);

/* Whether two of its rows (-1: none) show one picture. */
static inline bool nnclr_same_record(const nnclr_support_set *s, int32_t a, int32_t b) {
    return a >= 0 && b >= 0 && s->record[a] >= 0 && s->record[a] == s->record[b];
}

/* Replaces everything, for a checkpoint: embedding host [m][d] of `type`. */
bool nnclr_support_set_restore(nnclr_support_set *s, nnclr_dtype type, const void *embedding,
                               const int64_t *record, const int64_t *label, const int64_t *step,
                               int cursor, nnclr_error *e);
/* Turns the rows into those that a new run starts from: as old as its start, and if they are
 * `foreign`, that is, from data other than the run's, without record and label. */
void nnclr_support_set_renew(nnclr_support_set *s, bool foreign);
/* Bytes of the rows and their metadata, without the scratch of a search; and keys, if there are. */
size_t nnclr_support_set_bytes(const nnclr_engine *engine, int m, int d, bool keys);

#endif
