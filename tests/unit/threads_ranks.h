/* Ranks that are threads of a test: what they exchange goes over a board that all can see. A rank
 * that fails a check ends the others. */
#ifndef NNCLR_TESTS_THREADS_RANKS_H
#define NNCLR_TESTS_THREADS_RANKS_H

#include <pthread.h>

#include "engine/communicator.h"
#include "tests/unit/check.h"

enum { MOST_RANKS = 8 };

typedef struct board {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int ranks, waiting;
    unsigned round;
    bool ended; /* by a rank that went away with this code */
    int code;
    struct {
        const void *from;
        size_t bytes;
        bool exchange;
    } posted[MOST_RANKS];
} board;

/* Until all ranks have come here. */
static inline bool meet(board *b, nnclr_error *e) {
    pthread_mutex_lock(&b->lock);
    const unsigned round = b->round;
    if (++b->waiting == b->ranks) {
        b->waiting = 0;
        b->round++;
        pthread_cond_broadcast(&b->changed);
    }
    while (!b->ended && b->round == round)
        pthread_cond_wait(&b->changed, &b->lock);
    const bool met = b->round != round;
    pthread_mutex_unlock(&b->lock);
    return met || nnclr_fail(e, NNCLR_ERROR_STOPPED, "another rank ended with %d", b->code);
}

/* Posts, and takes what is for this rank. */
static inline bool pass_around(nnclr_communicator *c, bool exchange, const void *from, size_t bytes,
                               void *to, nnclr_error *e) {
    board *b = c->state;
    b->posted[c->rank].from = from;
    b->posted[c->rank].bytes = bytes;
    b->posted[c->rank].exchange = exchange;
    if (!meet(b, e))
        return false;
    bool alike = true;
    for (int rank = 0; rank < c->ranks; rank++)
        alike &= b->posted[rank].bytes == bytes && b->posted[rank].exchange == exchange;
    for (size_t rank = 0; alike && rank < (size_t)c->ranks; rank++)
        memcpy((unsigned char *)to + rank * bytes,
               (const unsigned char *)b->posted[rank].from +
                   (exchange ? (size_t)c->rank * bytes : 0),
               bytes);
    return meet(b, e) && (alike || nnclr_fail(e, NNCLR_ERROR_INPUT, "ranks make different calls"));
}

static inline bool threads_gather(nnclr_communicator *c, const void *from, size_t bytes, void *to,
                                  nnclr_error *e) {
    return pass_around(c, false, from, bytes, to, e);
}

static inline bool threads_exchange(nnclr_communicator *c, const void *from, size_t bytes, void *to,
                                    nnclr_error *e) {
    return pass_around(c, true, from, bytes, to, e);
}

static inline void threads_abort(nnclr_communicator *c, int code) {
    board *b = c->state;
    pthread_mutex_lock(&b->lock);
    b->ended = true;
    b->code = code;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

static const nnclr_communicator_table threads_table = {.name = "threads",
                                                       .gather = threads_gather,
                                                       .exchange = threads_exchange,
                                                       .abort = threads_abort};

typedef struct ranks_thread {
    nnclr_communicator communicator;
    void (*work)(nnclr_communicator *c, void *context);
    void *context;
    pthread_t thread;
    int left; /* by a check, because of: */
    char why[1500];
} ranks_thread;

static inline void *run_rank(void *argument) {
    ranks_thread *t = argument;
    t->left = setjmp(check_leave);
    if (t->left == 0) {
        t->work(&t->communicator, t->context);
    } else {
        snprintf(t->why, sizeof t->why, "%.1499s", check_why);
        threads_abort(&t->communicator, 1);
    }
    nnclr_communicator_close(&t->communicator);
    return NULL;
}

/* work(communicator, contexts + rank * size) on each of the ranks, at once. */
static inline void run_ranks(int ranks, void (*work)(nnclr_communicator *, void *), void *contexts,
                             size_t size) {
    board b = {.ranks = ranks};
    ranks_thread threads[MOST_RANKS] = {0};
    CHECK(ranks <= MOST_RANKS);
    pthread_mutex_init(&b.lock, NULL);
    pthread_cond_init(&b.changed, NULL);
    for (int rank = 0; rank < ranks; rank++) {
        threads[rank] = (ranks_thread){.communicator = {.table = &threads_table,
                                                        .state = &b,
                                                        .rank = rank,
                                                        .ranks = ranks,
                                                        .local_rank = rank,
                                                        .local_ranks = ranks},
                                       .work = work,
                                       .context = (unsigned char *)contexts + (size_t)rank * size};
        CHECK(pthread_create(&threads[rank].thread, NULL, run_rank, &threads[rank]) == 0);
    }
    for (int rank = 0; rank < ranks; rank++)
        pthread_join(threads[rank].thread, NULL);
    pthread_cond_destroy(&b.changed);
    pthread_mutex_destroy(&b.lock);
    /* One that was only ended by another says less. */
    for (int only = 0; only < 2; only++)
        for (int rank = 0; rank < ranks; rank++)
            CHECK_SAYS(threads[rank].left == 0 ||
                           (!only && strstr(threads[rank].why, "another rank ended")),
                       "rank %d of %d: %s", rank, ranks, threads[rank].why);
}

#endif
