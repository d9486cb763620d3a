#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/large_memory.h"
#include "tests/unit/check.h"

static nnclr_error e; /* of the call that is checked */

/* ---- the mask ---- */

typedef struct places {
    cpu_set_t of[3]; /* where each worker may run */
    atomic_int begun;
    int threads;
} places;

static void note_place(void *context, int task, int worker) {
    (void)task;
    places *p = context;
    sched_getaffinity(0, sizeof p->of[worker], &p->of[worker]);
    atomic_fetch_add(&p->begun, 1);
    while (p->begun < p->threads)
        usleep(100); /* so that each worker has a task */
}

/* In a process of its own, as the mask is read once: its last `cpus` CPUs are left to it. Each
 * worker has one of them for itself, or all if they are fewer than the workers. */
static int count_strays(int cpus, int threads) {
    cpu_set_t mask, left;
    CPU_ZERO(&left);
    sched_getaffinity(0, sizeof mask, &mask);
    for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && CPU_COUNT(&left) < cpus; cpu--)
        if (CPU_ISSET(cpu, &mask))
            CPU_SET(cpu, &left);
    sched_setaffinity(0, sizeof left, &left);
    places p = {.threads = threads};
    nnclr_pool *pool = nnclr_pool_create(threads, &e);
    int strays = pool ? 0 : 1;
    if (pool)
        nnclr_pool_for(pool, threads, note_place, &p);
    for (int i = 0; pool && i < threads; i++) {
        cpu_set_t both;
        CPU_AND(&both, &p.of[i], &left);
        strays += !CPU_EQUAL(&both, &p.of[i]) || CPU_COUNT(&both) != (cpus < threads ? cpus : 1);
        for (int k = 0; cpus >= threads && k < i; k++)
            strays += CPU_EQUAL(&p.of[i], &p.of[k]) != 0;
    }
    nnclr_pool_free(pool);
    sched_getaffinity(0, sizeof mask, &mask);
    return strays + !CPU_EQUAL(&mask, &left);
}

/* The first test: this process has not read its mask yet. */
TEST(workers_stay_inside_the_mask) {
    cpu_set_t mask;
    sched_getaffinity(0, sizeof mask, &mask);
    const int all = CPU_COUNT(&mask);
    const struct {
        int cpus, threads;
    } cases[] = {
        {1, 2}, {all < 2 ? 1 : 2, 2}, {all > 2 ? all - 1 : all, 2}, {all < 3 ? all : 3, 3}};
    for (int i = 0; i < 4; i++) {
        int status = -1;
        pid_t child = fork();
        if (child == 0)
            _exit(count_strays(cases[i].cpus, cases[i].threads));
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        CHECK_SAYS(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d CPUs, %d threads: status %d",
                   cases[i].cpus, cases[i].threads, status);
    }
}

typedef struct tally {
    int seen[1000];
    atomic_int per_worker[8];
    atomic_int wrong_worker;
    int threads;
} tally;

static void count_task(void *context, int task, int worker) {
    tally *t = context;
    t->seen[task]++;
    if (worker < 0 || worker >= t->threads)
        atomic_fetch_add(&t->wrong_worker, 1);
    else
        atomic_fetch_add(&t->per_worker[worker], 1);
}

/* The CPUs of each of `count` processes: together those of the mask, and each of one process alone
 * if there are enough. */
static int count_unshared(int index, int count, const cpu_set_t *whole, cpu_set_t *seen) {
    union {
        unsigned char bytes[NNCLR_CPU_MASK];
        cpu_set_t set;
    } own;
    cpu_set_t both, now;
    nnclr_cpu_share(index, count);
    nnclr_cpu_mask(own.bytes);
    sched_getaffinity(0, sizeof now, &now);
    CPU_AND(&both, &own.set, seen);
    const int cpus = CPU_COUNT(whole), most = (cpus + count - 1) / count;
    const bool apart = count > cpus || CPU_COUNT(&both) == 0;
    CPU_OR(seen, seen, &own.set);
    CPU_AND(&both, &own.set, whole);
    return !apart + !CPU_EQUAL(&now, &own.set) + !CPU_EQUAL(&both, &own.set) +
           (CPU_COUNT(&own.set) < 1) + (CPU_COUNT(&own.set) > most) +
           (nnclr_cpu_count() > CPU_COUNT(&own.set));
}

TEST(processes_share_the_mask) {
    static cpu_set_t *whole, *seen; /* shared with the processes */
    whole = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(whole != MAP_FAILED);
    seen = whole + 1;
    sched_getaffinity(0, sizeof *whole, whole);
    for (int count = 1; count <= CPU_COUNT(whole) + 2; count++) {
        CPU_ZERO(seen);
        for (int index = 0; index < count; index++) {
            const pid_t child = fork();
            if (child == 0)
                _exit(count_unshared(index, count, whole, seen));
            int status = -1;
            waitpid(child, &status, 0);
            CHECK_SAYS(status == 0, "process %d of %d: status %d", index, count, status);
        }
        CHECK(CPU_EQUAL(seen, whole));
    }
    munmap(whole, 4096);
}

TEST(every_task_runs_once) {
    for (int threads = 1; threads <= 5; threads++) {
        nnclr_pool *pool = nnclr_pool_create(threads, &e);
        CHECK_OK(pool);
        CHECK(nnclr_pool_threads(pool) == threads);
        static tally t;
        memset(&t, 0, sizeof t);
        t.threads = threads;
        for (int round = 0; round < 200; round++)
            nnclr_pool_for(pool, round * 5, count_task, &t);
        for (int i = 0; i < 995; i++)
            CHECK(t.seen[i] == 199 - i / 5);
        CHECK(t.seen[995] == 0 && t.wrong_worker == 0);
        nnclr_pool_free(pool);
    }
}

