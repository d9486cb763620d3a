/* A RUN: the folder that a pre-training run writes to and is resumed from, locked while in use.
 *
 *   checkpoint.safetensors.zst       the newest, replaced atomically
 *   checkpoint-NNNN.safetensors.zst  older ones that --keep asks for; NNNN: step, 4 digits or more
 *   metrics.jsonl                    a line for each logged step, and each probe
 *   run.json                         what the run is: options, version, engine, data
 *   DONE                             empty; there when the run is finished
 *   .lock                            process number of whoever uses the folder
 *   .next/ .begun/                   a run that begins: nnclr_run_begin
 *
 * A run is used by one thread at a time. */
#ifndef NNCLR_IO_RUN_FOLDER_H
#define NNCLR_IO_RUN_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strings.h"

typedef struct nnclr_run nnclr_run;

typedef enum nnclr_run_mode {
    NNCLR_RUN_NEW,    /* refused if the folder already holds a run */
    NNCLR_RUN_FORCE,  /* an older run may be there: nnclr_run_begin removes it */
    NNCLR_RUN_RESUME, /* refused if there is no checkpoint */
} nnclr_run_mode;

/* Makes the folder if needed and takes its lock (an advisory lock on .lock, so that it ends with
 * the process, kill -9 included). A folder locked by another process is refused with its process
 * number, and so is one in which .lock or a file of a run is not a regular file. What a killed run
 * left half done is put right. */
nnclr_run *nnclr_run_open(const char *folder, nnclr_run_mode mode, nnclr_error *e);
/* A new run writes its files beside the older one's. Here they take the place of those, once
 * description, metrics and first checkpoint are there: what fails or is killed before this leaves
 * the older run whole, and after it the new one. Our own files are removed, and nothing else. */
bool nnclr_run_begin(nnclr_run *run, nnclr_error *e);
/* Releases the lock. A run that was not begun leaves no trace. */
void nnclr_run_close(nnclr_run *run); /* NULL is fine */

/* The newest checkpoint of the run in `folder`, for a reader, which takes no lock: its path is put
 * into `out`. A folder that is not a RUN, and a RUN without a checkpoint yet, are input errors. */
bool nnclr_run_find_checkpoint(const char *folder, nnclr_buffer *out, nnclr_error *e);

/* What is opened for a name that may be a RUN's: for a folder its newest checkpoint, as above,
 * otherwise the path itself. */
bool nnclr_run_resolve(const char *path, nnclr_buffer *out, nnclr_error *e);

/* How a run is doing, for a reader. */
typedef enum nnclr_run_life {
    NNCLR_RUN_GOING_ON, /* a process has its lock, with which a run begins and ends */
    NNCLR_RUN_FINISHED, /* DONE exists */
    NNCLR_RUN_STOPPED,  /* neither: it was stopped, or killed, and can be resumed */
} nnclr_run_life;
bool nnclr_run_look(const char *folder, nnclr_run_life *life, nnclr_error *e);

/* Calls `see` with the path of each file in `folder` that a run has, or would replace. A folder
 * that is not there has none. */
void nnclr_run_each_file(const char *folder, void (*see)(void *context, const char *path),
                         void *context);

/* Both are owned by `run` and valid until close; the path changes when a run begins. */
const char *nnclr_run_folder(const nnclr_run *run);
const char *nnclr_run_checkpoint_path(const nnclr_run *run);

bool nnclr_run_done(const nnclr_run *run); /* DONE exists */
bool nnclr_run_mark_done(nnclr_run *run, nnclr_error *e);
/* Replaces run.json atomically. */
bool nnclr_run_write_description(nnclr_run *run, const char *text, size_t size, nnclr_error *e);
/* Names the current checkpoint checkpoint-STEP too (a hard link) and removes all but the newest
 * `keep` of those; keep 1: only the unnumbered one stays. */
bool nnclr_run_keep(nnclr_run *run, int64_t step, int64_t keep, nnclr_error *e);

/* metrics.jsonl: lines are appended with one write each; what cannot be written whole is not
 * written at all. Opening with `after_step` >= 0 first cuts off every line whose "step" is above it
 * or that is not an object, and a last line without newline; -1 empties it. Synced before each
 * checkpoint, it has all lines up to the checkpoint's step even after a power failure. */
bool nnclr_run_metrics_open(nnclr_run *run, int64_t after_step, nnclr_error *e);
/* Whether a line of that step has that key. A file that cannot be read has none. */
bool nnclr_run_metrics_has(const nnclr_run *run, int64_t step, const char *key);
bool nnclr_run_metrics_line(nnclr_run *run, const char *line, size_t size, nnclr_error *e);
bool nnclr_run_metrics_sync(nnclr_run *run, nnclr_error *e);

#endif
