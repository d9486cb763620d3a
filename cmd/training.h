/* A run of training from its data to its last message, as far as the programs that train have it in
 * common: what they do before, after and during tests is theirs. */
#ifndef NNCLR_CMD_TRAINING_H
#define NNCLR_CMD_TRAINING_H

#include "cmd/training_options.h"
#include "eval/probe.h"
#include "train/trainer.h"

typedef struct training_session training_session;

/* What a program does in its own way. This session is the first member of the program's own. */
typedef struct training_program {
    const char *name; /* with the version, for the files of the run */
    /* Everything but the trainer, for a new run or for one that is resumed. */
    bool (*prepare_new)(training_session *n, nnclr_error *e);
    bool (*prepare_resumed)(training_session *n, nnclr_error *e);
    /* The trainer, made by training_make_trainer, and what needs it. */
    bool (*make_trainer)(training_session *n, nnclr_error *e);
    /* After the last step of a run, or when it was stopped; NULL: nothing. */
    bool (*report)(training_session *n, const nnclr_trainer_result *result, nnclr_error *e);
    void (*close)(training_session *n); /* what runs the trainer's network: closed before it */
    bool finetunes;
    const char *other; /* the program whose runs this one does not resume */
} training_program;

struct training_session {
    const training_program *program;
    nnclr_cli *cli;
    training_settings *settings;
    const char *init, *test; /* files that run.json names; NULL: none */
    char **recorded;         /* files of the data that run.json names */
    const char *const *files;
    size_t file_count;
    nnclr_training_data data;
    nnclr_tensor_reader *initial; /* the file `init`, open */
    nnclr_run *run;
    nnclr_run_writer writer;
    nnclr_pool *pool;
    nnclr_engine engine;
    nnclr_tensor_reader *checkpoint; /* NULL: a new run */
    nnclr_checkpoint_info info;
    nnclr_plan plan;
    nnclr_trainer *trainer;
    bool last_step; /* is done */
};

/* The operands, or if there are none, the files that the run in the folder was made from. */
bool training_name_files(training_session *n, bool views, nnclr_error *e);
/* Engine and, except for a dry run, folder of a new run; nothing has been touched on disk before. A
 * run that does not fit into memory is refused. */
bool training_open_new(training_session *n, nnclr_error *e);
/* The checkpoint of a run that is resumed, and its configuration. Ends the process if the run is
 * finished. */
bool training_open_resumed(training_session *n, nnclr_error *e);
/* The engine that the run was made with. */
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
