/* A run of training, from its data to its last word, as the programs that train have it in common:
 * what they do before, after and at a look is theirs. */
#ifndef NNCLR_CMD_TRAINING_H
#define NNCLR_CMD_TRAINING_H

#include "cmd/training_options.h"
#include "eval/probe.h"
#include "train/trainer.h"

typedef struct training_session training_session;

/* What a program does in its own way. The session is the first member of its own. */
typedef struct training_program {
    const char *name; /* with the version, for the files of the run */
    /* Everything but the trainer, of a new run or of one that goes on. */
    bool (*prepare_new)(training_session *n, nnclr_error *e);
    bool (*prepare_resumed)(training_session *n, nnclr_error *e);
    /* The trainer, by training_make_trainer, and what needs it. */
    bool (*make_trainer)(training_session *n, nnclr_error *e);
    /* After the last step of a run, or where it was stopped; NULL: nothing. */
    bool (*report)(training_session *n, const nnclr_trainer_result *result, nnclr_error *e);
    void (*close)(training_session *n); /* what runs the trainer's network: goes before it */
    bool finetunes;
    const char *other; /* the program whose runs this one does not go on with */
} training_program;

struct training_session {
    const training_program *program;
    nnclr_cli *cli;
    training_settings *settings;
    const char *init, *test; /* files that run.json names; NULL: none */
    char **recorded;         /* files of the data that it names */
    const char *const *files;
    size_t file_count;
    nnclr_training_data data;
    nnclr_tensor_reader *initial; /* the file `init`, open */
    nnclr_run *run;
    nnclr_pool *pool;
    nnclr_engine engine;
    nnclr_tensor_reader *checkpoint; /* NULL: a new run */
    nnclr_checkpoint_info info;
    nnclr_plan plan;
    nnclr_trainer *trainer;
};

/* The operands, or where there are none the files that the run in the folder was made of. */
bool training_name_files(training_session *n, bool views, nnclr_error *e);
/* Engine and, but for a dry run, folder of a new run; nothing was touched on disk before. A run
 * that memory does not hold is refused. */
bool training_open_new(training_session *n, nnclr_error *e);
/* The checkpoint of a run that goes on, and its configuration. Ends the process where the run is
 * finished. */
bool training_open_resumed(training_session *n, nnclr_error *e);
/* The engine that it was made with. */
bool training_reopen_engine(training_session *n, nnclr_error *e);
/* Plan and trainer. The callbacks' context is the session; those for steps, messages and requests
 * to stop are set here. */
bool training_make_trainer(training_session *n, nnclr_trainer_callbacks callbacks,
                           int64_t probe_every, nnclr_error *e);

/* A whole run, or a rehearsal of it, whose `probe` make_trainer may have opened; the process ends.
 */
_Noreturn void training_run(training_session *n);
_Noreturn void training_rehearse(training_session *n, nnclr_probe *const *probe);

#endif
