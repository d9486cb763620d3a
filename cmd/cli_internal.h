/* What the files of cmd/ that are not programs share among themselves. */
#ifndef NNCLR_CMD_CLI_INTERNAL_H
#define NNCLR_CMD_CLI_INTERNAL_H

#include "cmd/cli.h"

/* cmd/ranks.c: who is there, from the environment; then the meeting. */
void nnclr_cli_read_launch(nnclr_cli *cli);
void nnclr_cli_connect(nnclr_cli *cli);
/* Before an error is said: whether the other ranks have it too, or one that goes before it. */
void nnclr_cli_settle(nnclr_cli *cli, nnclr_error *e);
/* Ends all ranks. */
_Noreturn void nnclr_cli_exit(nnclr_cli *cli, int code, bool failed);

void nnclr_cli_clear_progress(nnclr_cli *cli);
/* Ends the process if two files of the command line are one that must not be. */
void nnclr_cli_check_files(nnclr_cli *cli);
/* Whether standard error is a terminal on which a line can be rewritten. */
bool nnclr_cli_shows_progress(void);
#define NNCLR_CLEAR_LINE "\r\033[K"
/* After a write to stdout has failed with errno set. */
_Noreturn void nnclr_cli_die_of_stdout(nnclr_cli *cli);

enum { NNCLR_OPTION_NUMBERS = 8 }; /* side by side, at most */

/* The options that every program has; defined with their targets in cmd/cli.c. */
enum { NNCLR_COMMON_OPTIONS = 5 };
extern const nnclr_option nnclr_common_options[NNCLR_COMMON_OPTIONS];

/* A walk through a command line, which sets nothing. */
typedef enum nnclr_word {
    NNCLR_WORD_NONE,    /* the end */
    NNCLR_WORD_OPERAND, /* in `value` */
    NNCLR_WORD_OPTION,
    NNCLR_WORD_WRONG /* `fault` is the sentence */
} nnclr_word;

typedef struct nnclr_words {
    const nnclr_option *options;
    size_t option_count;
    int argc, next;
    char **argv;
    bool operands_only;
    char *letters;              /* what is left of "-qj2"; NULL: nothing */
    const nnclr_option *option; /* that was met, under whatever name */
    const nnclr_option *old;    /* the row of the old name that was used; NULL: none */
    char *value;                /* NULL: a flag */
    char shown[160], fault[500];
} nnclr_words;

nnclr_words nnclr_words_of(const nnclr_option *options, size_t option_count, int argc, char **argv);
nnclr_word nnclr_words_next(nnclr_words *words);

/* Parses the value into the option's target; ends the process if it is wrong. `shown` is the option
 * as messages name it, "--size" or "-o". */
void nnclr_option_set(nnclr_cli *cli, const nnclr_option *option, const char *shown,
                      const char *value);
/* Ends the process if the ending of `path` promises a kind other than `output`
 * (NNCLR_MAKES_...). */
void nnclr_check_ending(nnclr_cli *cli, unsigned output, const char *shown, const char *path);
/* The range of a number; infinite if the option states none. */
void nnclr_option_bounds(const nnclr_option *option, double *low, double *high);
/* "a, b or c" */
void nnclr_option_join(const nnclr_option *option, const char *between, const char *last,
                       char *text, size_t size);
void nnclr_cli_print_help(const nnclr_program *program);

#endif
