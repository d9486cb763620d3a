#include "engine/communicator.h"

#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"

enum {
    /* Numbers that are summed at a time: scratch is this large, not as large as a network. */
    CHUNK = 1 << 20,
    /* Bytes of all ranks' numbers that take longer to send for than to send: each rank gets them
     * all and adds them up itself, in one message instead of two. */
    SMALL = 1 << 16
};

/* ---- one rank ---- */

static bool keep(nnclr_communicator *c, const void *from, size_t bytes, void *to, nnclr_error *e) {
    (void)c, (void)e;
    memcpy(to, from, bytes);
    return true;
}

static void need_not(nnclr_communicator *c, int code) {
    (void)c, (void)code;
}

static const nnclr_communicator_table self = {
    .name = "self", .gather = keep, .exchange = keep, .abort = need_not};

nnclr_communicator nnclr_communicator_self(void) {
    return (nnclr_communicator){.table = &self, .ranks = 1, .local_ranks = 1};
}

void nnclr_communicator_close(nnclr_communicator *c) {
    if (c->table && c->table->close)
        c->table->close(c);
    nnclr_free(c->sent);
    nnclr_free(c->got);
    *c = (nnclr_communicator){0};
}

/* ---- messages ---- */

static bool failed(const nnclr_communicator *c) {
    return c->failure.code != NNCLR_OK;
}

/* Room for `bytes` to send and to get. */
static bool reserve(nnclr_communicator *c, size_t bytes) {
    return !failed(c) && nnclr_reserve(&c->sent, &c->sent_capacity, bytes, 1, &c->failure) &&
           nnclr_reserve(&c->got, &c->got_capacity, bytes, 1, &c->failure);
}

typedef bool (*primitive)(nnclr_communicator *, const void *, size_t, void *, nnclr_error *);

static bool move(nnclr_communicator *c, primitive how, const void *from, size_t bytes, void *to) {
    if (failed(c))
        return false;
    if (bytes > NNCLR_MESSAGE_MOST / (size_t)c->ranks)
        return nnclr_fail(&c->failure, NNCLR_ERROR_LIMIT,
                          "%d ranks cannot exchange %zu bytes each at once: give a smaller --batch",
                          c->ranks, bytes);
    if (bytes > 0 && !how(c, from, bytes, to, &c->failure))
        return false;
    c->received += (uint64_t)(c->ranks - 1) * bytes;
    return true;
}

void nnclr_gather_bytes(nnclr_communicator *c, const void *from, size_t bytes, void *to) {
    (void)move(c, c->table->gather, from, bytes, to);
}

bool nnclr_communicator_sync(nnclr_communicator *c, nnclr_error *e) {
    if (!failed(c))
        return true;
    *e = c->failure;
    c->agreed = false;
    return false;
}

/* ---- sums ---- */

/* got [ranks][count] -> sent [count], the sums times `scale`. */
static void add_up(nnclr_communicator *c, nnclr_dtype type, size_t count, double scale) {
    const size_t ranks = (size_t)c->ranks;
    if (type == NNCLR_F64) {
        const double *from = (const void *)c->got;
        double *to = (void *)c->sent;
        for (size_t i = 0; i < count; i++) {
            double sum = from[i];
            for (size_t rank = 1; rank < ranks; rank++)
                sum += from[rank * count + i];
            to[i] = sum * scale;
        }
    } else {
        const float *from = (const void *)c->got;
        float *to = (void *)c->sent;
        for (size_t i = 0; i < count; i++) {
            double sum = (double)from[i];
            for (size_t rank = 1; rank < ranks; rank++)
                sum += (double)from[rank * count + i];
            to[i] = (float)(sum * scale);
        }
    }
}

/* Each rank's sent [count], or its piece of all [ranks][count] of them, are added up in sent. */
static bool add(nnclr_communicator *c, primitive how, nnclr_dtype type, size_t count,
                double scale) {
    if (!move(c, how, c->sent, count * nnclr_dtype_bytes(type), c->got))
        return false;
    add_up(c, type, count, scale);
    return true;
}

static bool is_small(const nnclr_communicator *c, size_t bytes) {
    return bytes <= SMALL / (size_t)c->ranks;
}

static size_t piece_of(const nnclr_communicator *c, size_t count) {
    return nnclr_pieces(count, (size_t)c->ranks);
}

