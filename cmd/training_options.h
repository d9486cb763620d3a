/* The options that the programs that train have in common. */
#ifndef NNCLR_CMD_TRAINING_OPTIONS_H
#define NNCLR_CMD_TRAINING_OPTIONS_H

#include "cmd/cli.h"
#include "cmd/shared_options.h"
#include "train/config.h"
#include "train/config_text.h"

typedef struct training_settings {
    const char *folder; /* of the run; NULL: not given */
    const char *prefix; /* of the weights to start from; NULL: not given */
    bool resume, force, dry_run, json;
    int engine, precision;
    int64_t keep, log_every, cache;
    nnclr_duration save_every, max_time; /* max_time: 0 is no limit */
    nnclr_config config;
} training_settings;

/* All but the configuration, which is zeros. */
training_settings training_defaults(void);

/* Rows of an option table (cmd/option_table.h) whose targets are in training_settings *s. */
#define TRAINING_FOLDER_OPTIONS(s)                                                                 \
    SHORT('o', OUTPUT, "output", &(s)->folder, "RUN", NNCLR_MAKES_RUN, "the folder of the run"),   \
        RENAMED("out", "output"), FLAG("resume", &(s)->resume, "continue from RUN's checkpoint"),  \
        FLAG("force", &(s)->force,                                                                 \
             "replace the run that RUN holds (removes only files that runs write)")
#define TRAINING_RUN_OPTIONS(s)                                                                    \
    ENGINE_OPTIONS(&(s)->engine, &(s)->precision),                                                 \
        CUSTOM("save-every", &(s)->save_every, "TIME",                                             \
               "write a checkpoint this often; also as 500steps or 1epoch",                        \
               training_parse_duration, training_show_duration),                                   \
        INTEGER("keep", &(s)->keep, "N", "how many of the newest checkpoints to keep", 1, 1e9),    \
        CUSTOM("max-time", &(s)->max_time, "TIME",                                                 \
               "stop after this long, with a checkpoint and exit code 75", training_parse_time,    \
               training_show_duration),                                                            \
        INTEGER("log-every", &(s)->log_every, "N",                                                 \
                "steps per line of metrics.jsonl; by default 1, and 10 in a run of 2000 steps or " \
                "more",                                                                            \
                1, 1e15)

#define TRAINING_NOTES                                                                             \
    "Several SHARDs form one set, numbered consecutively in the order given; - is standard "       \
    "input. Folders, tars and pictures given in their place are packed on the way.\n"              \
    "SIGUSR1 writes a checkpoint; SIGTERM, SIGHUP and SIGINT write one and stop."

/* The target is a nnclr_duration. A warm-up is in epochs or steps, a time in seconds; 0 is shown as
 * nothing. */
bool training_parse_duration(const char *text, void *target, nnclr_error *e);
bool training_parse_time(const char *text, void *target, nnclr_error *e);
bool training_parse_warmup(const char *text, void *target, nnclr_error *e);
void training_show_duration(const void *target, char *text, size_t size);

/* Warm-up into a configuration. */
void training_take_warmup(nnclr_config *config, const nnclr_duration *warmup);

/* End the process on wrong usage: no folder although one is needed; with --resume, an option that
 * is not in `allowed`, which NULL ends. */
void training_check_folder(nnclr_cli *cli, const training_settings *s);
void training_check_resume(nnclr_cli *cli, const char *const *allowed);

#endif
