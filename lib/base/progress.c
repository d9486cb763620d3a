#include "base/progress.h"

#include <stddef.h>

bool nnclr_progress_tell(const nnclr_progress *progress, const char *unit, int64_t done,
                         int64_t total, const char *note, nnclr_error *e) {
    return !progress || !progress->tell ||
           progress->tell(progress->context, unit, done, total, note) ||
           nnclr_fail(e, NNCLR_ERROR_STOPPED, "stopped");
}
