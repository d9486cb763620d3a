/* Searches for queries that need not fit into memory, chunk by chunk; several ranks take a round of
 * chunks, one each. */
#include "base/memory.h"
#include "base/numbers.h"
#include "eval/neighbour_search.h"

enum { CHUNK_BYTES = 128 << 20 /* of queries, with what their search needs */ };

typedef struct rounds {
    nnclr_communicator self, *ranks;
    int64_t chunk;              /* queries of one rank */
    float *rows;                /* [chunk][d] */
    nnclr_neighbour *own, *all; /* [chunk][k], [ranks][chunk][k]; the same of one rank */
} rounds;

/* As many rounds as the largest chunk makes necessary, and all of them alike. What a query needs is
 * in neighbours.h. */
static int64_t chunk_rows(int64_t given, int k, const nnclr_row_source *queries, int ranks) {
    const int64_t found = (int64_t)k * (int64_t)sizeof(nnclr_neighbour),
                  row = (int64_t)queries->d * 2 * (int64_t)sizeof(float) + (int64_t)k * 16 + found +
                        600,
                  message = NNCLR_MESSAGE_MOST / ranks / found,
                  most = nnclr_max(nnclr_min(given ? given : CHUNK_BYTES / row, message), 1),
                  count = nnclr_pieces(queries->n, most * ranks);
    return nnclr_pieces(queries->n, nnclr_max(count, 1) * ranks);
}

static bool open_rounds(rounds *r, int k, int d, nnclr_error *e) {
    const size_t chunk = (size_t)r->chunk, found = (size_t)k * sizeof *r->own;
    r->rows = nnclr_alloc(chunk, (size_t)d * sizeof *r->rows, e);
    if (r->rows)
        r->own = nnclr_alloc_zero(chunk, found, e);
    r->all = r->own;
    if (r->own && r->ranks->ranks > 1)
        r->all = nnclr_alloc((size_t)r->ranks->ranks * chunk, found, e);
    return r->all;
}

static void close_rounds(rounds *r) {
    if (r->all != r->own)
        nnclr_free(r->all);
    nnclr_free(r->own);
    nnclr_free(r->rows);
}

/* This rank's chunk of the round that starts at query `first`; the queries may end before it. */
static bool search_own(rounds *r, nnclr_pool *pool, const nnclr_row_source *bank,
                       const nnclr_row_source *queries, const nnclr_nearest_options *options,
                       int64_t first, nnclr_error *e) {
    nnclr_query_range own = {
        .first = first + r->ranks->rank * r->chunk, .all = queries->n, .ranks = r->ranks->ranks};
    own.count = nnclr_min(queries->n - own.first, r->chunk);
    return own.count <= 0 || (queries->read(queries, own.first, own.count, r->rows, e) &&
                              nnclr_nearest_of(pool, bank, r->rows, &own, options, r->own, e));
}

static bool gather(rounds *r, int k, nnclr_error *e) {
    if (r->ranks->ranks > 1)
        nnclr_gather_bytes(r->ranks, r->own, (size_t)r->chunk * (size_t)k * sizeof *r->own, r->all);
    return nnclr_communicator_sync(r->ranks, e);
}

bool nnclr_nearest_each(nnclr_pool *pool, const nnclr_row_source *bank,
                        const nnclr_row_source *queries, const nnclr_nearest_options *options,
                        int64_t chunk, nnclr_neighbours_take take, void *context, nnclr_error *e) {
    rounds r = {.self = nnclr_communicator_self()};
    nnclr_error own = NNCLR_NO_ERROR; /* of this rank, until all know of it */
    r.ranks = options->ranks ? options->ranks : &r.self;
    r.chunk = chunk_rows(chunk, options->k, queries, r.ranks->ranks);
    const int64_t round = r.chunk * r.ranks->ranks;
    open_rounds(&r, options->k, queries->d, &own);
    bool ok = nnclr_agree(r.ranks, NULL, &own);
    for (int64_t first = 0; ok && first < queries->n; first += round) {
        search_own(&r, pool, bank, queries, options, first, &own);
        ok = nnclr_agree(r.ranks, NULL, &own) && gather(&r, options->k, &own);
        if (ok)
            take(context, first, nnclr_min(queries->n - first, round), r.all);
    }
    close_rounds(&r);
    if (!ok)
        *e = own;
    return ok;
}
