/* The CPUs of this process: its affinity mask as it was before any thread of ours was pinned. */
#ifndef NNCLR_BASE_CPUS_H
#define NNCLR_BASE_CPUS_H

#include <sched.h>

/* The mask at the first call in this process, which threads.c makes before it pins anything. */
void nnclr_cpu_mask(cpu_set_t *mask);

/* Lets the calling thread run on any CPU of that mask. */
void nnclr_cpu_unpin(void);

#endif
