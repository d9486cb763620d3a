#include <pthread.h>
#include <string.h>

#include "base/memory.h"
#include "base/threads.h"

typedef enum slot_state { SLOT_FREE, SLOT_IN_WORK, SLOT_READY, SLOT_FAILED } slot_state;

typedef struct slot {
    slot_state state;
    nnclr_error error;
} slot;

typedef struct producer {
    nnclr_pipeline *pipeline;
    pthread_t thread;
    int number;
} producer;

struct nnclr_pipeline {
    nnclr_produce produce;
    void *context;
    slot *slots; /* [depth] */
    int depth;
    producer *producers; /* [threads] that were started */
    int threads;

    pthread_mutex_t lock;
    pthread_cond_t room, ready;
    uint64_t claim; /* next item that no producer has taken up */
    uint64_t take;  /* next item for the consumer */
    uint64_t freed; /* items below this were released: their slots are free */
    uint64_t end;
    bool quit;
};

static void *produce(void *argument) {
    producer *self = argument;
    nnclr_pipeline *p = self->pipeline;
    nnclr_cpu_unpin(); /* a thread inherits its creator's CPU, which may be a pinned worker's */
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->quit && p->claim < p->end && p->claim >= p->freed + (uint64_t)p->depth)
            pthread_cond_wait(&p->room, &p->lock);
        if (p->quit || p->claim >= p->end)
            break;
        uint64_t item = p->claim++;
        int number = (int)(item % (uint64_t)p->depth);
        slot *s = &p->slots[number];
        s->state = SLOT_IN_WORK;
        pthread_mutex_unlock(&p->lock);

        nnclr_error error = NNCLR_NO_ERROR;
        bool ok = p->produce(p->context, item, number, self->number, &error);

        pthread_mutex_lock(&p->lock);
        s->error = error;
        s->state = ok ? SLOT_READY : SLOT_FAILED;
        pthread_cond_signal(&p->ready);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

nnclr_pipeline *nnclr_pipeline_start(int threads, int depth, uint64_t first, uint64_t count,
                                     nnclr_produce function, void *context, nnclr_error *e) {
    nnclr_pipeline *p = nnclr_alloc_zero(1, sizeof *p, e);
    if (!p)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->room, NULL);
    pthread_cond_init(&p->ready, NULL);
    p->produce = function;
    p->context = context;
    p->depth = depth;
    p->claim = p->take = p->freed = first;
    p->end = first + count;
    p->slots = nnclr_alloc_zero((size_t)depth, sizeof *p->slots, e);
    p->producers = nnclr_alloc_zero((size_t)threads, sizeof *p->producers, e);
    if (!p->slots || !p->producers)
        goto fail;
    for (int i = 0; i < threads; i++) {
        p->producers[i] = (producer){.pipeline = p, .number = i};
        int error = pthread_create(&p->producers[i].thread, NULL, produce, &p->producers[i]);
        if (error != 0) {
            nnclr_thread_failed(i + 1, threads, error, e);
            goto fail;
        }
        p->threads++;
    }
    return p;
fail:
    nnclr_pipeline_stop(p);
    return NULL;
}

nnclr_next nnclr_pipeline_next(nnclr_pipeline *p, int *number, nnclr_error *e) {
    nnclr_next result;
    pthread_mutex_lock(&p->lock);
    if (p->take >= p->end) {
        result = NNCLR_NEXT_END;
    } else {
        *number = (int)(p->take % (uint64_t)p->depth);
        slot *s = &p->slots[*number];
        while (p->claim <= p->take || s->state == SLOT_IN_WORK)
            pthread_cond_wait(&p->ready, &p->lock);
        p->take++;
        result = s->state == SLOT_READY ? NNCLR_NEXT_ITEM : NNCLR_NEXT_FAILED;
        if (result == NNCLR_NEXT_FAILED)
            *e = s->error;
    }
    pthread_mutex_unlock(&p->lock);
    return result;
}

void nnclr_pipeline_release(nnclr_pipeline *p) {
    pthread_mutex_lock(&p->lock);
    p->slots[p->freed % (uint64_t)p->depth].state = SLOT_FREE;
    p->freed++;
    pthread_cond_broadcast(&p->room);
    pthread_mutex_unlock(&p->lock);
}

void nnclr_pipeline_stop(nnclr_pipeline *p) {
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->quit = true;
    pthread_cond_broadcast(&p->room);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->threads; i++)
        pthread_join(p->producers[i].thread, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->room);
    pthread_cond_destroy(&p->ready);
    nnclr_free(p->producers);
    nnclr_free(p->slots);
    nnclr_free(p);
}
