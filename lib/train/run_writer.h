/* What a run leaves in its folder: lines of metrics and of probes, checkpoints, and those that are
 * kept. A trainer without a writer only trains: every function here takes NULL, and then does
 * nothing. One thread uses a writer.
 *
 * A failure that training survives is told, kept in the writer, and costs no more than what could
 * not be written. */
#ifndef NNCLR_TRAIN_RUN_WRITER_H
#define NNCLR_TRAIN_RUN_WRITER_H

#include "io/run_folder.h"
#include "train/checkpoint.h"
#include "train/metrics_line.h"

/* What a checkpoint is made of, as training changes it; info->step are the steps done. */
typedef struct nnclr_run_state {
    const nnclr_checkpoint_info *info;
    const nnclr_parameters *parameters;
    const nnclr_support_set *support; /* NULL: there is none */
} nnclr_run_state;

typedef struct nnclr_run_writer {
    /* The caller's, before it begins: */
    nnclr_run *run;
    const char *program; /* name and version */
    /* A checkpoint is due after this many steps, or seconds; 0: not by that measure. */
    int64_t save_steps;
    double save_seconds;
    int64_t keep; /* how many of the newest checkpoints stay, including the current one */
    void (*on_message)(void *context, const char *text); /* something went wrong; NULL: unheard */
    void *context;

    /* What came of it: */
    int64_t saved_step;  /* of the checkpoint on disk */
    bool save_failed;    /* it is older than the last step */
    bool metrics_failed; /* lines of metrics.jsonl are missing */
    bool keep_failed;    /* the newest numbered checkpoint is missing, or there is one too many */
    nnclr_error failure; /* the last of these */

    /* Its own: */
    nnclr_run_state state;
    double saved, logged; /* nnclr_now of the last checkpoint and line */
    int64_t logged_step;
    nnclr_buffer line;
} nnclr_run_writer;

/* Begins the lines after those up to state->info->step, and if the run is not `resumed`, writes
 * its checkpoint of that step, so that a run killed before its first one is due can be resumed
 * too. What `state` points to must outlive the run. */
bool nnclr_run_writer_begin(nnclr_run_writer *w, const nnclr_run_state *state, bool resumed,
                            nnclr_error *e);
void nnclr_run_writer_free(nnclr_run_writer *w); /* its memory; the run stays open */

/* The line of a step, with images_per_s since the line before. */
void nnclr_run_writer_line(nnclr_run_writer *w, nnclr_metrics_line *line);
/* Whether the metrics hold a line of such a probe after that step. */
bool nnclr_run_writer_has_probe(const nnclr_run_writer *w, const nnclr_probe_kind *kind,
                                int64_t step);
/* The line of a probe, or that it is missing because of a `failure`; it took `seconds`, which do
 * not count as training. */
void nnclr_run_writer_probe(nnclr_run_writer *w, const nnclr_probe_kind *kind,
                            const nnclr_probe_line *line, const nnclr_error *failure,
                            double seconds);

/* Whether a checkpoint is due. */
bool nnclr_run_writer_is_due(const nnclr_run_writer *w);
/* Writes one. One that cannot be written is told, unless it is the `last`, and is due again. False:
 * there is nothing left that is worth saving. */
bool nnclr_run_writer_save(nnclr_run_writer *w, bool last, nnclr_error *e);
/* Saves what was learnt before the failure *e, if it has not been, and adds to its message what
 * came of that. */
void nnclr_run_writer_rescue(nnclr_run_writer *w, nnclr_error *e);
/* Marks a run as finished whose last checkpoint is written. */
bool nnclr_run_writer_finish(const nnclr_run_writer *w, nnclr_error *e);

#endif
