/* What run_folder.c, run_metrics.c and run_names.c share. */
#ifndef NNCLR_IO_RUN_PARTS_H
#define NNCLR_IO_RUN_PARTS_H

#include "io/run_folder.h"

struct nnclr_run {
    char *folder;
    int made;                         /* folders that had to be made for it */
    bool locked, new_lock;            /* the lock is held; its file was not there before */
    bool staged, begun;               /* a new run that has not begun; one that has, or went on */
    nnclr_buffer checkpoint, metrics; /* current paths */
    int lock, metrics_fd;
};

/* ---- run_names.c ---- */

#define NNCLR_RUN_CHECKPOINT  "checkpoint.safetensors.zst"
#define NNCLR_RUN_METRICS     "metrics.jsonl"
#define NNCLR_RUN_DESCRIPTION "run.json"
#define NNCLR_RUN_DONE        "DONE"
/* A numbered checkpoint is PREFIX, the step in four digits or more, SUFFIX. */
#define NNCLR_RUN_PREFIX "checkpoint-"
#define NNCLR_RUN_SUFFIX ".safetensors.zst"
/* The folder of a run that begins, until its first checkpoint is whole. */
#define NNCLR_RUN_STAGE ".next"
/* The same from then on, until all of it is in its place. */
#define NNCLR_RUN_BEGUN ".begun"

/* FOLDER/NAME into `out`, emptied first. */
bool nnclr_run_path(const nnclr_run *run, const char *name, nnclr_buffer *out, nnclr_error *e);

/* Is it the name of a file of a run? */
bool nnclr_run_is_own(const char *name);
/* The step of a numbered checkpoint; -1: another name. */
int64_t nnclr_run_numbered_step(const char *name);
/* Does a writer of such a file that was killed leave this name behind? */
bool nnclr_run_is_temporary(const char *name);

typedef bool (*nnclr_run_see)(nnclr_run *run, const char *name, void *context, nnclr_error *e);
/* Calls `see` for every entry of the folder until it returns false. */
bool nnclr_run_each_name(const nnclr_run *run, nnclr_run_see see, void *context, nnclr_error *e);
/* The same for the folder `below` it: one that is not there has no entries, and a link is not
 * followed to it. */
bool nnclr_run_each_below(const nnclr_run *run, const char *below, nnclr_run_see see, void *context,
                          nnclr_error *e);

bool nnclr_run_has(const nnclr_run *run, const char *name);
/* A name that is not there is removed already. */
bool nnclr_run_remove(nnclr_run *run, const char *name, nnclr_error *e);

#endif