/* Whether there is something to sum: then `sent` has room for it, and zeros after it. */
static bool begin_sum(nnclr_communicator *c, nnclr_dtype type, size_t count) {
    const size_t width = nnclr_dtype_bytes(type), ranks = (size_t)c->ranks,
                 each = is_small(c, count * width) ? count : piece_of(c, count);
    if (c->ranks == 1 || !reserve(c, ranks * each * width))
        return false;
    memset(c->sent + count * width, 0, (ranks * each - count) * width);
    return true;
}

/* The sums, times `scale`, of all ranks' sent [count], of which each rank adds a piece; NULL: it
 * failed. */
static const void *finish_sum(nnclr_communicator *c, nnclr_dtype type, size_t count, double scale) {
    const size_t width = nnclr_dtype_bytes(type), piece = piece_of(c, count);
    if (is_small(c, count * width))
        return add(c, c->table->gather, type, count, scale) ? c->sent : NULL;
    return add(c, c->table->exchange, type, piece, scale) &&
                   move(c, c->table->gather, c->sent, piece * width, c->got)
               ? c->got
               : NULL;
}

void nnclr_average_reals(nnclr_communicator *c, nnclr_engine *g, void *reals, size_t count) {
    const nnclr_dtype type = g->table->real;
    for (size_t first = 0; first < count; first += CHUNK) {
        const size_t n = nnclr_min(count - first, (size_t)CHUNK);
        void *place = nnclr_real_at(g, reals, first);
        if (!begin_sum(c, type, n))
            return;
        g->table->get(g, place, n, type, c->sent);
        const void *mean = finish_sum(c, type, n, 1.0 / c->ranks);
        if (!mean)
            return;
        g->table->put(g, place, n, type, mean);
    }
}

void nnclr_sum_doubles(nnclr_communicator *c, double *x, size_t count) {
    if (!begin_sum(c, NNCLR_F64, count))
        return;
    memcpy(c->sent, x, count * sizeof *x);
    const void *sums = finish_sum(c, NNCLR_F64, count, 1);
    if (sums)
        memcpy(x, sums, count * sizeof *x);
}

/* ---- statistics of batch norms ---- */

static void get_statistics(nnclr_communicator *c, nnclr_engine *g, void *const *place, int places,
                           size_t count) {
    for (size_t i = 0; i < (size_t)places; i++)
        g->table->get_statistics(g, place[i], count, (double *)(void *)c->sent + i * count);
}

static void put_statistics(nnclr_engine *g, void *const *place, int places, size_t count,
                           const double *from) {
    for (size_t i = 0; i < (size_t)places; i++)
        g->table->put_statistics(g, place[i], count, from + i * count);
}

void nnclr_sum_statistics(nnclr_communicator *c, nnclr_engine *g, void *const *place, int places,
                          size_t count) {
    const size_t all = (size_t)places * count;
    if (!begin_sum(c, NNCLR_F64, all))
        return;
    get_statistics(c, g, place, places, count);
    const void *sums = finish_sum(c, NNCLR_F64, all, 1);
    if (sums)
        put_statistics(g, place, places, count, sums);
}

/* What the ranks gathered, [ranks][all]: means at `at`, and `channels` further on the sums of the
 * squared distances from them. They become those of all, at to[at] and there. */
static void join(const nnclr_communicator *c, const double *gathered, size_t all, size_t at,
                 size_t channels, double count, double *to) {
    double mean = 0, squares = 0;
    for (size_t rank = 0; rank < (size_t)c->ranks; rank++)
        mean += gathered[rank * all + at] / c->ranks;
    for (size_t rank = 0; rank < (size_t)c->ranks; rank++) {
        const double apart = gathered[rank * all + at] - mean;
        squares += gathered[rank * all + at + channels] + count * apart * apart;
    }
    to[at] = mean;
    to[at + channels] = squares;
}

void nnclr_join_pools(nnclr_communicator *c, nnclr_engine *g, void *const *place, int places,
                      int groups, int channels, double count) {
    const size_t wide = (size_t)channels, each = 2 * wide * (size_t)groups,
                 all = (size_t)places * each;
    if (c->ranks == 1 || !reserve(c, (size_t)c->ranks * all * sizeof(double)))
        return;
    get_statistics(c, g, place, places, each);
    if (!move(c, c->table->gather, c->sent, all * sizeof(double), c->got))
        return;
    double *joined = (void *)c->sent;
    for (size_t pool = 0; pool < all; pool += 2 * wide)
        for (size_t i = 0; i < wide; i++)
            join(c, (const void *)c->got, all, pool + i, wide, count, joined);
    put_statistics(g, place, places, each, joined);
}

