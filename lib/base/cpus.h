/* What the pool and the pipeline share: the CPUs of this process, which are its affinity mask as it
 * was before any thread of ours was pinned, and the message about a thread that cannot be
 * started. */
#ifndef NNCLR_BASE_CPUS_H
#define NNCLR_BASE_CPUS_H

#include <sched.h>
#include <stdbool.h>

#include "base/error.h"

/* The mask at the first call in this process, which threads.c makes before it pins anything. */
void nnclr_cpu_mask(cpu_set_t *mask);

/* Lets the calling thread run on any CPU of that mask. */
void nnclr_cpu_unpin(void);

/* Thread `number` of `threads` could not be started, as that errno says; returns false. */
bool nnclr_thread_failed(int number, int threads, int error, nnclr_error *e);

#endif
