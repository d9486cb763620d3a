/* The lines of a metrics.jsonl, one after another, also while a run still writes them. */
#ifndef NNCLR_EVAL_METRICS_READER_H
#define NNCLR_EVAL_METRICS_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "io/json.h"

typedef struct nnclr_metrics_reader nnclr_metrics_reader;

nnclr_metrics_reader *nnclr_metrics_open(const char *path, nnclr_error *e); /* a regular file */
void nnclr_metrics_close(nnclr_metrics_reader *reader);                     /* NULL is fine */

/* The next line, an object that the caller frees, with the step that it names; NULL at the end of
 * the file so far: what is appended later is found by the next call, which reads nothing twice. A
 * line that is not a JSON object with a step that a run can have, or is longer than a MiB, is left
 * out and counted. A last line without a newline is still being written: it is not there yet. */
bool nnclr_metrics_next(nnclr_metrics_reader *reader, nnclr_json **line, double *step,
                        nnclr_error *e);
int64_t nnclr_metrics_lines(const nnclr_metrics_reader *reader);   /* whole ones so far */
int64_t nnclr_metrics_damaged(const nnclr_metrics_reader *reader); /* those that were left out */

/* Whether the path names another file by now, or the file lost bytes that were read: a run that was
 * begun anew, or resumed, has other lines. */
bool nnclr_metrics_replaced(const nnclr_metrics_reader *reader);

#endif
