/* How long work says how far it is, and how it is asked to end. */
#ifndef NNCLR_BASE_PROGRESS_H
#define NNCLR_BASE_PROGRESS_H

#include <stdint.h>

#include "base/error.h"

/* The caller's, in the options of the work. Called from the thread that called the work, several
 * times a second or more. */
typedef struct nnclr_progress {
    /* `done` of `total` units of `what`, a plural; a new word begins a new piece of work. False:
     * end. */
    bool (*tell)(void *context, const char *what, uint64_t done, uint64_t total);
    void *context;
} nnclr_progress;

/* False, with NNCLR_ERROR_STOPPED, where the work is to end. NULL: nobody watches. */
static inline bool nnclr_tell(const nnclr_progress *progress, const char *what, uint64_t done,
                              uint64_t total, nnclr_error *e) {
    return !progress || progress->tell(progress->context, what, done, total) ||
           nnclr_fail(e, NNCLR_ERROR_STOPPED, "stopped");
}

#endif
