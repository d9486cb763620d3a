/* How several processes, called ranks, train as one: each has an equal share of every batch, and
 * what must be known of all of it goes through here.
 *
 * A table of primitives moves bytes of host memory; self is one rank alone, MPI a plugin. All
 * arithmetic is above the table, once: sums are in double and in rank order, so their bits are the
 * same on every rank and do not depend on how the bytes travel. Of one rank it changes nothing.
 *
 * Every rank makes the same calls in the same order with the same sizes. One thread uses a
 * communicator.
 *
 * Errors of the arithmetic stick: once something failed, calls do nothing, and
 * nnclr_communicator_sync says what it was, as an engine's sync does. */
#ifndef NNCLR_ENGINE_COMMUNICATOR_H
#define NNCLR_ENGINE_COMMUNICATOR_H

#include "engine/engine.h"

typedef struct nnclr_communicator nnclr_communicator;

/* Primitives that each implementation has. They wait for the other ranks, fail if one of these is
 * gone, and never touch `from`. ranks * bytes is at most NNCLR_MESSAGE_MOST; `to` and `from` do not
 * overlap. */
typedef struct nnclr_communicator_table {
    const char *name; /* "self" */
    /* to [ranks][bytes] <- from [bytes] of each rank, in rank order. */
    bool (*gather)(nnclr_communicator *c, const void *from, size_t bytes, void *to, nnclr_error *e);
    /* to [ranks][bytes] <- this rank's piece of from [ranks][bytes] of each rank, in rank order. */
    bool (*exchange)(nnclr_communicator *c, const void *from, size_t bytes, void *to,
                     nnclr_error *e);
    /* This rank fails alone: the others end too, whatever they are waiting for, and the exit code
     * of all is `code`. May not return. */
    void (*abort)(nnclr_communicator *c, int code);
    void (*close)(nnclr_communicator *c); /* of every rank, in good order; NULL: nothing to do */
} nnclr_communicator_table;

enum { NNCLR_MESSAGE_MOST = 1 << 30 };

struct nnclr_communicator {
    /* An implementation fills these and leaves the rest zero. */
    const nnclr_communicator_table *table;
    void *state;
    int rank, ranks;
    int local_rank, local_ranks; /* among those of this machine */

    /* The last failure is that of every rank, which rank 0 may report. If not, this rank failed
     * alone: it reports that itself and calls `abort`, as the others may wait for it. */
    bool agreed;
    uint64_t received; /* bytes from other ranks so far */

    nnclr_error failure;       /* its own: what stuck, */
    unsigned char *sent, *got; /* and room for messages */
    size_t sent_capacity, got_capacity;
};

/* One rank. */
nnclr_communicator nnclr_communicator_self(void);
void nnclr_communicator_close(nnclr_communicator *c); /* a zeroed one is fine */

/* ---- arithmetic ---- */

/* reals [count] of the engine become their mean over the ranks. */
void nnclr_average_reals(nnclr_communicator *c, nnclr_engine *g, void *reals, size_t count);
/* to [ranks][count] <- from [count] of each rank, in rank order; reals of the engine. For one rank
 * `to` may be `from`. */
void nnclr_gather_reals(nnclr_communicator *c, nnclr_engine *g, const void *from, size_t count,
                        void *to);
/* Its backward: to [count] <- this rank's piece of the sum over the ranks of from [ranks][count].
 * With the gradients of parameters averaged, that makes a mean loss over all rows. */
void nnclr_gather_reals_backward(nnclr_communicator *c, nnclr_engine *g, const void *from,
                                 size_t count, void *to);
/* Statistics of batch norms, [count] numbers at each of the places, become their sums. */
void nnclr_sum_statistics(nnclr_communicator *c, nnclr_engine *g, void *const *place, int places,
                          size_t count);
/* Pools of batch norms (engine.h), [groups][2][channels] of `count` numbers a channel on each rank,
 * become those of all ranks' numbers. */
void nnclr_join_pools(nnclr_communicator *c, nnclr_engine *g, void *const *place, int places,
                      int groups, int channels, double count);
/* Doubles of the host become their sums. */
void nnclr_sum_doubles(nnclr_communicator *c, double *x, size_t count);
/* Bytes of the host, as the primitive. */
void nnclr_gather_bytes(nnclr_communicator *c, const void *from, size_t bytes, void *to);
/* False: a call since the creation failed. */
bool nnclr_communicator_sync(nnclr_communicator *c, nnclr_error *e);

/* ---- agreement ---- */

/* *e is this rank's error, or none. False if any rank has one: *e is then on each rank that of the
 * lowest, which it names unless that is rank 0. Otherwise *wishes, a set of bits, is on each rank
 * what any rank wishes; NULL: none has any. */
bool nnclr_agree(nnclr_communicator *c, unsigned *wishes, nnclr_error *e);
/* False, and on each rank, if the value is not the same on all: "rank 2: WHAT differs from that of
 * rank 0". */
bool nnclr_agree_on(nnclr_communicator *c, uint64_t value, const char *what, nnclr_error *e);
/* What it should compare of many bytes: they are added to a hash, 0 at first. It is quick, and no
 * protection from forgery. */
uint64_t nnclr_hash(uint64_t hash, const void *bytes, size_t size);

#endif
