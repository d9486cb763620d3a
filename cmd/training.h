/* What the programs that train have in common: values of their options, when to save and stop, and
 * the last word. */
#ifndef NNCLR_CMD_TRAINING_H
#define NNCLR_CMD_TRAINING_H

#include "cmd/cli.h"
#include "train/config_text.h"
#include "train/trainer.h"

/* For option tables; the target is a nnclr_duration. A warm-up is in epochs or steps, a time in
 * seconds; shown is nothing for 0. */
bool training_parse_duration(const char *text, void *target, nnclr_error *e);
bool training_parse_time(const char *text, void *target, nnclr_error *e);
bool training_parse_warmup(const char *text, void *target, nnclr_error *e);
void training_show_duration(const void *target, char *text, size_t size);

/* Opens the pool and the engine of these options, or those that a run was made with. The caller
 * closes both, the engine first, also after a failure. */
bool training_open_engine(const nnclr_cli *cli, int choice, int precision, nnclr_pool **pool,
                          nnclr_engine *engine, nnclr_error *e);
bool training_reopen_engine(const nnclr_cli *cli, const nnclr_checkpoint_info *info,
                            nnclr_pool **pool, nnclr_engine *engine, nnclr_error *e);

/* After the signals that nnclr_cli_catch caught. */
nnclr_request training_should_stop(void *unused);
bool training_is_told_to_stop(void *unused);
/* When checkpoints are due. */
void training_save_every(const nnclr_duration *every, const nnclr_plan *plan,
                         nnclr_trainer_options *options);
/* Says how the run of that folder ended; the exit code. */
int training_conclude(nnclr_cli *cli, const char *folder, const nnclr_trainer_result *result);
/* End the program: where the run was finished before, or with that code. */
_Noreturn void training_end_finished(nnclr_cli *cli, const char *folder, int64_t steps);
_Noreturn void training_end(nnclr_cli *cli, int code);

#endif
