#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"

/* ---- CPUs ---- */

/* Written before there are threads, and read-only from then on: a pinned thread could no longer
 * find it out. */
static cpu_set_t process_mask;
static int sharers = 1; /* processes that the quota is for */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void read_mask(void) {
    if (sched_getaffinity(0, sizeof process_mask, &process_mask) != 0) {
        CPU_ZERO(&process_mask);
        CPU_SET(0, &process_mask);
    }
}

/* The CPUs of this process: its affinity mask as it was before any thread of ours was pinned, which
 * is so at the first call. */
static void find_mask(cpu_set_t *mask) {
    pthread_once(&once, read_mask);
    *mask = process_mask;
}

void nnclr_cpu_mask(unsigned char mask[NNCLR_CPU_MASK]) {
    cpu_set_t own;
    _Static_assert(sizeof own == NNCLR_CPU_MASK, "a mask of 1024 CPUs");
    find_mask(&own);
    memcpy(mask, &own, sizeof own);
}

/* With fewer CPUs than processes each has one, some of them the same. */
void nnclr_cpu_share(int index, int count) {
    cpu_set_t whole;
    find_mask(&whole);
    const int cpus = CPU_COUNT(&whole), first = (int)((int64_t)cpus * index / count),
              end = nnclr_max((int)((int64_t)cpus * (index + 1) / count), first + 1);
    CPU_ZERO(&process_mask);
    for (int cpu = 0, seen = 0; seen < end; cpu++) {
        if (!CPU_ISSET((size_t)cpu, &whole))
            continue;
        if (seen++ >= first)
            CPU_SET((size_t)cpu, &process_mask);
    }
    sharers = count;
    nnclr_cpu_unpin();
}

void nnclr_cpu_unpin(void) {
    cpu_set_t mask;
    find_mask(&mask);
    (void)pthread_setaffinity_np(pthread_self(), sizeof mask, &mask); /* only speed depends on it */
}

static long long read_number(const char *path) {
    long long value = 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%lld", &value) != 1)
        value = 0;
    fclose(file);
    return value;
}

/* CPUs' worth of time that the cgroup grants, rounded up; 0: no limit. */
static int quota_cpus(void) {
    long long quota = 0, period = 0;
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re"); /* version 2: "QUOTA PERIOD" or "max ..." */
    if (file) {
        if (fscanf(file, "%lld %lld", &quota, &period) != 2)
            quota = 0;
        fclose(file);
    } else {
        quota = read_number("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
        period = read_number("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    }
    if (quota <= 0 || period <= 0)
        return 0;
    long long cpus = nnclr_pieces(quota, period * sharers);
    return (int)nnclr_min(cpus, CPU_SETSIZE);
}

int nnclr_cpu_count(void) {
    cpu_set_t mask;
    find_mask(&mask);
    int cpus = CPU_COUNT(&mask), quota = quota_cpus();
    if (quota > 0 && quota < cpus)
        cpus = quota;
    return nnclr_max(cpus, 1);
}

bool nnclr_thread_failed(int number, int threads, int error, nnclr_error *e) {
    return nnclr_fail(e, NNCLR_ERROR_IO, "thread %d of %d cannot be started: %s: %s", number,
                      threads, strerror(error),
                      threads > 1 ? "give a smaller -j"
                                  : "it needs memory (ulimit -v) and a process (ulimit -u)");
}

/* ---- the pool ---- */

typedef struct worker {
    nnclr_pool *pool;
    pthread_t thread;
    int number;
} worker;

struct nnclr_pool {
    int threads;
    worker *workers; /* [threads]; entry 0 is the caller and has no thread */
    bool pinned;

    pthread_mutex_t lock;
    pthread_cond_t work, done;
    uint64_t round; /* counts calls of nnclr_pool_for: tells sleepers that there is a new one */
    int running;    /* workers still inside the current round, without the caller */
    bool quit;

    nnclr_task task; /* of the current round */
    void *context;
    int tasks;
    atomic_int next;
};

static void run_tasks(nnclr_pool *pool, int number) {
    for (int i; (i = atomic_fetch_add(&pool->next, 1)) < pool->tasks;)
        pool->task(pool->context, i, number);
}

static void *work(void *argument) {
    worker *w = argument;
    nnclr_pool *pool = w->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->quit && pool->round == seen)
            pthread_cond_wait(&pool->work, &pool->lock);
        if (pool->quit)
            break;
        seen = pool->round;
        pthread_mutex_unlock(&pool->lock);
        run_tasks(pool, w->number);
        pthread_mutex_lock(&pool->lock);
        if (--pool->running == 0)
            pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Worker i goes to the i-th CPU of the process's mask: two workers once landed on one CPU and
 * stayed there. With fewer CPUs than workers the kernel decides. */
static void pin(nnclr_pool *pool) {
    cpu_set_t mask;
    find_mask(&mask);
    if (pool->threads < 2 || CPU_COUNT(&mask) < pool->threads)
        return;
    size_t cpu = 0;
    for (int i = 0; i < pool->threads; i++, cpu++) {
        while (!CPU_ISSET(cpu, &mask))
            cpu++;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        pthread_t thread = i == 0 ? pthread_self() : pool->workers[i].thread;
        (void)pthread_setaffinity_np(thread, sizeof one, &one); /* only speed depends on it */
    }
    pool->pinned = true;
}

nnclr_pool *nnclr_pool_create(int threads, nnclr_error *e) {
    nnclr_pool *pool = nnclr_alloc_zero(1, sizeof *pool, e);
    if (!pool)
        return NULL;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->threads = 1;
    pool->workers = nnclr_alloc_zero((size_t)threads, sizeof *pool->workers, e);
    if (!pool->workers)
        goto fail;
    for (int i = 1; i < threads; i++) {
        pool->workers[i] = (worker){.pool = pool, .number = i};
        int error = pthread_create(&pool->workers[i].thread, NULL, work, &pool->workers[i]);
        if (error != 0) {
            nnclr_thread_failed(i + 1, threads, error, e);
            goto fail;
        }
        pool->threads++;
    }
    pin(pool);
    return pool;
fail:
    nnclr_pool_free(pool);
    return NULL;
}

void nnclr_pool_free(nnclr_pool *pool) {
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->quit = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 1; i < pool->threads; i++)
        pthread_join(pool->workers[i].thread, NULL);
    if (pool->pinned)
        nnclr_cpu_unpin();
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->done);
    nnclr_free(pool->workers);
    nnclr_free(pool);
}

int nnclr_pool_threads(const nnclr_pool *pool) {
    return pool->threads;
}

void nnclr_pool_for(nnclr_pool *pool, int tasks, nnclr_task task, void *context) {
    if (pool->threads == 1 || tasks <= 1) {
        for (int i = 0; i < tasks; i++)
            task(context, i, 0);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->task = task;
    pool->context = context;
    pool->tasks = tasks;
    atomic_store(&pool->next, 0);
    pool->running = pool->threads - 1;
    pool->round++;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);

    run_tasks(pool, 0);

    pthread_mutex_lock(&pool->lock);
    while (pool->running > 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}
