#include "base/large_memory.h"

#include <pthread.h>

/* Memory is the process's, so the count is, too. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t given = PTHREAD_COND_INITIALIZER;
static size_t held;

static size_t free_bytes(void) {
    return held < NNCLR_LARGE_MEMORY_AT_ONCE ? NNCLR_LARGE_MEMORY_AT_ONCE - held : 0;
}

size_t nnclr_large_memory_take(size_t bytes) {
    if (bytes <= NNCLR_LARGE_MEMORY)
        return 0;
    pthread_mutex_lock(&lock);
    while (held > 0 && bytes > free_bytes())
        pthread_cond_wait(&given, &lock);
    held += bytes;
    pthread_mutex_unlock(&lock);
    return bytes;
}

void nnclr_large_memory_give(size_t taken) {
    if (taken == 0)
        return;
    pthread_mutex_lock(&lock);
    held -= taken;
    pthread_cond_broadcast(&given);
    pthread_mutex_unlock(&lock);
}
