/* What the files of cmd/ that are no program share among themselves. */
#ifndef NNCLR_CMD_CLI_INTERNAL_H
#define NNCLR_CMD_CLI_INTERNAL_H

#include "cmd/cli.h"

void nnclr_cli_clear_progress(nnclr_cli *cli);
/* After a write to stdout has failed, errno its reason. */
_Noreturn void nnclr_cli_die_of_stdout(nnclr_cli *cli);

/* The range of a number; infinite where the option states none. */
void nnclr_option_bounds(const nnclr_option *option, double *low, double *high);
/* "a, b or c" */
void nnclr_option_join(const nnclr_option *option, const char *between, const char *last,
                       char *text, size_t size);
void nnclr_cli_print_help(const nnclr_program *program, const nnclr_option *common,
                          size_t common_count);

#endif
