/* The metrics of a run for other programs. Each writes a whole file, or nothing; the lines that
 * count are those of metrics_reader.h. INPUT is a metrics.jsonl, or the RUN that has one. PATH "-"
 * is standard output, and PROGRESS may be NULL. */
#ifndef NNCLR_EVAL_EXPORT_METRICS_H
#define NNCLR_EVAL_EXPORT_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/progress.h"

/* RFC 4180's commas and quotes, with plain newlines: a column for each key that any line has, in
 * the order in which they appear, and a row for each line; null is empty, as is what a line lacks.
 */
bool nnclr_export_csv(const char *input, const char *path, const nnclr_progress *progress,
                      nnclr_error *e);

/* An event file of TensorBoard: a scalar for each finite number of each line but the step itself. A
 * run's metrics do not say when a step was, so that equal runs have equal files: all events have
 * the time 0. */
bool nnclr_export_events(const char *input, const char *path, const nnclr_progress *progress,
                         nnclr_error *e);

/* CRC-32C (Castagnoli), as TensorBoard's records and iSCSI have it. */
uint32_t nnclr_crc32c(const void *bytes, size_t size);

#endif
