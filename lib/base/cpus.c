#include "base/cpus.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/threads.h"

/* Written once and read-only from then on: a pinned thread could no longer find it out. */
static cpu_set_t process_mask;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void read_mask(void) {
    if (sched_getaffinity(0, sizeof process_mask, &process_mask) != 0) {
        CPU_ZERO(&process_mask);
        CPU_SET(0, &process_mask);
    }
}

void nnclr_cpu_mask(cpu_set_t *mask) {
    pthread_once(&once, read_mask);
    *mask = process_mask;
}

void nnclr_cpu_unpin(void) {
    cpu_set_t mask;
    nnclr_cpu_mask(&mask);
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
    long long cpus = (quota + period - 1) / period;
    return cpus > CPU_SETSIZE ? CPU_SETSIZE : (int)cpus;
}

int nnclr_cpu_count(void) {
    cpu_set_t mask;
    nnclr_cpu_mask(&mask);
    int cpus = CPU_COUNT(&mask), quota = quota_cpus();
    if (quota > 0 && quota < cpus)
        cpus = quota;
    return cpus < 1 ? 1 : cpus;
}

bool nnclr_thread_failed(int number, int threads, int error, nnclr_error *e) {
    return nnclr_fail(e, NNCLR_ERROR_IO, "thread %d of %d cannot be started: %s: %s", number,
                      threads, strerror(error),
                      threads > 1 ? "give a smaller -j"
                                  : "it needs memory (ulimit -v) and a process (ulimit -u)");
}
