/* How far a long piece of work is: told by whoever does it to whoever asked for it, who may end it.
 */
#ifndef NNCLR_BASE_PROGRESS_H
#define NNCLR_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct nnclr_progress {
    /* `done` of `total` (0: unknown) `unit`, a constant such as "rows"; `note` is what else there
     * is to say, or NULL; both are ASCII. False: the work should end. Called from the thread that
     * asked for the work, several times a second if the work allows it. */
    bool (*tell)(void *context, const char *unit, int64_t done, int64_t total, const char *note);
    void *context;
} nnclr_progress;

/* Tells it; a `progress` of NULL, or without `tell`, listens to nothing. False, with
 * NNCLR_ERROR_STOPPED, if the work should end. */
bool nnclr_progress_tell(const nnclr_progress *progress, const char *unit, int64_t done,
                         int64_t total, const char *note, nnclr_error *e);

#endif
