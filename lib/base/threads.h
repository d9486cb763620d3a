/* The only thread code: a pinned pool with a parallel for, and an ordered bounded pipeline.
 *
 * Both hand the worker's number to the function they call, so that scratch memory is one piece for
 * each worker, allocated before and passed in the context. Neither influences results: tasks write
 * disjoint outputs, and partial sums belong to tasks, never to workers.
 */
#ifndef NNCLR_BASE_THREADS_H
#define NNCLR_BASE_THREADS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* CPUs that this process may use: affinity mask, further limited by a cgroup quota. At least 1. */
int nnclr_cpu_count(void);

/* The affinity mask, for comparing with those of other processes. */
enum { NNCLR_CPU_MASK = 128 };
void nnclr_cpu_mask(unsigned char mask[NNCLR_CPU_MASK]);

/* This process is number `index` of `count` that have the same CPUs: from now on it uses its share,
 * CPUs next to each other, and a part of the quota. Called before there are other threads. */
void nnclr_cpu_share(int index, int count);

/* Lets the calling thread run on any CPU of the process's affinity mask. */
void nnclr_cpu_unpin(void);

/* Thread `number` of `threads` could not be started, as that errno says; returns false. */
bool nnclr_thread_failed(int number, int threads, int error, nnclr_error *e);

typedef struct nnclr_pool nnclr_pool;
typedef void (*nnclr_task)(void *context, int task, int worker);

/* `threads` >= 1 workers, the calling thread included as worker 0. Each worker is pinned to a CPU
 * of the process's affinity mask if there are as many CPUs as workers; the caller's own mask is
 * restored by nnclr_pool_free. */
nnclr_pool *nnclr_pool_create(int threads, nnclr_error *e);
void nnclr_pool_free(nnclr_pool *pool); /* NULL is fine */
int nnclr_pool_threads(const nnclr_pool *pool);

/* Runs task(context, i, worker) for i in [0, tasks), dynamically over the workers, and returns
 * when all are done. Only the thread that created the pool calls it, and never from a task. */
void nnclr_pool_for(nnclr_pool *pool, int tasks, nnclr_task task, void *context);

/* An ordered bounded pipeline: threads of its own work ahead on items first, first+1, ... (up to
 * first+count), each into the slot item % depth, and the consumer takes them in order.
 *
 *        taken (1)      ready or in work        free
 *      +-----------+-------------------------+---------+
 *      | consumer  |  producers, any order   |         |      depth slots in all
 *      +-----------+-------------------------+---------+
 */
typedef struct nnclr_pipeline nnclr_pipeline;
typedef bool (*nnclr_produce)(void *context, uint64_t item, int slot, int worker, nnclr_error *e);

/* threads >= 1, depth >= 1; the producers are not pinned. */
nnclr_pipeline *nnclr_pipeline_start(int threads, int depth, uint64_t first, uint64_t count,
                                     nnclr_produce produce, void *context, nnclr_error *e);

typedef enum nnclr_next { NNCLR_NEXT_ITEM, NNCLR_NEXT_END, NNCLR_NEXT_FAILED } nnclr_next;

/* Waits for the next item in order. ITEM: *slot is the consumer's until nnclr_pipeline_release.
 * FAILED: that item's own error is in *e; it is taken all the same, must be released too, and the
 * consumer may go on with the next. END: all `count` items were taken. Several items may be held;
 * release gives back the oldest. One thread consumes. */
nnclr_next nnclr_pipeline_next(nnclr_pipeline *pipeline, int *slot, nnclr_error *e);
void nnclr_pipeline_release(nnclr_pipeline *pipeline);

/* Stops (items in work are finished, the rest is dropped), joins, frees. NULL is fine. */
void nnclr_pipeline_stop(nnclr_pipeline *pipeline);

#endif
