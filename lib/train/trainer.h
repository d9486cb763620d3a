/* The training loop: batches from the loader, steps of the objective, the optimiser; what it leaves
 * behind is a writer's. Prints nothing: everything to say goes to callbacks, which are
 * called from the thread that runs the trainer.
 *
 * Of several ranks each runs a trainer, for an equal share of every batch; all have the same
 * options but for threads and what is said and written, and call the same functions here. Rank 0
 * alone uses its writer, tells its callbacks and makes the probe; the others need none of these.
 * Whether to stop is asked of all, and one that says so stops all. If a call fails and the
 * communicator is `agreed`, every rank has the same error; otherwise this one has it alone. */
#ifndef NNCLR_TRAIN_TRAINER_H
#define NNCLR_TRAIN_TRAINER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"
#include "train/initial_state.h"
#include "train/run_writer.h"
#include "train/schedule.h"
#include "train/training_data.h"

typedef enum nnclr_request {
    NNCLR_GO_ON,
    NNCLR_SAVE_NOW, /* write a checkpoint, then continue */
    NNCLR_STOP_NOW  /* write a checkpoint, then return */
} nnclr_request;

typedef enum nnclr_probe_end {
    NNCLR_PROBE_DONE,
    NNCLR_PROBE_INTERRUPTED, /* by a request to stop: made when the run is resumed */
    NNCLR_PROBE_FAILED
} nnclr_probe_end;

typedef struct nnclr_trainer_report {
    int64_t step, total; /* steps done */
    double loss;
    double accuracy; /* at the last step that was measured: nn_acc, in fine-tuning batch_acc; NAN:
                        there are no labels, or no such step yet */
} nnclr_trainer_report;

typedef struct nnclr_trainer_callbacks {
    void *context;
    void (*on_step)(void *context, const nnclr_trainer_report *report);
    void (*on_warning)(void *context, const char *text); /* the run may be worth little: watch.h */
    nnclr_request (*should_stop)(
        void *context); /* asked after each step; SAVE_NOW once per request */
    /* Judges the network as it is now, for a line of the metrics that already holds step and epoch:
     * before the first step if its kind says so, after each `probe_every` epochs and at the end. It
     * may read the trainer's parameters, but changes nothing. */
    const nnclr_probe_kind *probe_kind; /* NULL: no probe */
    nnclr_probe_end (*probe)(void *context, nnclr_probe_line *line, nnclr_error *e);
} nnclr_trainer_callbacks;

typedef struct nnclr_trainer_options {
    const nnclr_config *config;
    const nnclr_training_data *data;
    nnclr_tensor_reader *init; /* weights to start a new run from; NULL: random ones */
    const char *init_prefix;   /* of their names; NULL: the only one there is */
    nnclr_engine *engine;
    nnclr_communicator *communicator; /* NULL: there is one rank */
    nnclr_run_writer *writer;         /* NULL: nothing is written */
    int threads;                      /* of the loader */
    int64_t
        log_every; /* steps per line of metrics; 0: 1 in a run of fewer than 2,000, otherwise 10 */
    double max_seconds;  /* stop after this; 0: never */
    int64_t probe_every; /* epochs; 0: every one */
    nnclr_trainer_callbacks callbacks;
} nnclr_trainer_options;

typedef struct nnclr_trainer nnclr_trainer;

/* `options` itself is copied; everything it points to stays the caller's and must outlive the
 * trainer. `resume` (NULL: a new run) is the run's checkpoint with its info: weights, momentum,
 * support set and step come from it. Nothing is written yet: a new run's checkpoint of step 0 comes
 * with nnclr_trainer_run. */
nnclr_trainer *nnclr_trainer_create(const nnclr_trainer_options *options,
                                    nnclr_tensor_reader *resume, const nnclr_checkpoint_info *info,
                                    nnclr_error *e);
void nnclr_trainer_free(nnclr_trainer *trainer); /* NULL is fine */

/* What options.init held for the run. */
nnclr_initial_state nnclr_trainer_initial_state(const nnclr_trainer *trainer);
/* The trainer's, for a probe. */
nnclr_parameters *nnclr_trainer_parameters(nnclr_trainer *trainer);

typedef struct nnclr_trainer_result {
    int64_t step, total;
    bool finished; /* otherwise stopped early */
} nnclr_trainer_result;

/* Trains to the end or to a stop, and has the last checkpoint written and, when finished, DONE.
 * False if training cannot continue: a record that cannot be read or decoded (a checkpoint is
 * written first), a loss or weights that are not finite (the last checkpoint is kept), a probe that
 * fails before the first step. A checkpoint that cannot be written is reported, and tried again
 * when the next is due; so is a probe that fails later. */
bool nnclr_trainer_run(nnclr_trainer *trainer, nnclr_trainer_result *result, nnclr_error *e);

/* ---- before anything is spent ---- */

/* Appends the memory plan of the pass over the whole batch, or of the pass of a micro-batch through
 * the backbone, which may be empty: nnclr_execution_print_plan. */
bool nnclr_trainer_print_plan(const nnclr_trainer *trainer, bool backbone, nnclr_buffer *out,
                              nnclr_error *e);

typedef struct nnclr_trainer_speed {
    int64_t steps;  /* how many were measured */
    double seconds; /* per step, the mean */
    double waiting; /* the share of the time that the network waited for views */
} nnclr_trainer_speed;

/* Takes real steps: first some that are not measured, then at least one and at most 20, until
 * `limit` seconds have passed; if the first step takes longer than that, it is the measurement.
 * Writes nothing. After this the trainer can only be freed. */
bool nnclr_trainer_rehearse(nnclr_trainer *trainer, double limit, nnclr_trainer_speed *speed,
                            nnclr_error *e);

#endif