/* ---- rows ---- */

/* sent [count] <- reals of the engine, with room for those of all to get. False: it failed, or
 * there is one rank, whose `from` is what `to` becomes. */
static bool begin_rows(nnclr_communicator *c, nnclr_engine *g, const void *from, size_t count,
                       size_t room, void *to) {
    const size_t width = nnclr_real_bytes(g);
    if (c->ranks == 1 && to != from)
        g->table->copy(g, to, from, count * width);
    if (c->ranks == 1 || !reserve(c, room * width))
        return false;
    g->table->get(g, from, count, g->table->real, c->sent);
    return true;
}

void nnclr_gather_reals(nnclr_communicator *c, nnclr_engine *g, const void *from, size_t count,
                        void *to) {
    const size_t all = (size_t)c->ranks * count;
    if (begin_rows(c, g, from, count, all, to) &&
        move(c, c->table->gather, c->sent, count * nnclr_real_bytes(g), c->got))
        g->table->put(g, to, all, g->table->real, c->got);
}

void nnclr_gather_reals_backward(nnclr_communicator *c, nnclr_engine *g, const void *from,
                                 size_t count, void *to) {
    const size_t all = (size_t)c->ranks * count;
    if (begin_rows(c, g, from, all, all, to) &&
        add(c, c->table->exchange, g->table->real, count, 1))
        g->table->put(g, to, count, g->table->real, c->sent);
}

/* ---- agreement ---- */

typedef struct state {
    int32_t code;
    uint32_t wishes;
} state;

/* What any rank wishes; returns the lowest rank with an error, or how many ranks there are. */
static int find_failed(const nnclr_communicator *c, const state *states, unsigned *wishes) {
    int lowest = c->ranks;
    for (int rank = c->ranks - 1; rank >= 0; rank--) {
        *wishes |= states[rank].wishes;
        if (states[rank].code != NNCLR_OK)
            lowest = rank;
    }
    return lowest;
}

bool nnclr_agree(nnclr_communicator *c, unsigned *wishes, nnclr_error *e) {
    const state own = {e->code, wishes ? *wishes : 0};
    unsigned all = 0;
    c->agreed = c->ranks == 1;
    if (c->ranks == 1)
        return e->code == NNCLR_OK;
    if (!reserve(c, (size_t)c->ranks * sizeof *e) ||
        !move(c, c->table->gather, &own, sizeof own, c->got))
        return e->code == NNCLR_OK && nnclr_communicator_sync(c, e);
    const int lowest = find_failed(c, (const void *)c->got, &all);
    if (wishes)
        *wishes = all;
    if (lowest == c->ranks)
        return true;
    if (!move(c, c->table->gather, e, sizeof *e, c->got))
        return nnclr_communicator_sync(c, e);
    memcpy(e, c->got + (size_t)lowest * sizeof *e, sizeof *e);
    c->agreed = true;
    return lowest > 0 ? nnclr_fail_at(e, "rank %d", lowest) : false;
}

bool nnclr_agree_on(nnclr_communicator *c, uint64_t value, const char *what, nnclr_error *e) {
    c->agreed = false;
    if (c->ranks == 1)
        return true;
    if (!reserve(c, (size_t)c->ranks * sizeof value) ||
        !move(c, c->table->gather, &value, sizeof value, c->got))
        return nnclr_communicator_sync(c, e);
    const uint64_t *values = (const void *)c->got;
    for (int rank = 1; rank < c->ranks; rank++)
        if (values[rank] != values[0]) {
            c->agreed = true;
            return nnclr_fail(e, NNCLR_ERROR_INPUT, "rank %d: %s differs from that of rank 0", rank,
                              what);
        }
    return true;
}

uint64_t nnclr_hash(uint64_t hash, const void *bytes, size_t size) {
    const unsigned char *from = bytes;
    for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
        uint64_t word = 0;
        memcpy(&word, from + i, nnclr_min(size - i, sizeof word));
        hash = (hash ^ word) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 32;
    }
    return hash;
}