TEST(the_callers_mask_is_restored) {
    cpu_set_t before, inside, after;
    sched_getaffinity(0, sizeof before, &before);
    nnclr_pool *pool = nnclr_pool_create(2, &e);
    CHECK(pool);
    sched_getaffinity(0, sizeof inside, &inside);
    int cpus = nnclr_cpu_count(); /* not 1, although this thread is pinned now */
    nnclr_pool_free(pool);
    sched_getaffinity(0, sizeof after, &after);
    CHECK(CPU_EQUAL(&before, &after));
    CHECK(cpus == nnclr_cpu_count());
    if (CPU_COUNT(&before) < 2)
        SKIP("one CPU: nothing is pinned");
    CHECK(CPU_COUNT(&inside) == 1);
}

/* ---- pipeline ---- */

enum { DEPTH = 4, ITEMS = 300 };

typedef struct line {
    uint64_t slots[DEPTH];
    atomic_int made, pinned;
} line;

static bool square(void *context, uint64_t item, int slot, int worker, nnclr_error *error) {
    line *l = context;
    (void)worker;
    cpu_set_t mask;
    if (sched_getaffinity(0, sizeof mask, &mask) == 0 && CPU_COUNT(&mask) < nnclr_cpu_count())
        l->pinned = 1;
    if (item % 3 == 0)
        usleep((unsigned)(item % 7) * 100); /* so that items overtake one another */
    if (item == 123)
        return nnclr_fail(error, NNCLR_ERROR_INPUT, "item %d is bad", (int)item);
    l->slots[slot] = item * item;
    atomic_fetch_add(&l->made, 1);
    return true;
}

TEST(items_come_in_order_and_errors_in_their_place) {
    for (int threads = 1; threads <= 3; threads++) {
        line l = {{0}, 0, 0};
        nnclr_pipeline *p = nnclr_pipeline_start(threads, DEPTH, 10, ITEMS, square, &l, &e);
        CHECK_OK(p);
        int slot;
        for (uint64_t item = 10; item < 10 + ITEMS; item++) {
            nnclr_next next = nnclr_pipeline_next(p, &slot, &e);
            if (item == 123) {
                CHECK(next == NNCLR_NEXT_FAILED);
                CHECK_TEXT(e.message, "item 123 is bad");
            } else {
                CHECK(next == NNCLR_NEXT_ITEM && l.slots[slot] == item * item);
            }
            nnclr_pipeline_release(p);
        }
        CHECK_OK(nnclr_pipeline_next(p, &slot, &e) == NNCLR_NEXT_END);
        nnclr_pipeline_stop(p);
    }
}

TEST(producers_stay_within_the_depth) {
    line l = {{0}, 0, 0};
    nnclr_pipeline *p = nnclr_pipeline_start(2, DEPTH, 0, 100, square, &l, &e);
    CHECK(p);
    int slot;
    CHECK_OK(nnclr_pipeline_next(p, &slot, &e) == NNCLR_NEXT_ITEM);
    usleep(20000);
    CHECK(l.made <= DEPTH); /* the taken slot is not refilled before its release */
    CHECK(l.slots[slot] == 0);
    nnclr_pipeline_stop(p); /* with items taken, ready and unmade */
}

TEST(a_pipeline_is_not_pinned_by_a_pool) {
    nnclr_pool *pool = nnclr_pool_create(2, &e);
    line l = {{0}, 0, 0};
    nnclr_pipeline *p = nnclr_pipeline_start(2, DEPTH, 0, 8, square, &l, &e);
    CHECK(pool && p);
    int slot;
    for (int i = 0; i < 8; i++) {
        CHECK_OK(nnclr_pipeline_next(p, &slot, &e) == NNCLR_NEXT_ITEM);
        nnclr_pipeline_release(p);
    }
    nnclr_pipeline_stop(p);
    CHECK(!l.pinned);
    nnclr_pool_free(pool);
}

enum { TAKERS = 8, ROUNDS = 5 };

typedef struct taker {
    pthread_t thread;
    atomic_size_t *held, *most;
    size_t bytes;
} taker;

static void *take_and_give(void *argument) {
    taker *t = argument;
    for (int i = 0; i < ROUNDS; i++) {
        size_t taken = nnclr_large_memory_take(t->bytes);
        size_t held = atomic_fetch_add(t->held, taken) + taken, most = *t->most;
        while (held > most && !atomic_compare_exchange_weak(t->most, &most, held))
            ;
        usleep(500);
        atomic_fetch_sub(t->held, taken);
        nnclr_large_memory_give(taken);
    }
    return NULL;
}

/* The most that takers of that much held at once. */
static size_t most_held(size_t bytes) {
    taker takers[TAKERS];
    atomic_size_t held = 0, most = 0;
    for (int i = 0; i < TAKERS; i++) {
        takers[i] = (taker){.held = &held, .most = &most, .bytes = bytes};
        CHECK(pthread_create(&takers[i].thread, NULL, take_and_give, &takers[i]) == 0);
    }
    for (int i = 0; i < TAKERS; i++)
        CHECK(pthread_join(takers[i].thread, NULL) == 0);
    CHECK(held == 0);
    return most;
}

TEST(large_memory_is_shared) {
    const size_t giga = (size_t)1 << 30, all = NNCLR_LARGE_MEMORY_AT_ONCE;
    CHECK(nnclr_large_memory_take(NNCLR_LARGE_MEMORY) == 0); /* not counted */
    size_t most = most_held(giga / 2);
    CHECK_SAYS(most > giga / 2 && most <= all, "%zu bytes were held at once", most);
    CHECK(most_held(all) == all);
    CHECK(most_held(3 * giga) == 3 * giga); /* more than there is: one after the other */
}

int main(void) {
    return check_all();
}
