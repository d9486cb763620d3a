/* How much memory this process may still take. */
#ifndef NNCLR_BASE_AVAILABLE_MEMORY_H
#define NNCLR_BASE_AVAILABLE_MEMORY_H

#include <stddef.h>

/* Bytes that the system, and the control groups this process is in, can still give: pages of files
 * that can be dropped count as free. SIZE_MAX if nothing says. */
size_t nnclr_memory_available(void);

/* The same for the control groups alone: `membership` is /proc/self/cgroup, `root` /sys/fs/cgroup.
 * Both versions, each group up to the root. */
size_t nnclr_memory_available_in_cgroups(const char *membership, const char *root);

/* Bytes that this process holds in memory; 0 if nothing says. */
size_t nnclr_memory_held(void);

#endif
