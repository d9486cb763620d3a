/* Large pieces of memory that threads need for a moment. What all threads of the process hold at
 * once is bounded, so that it does not grow with their number: a thread waits until there is room.
 * Waiting changes when something is done, never what comes out. */
#ifndef NNCLR_BASE_LARGE_MEMORY_H
#define NNCLR_BASE_LARGE_MEMORY_H

#include <stddef.h>

enum { NNCLR_LARGE_MEMORY = 64 << 20 }; /* bytes; what takes no more is not counted */
#define NNCLR_LARGE_MEMORY_AT_ONCE ((size_t)2 << 30)

/* Waits until `bytes` are free, or nothing is held: more than the bound goes alone. Returns what
 * must be given back, 0 if the bytes are few. A thread that holds some must not ask for more. */
size_t nnclr_large_memory_take(size_t bytes);
void nnclr_large_memory_give(size_t taken); /* 0 is fine */

#endif
