/* What all programs share: options, help, messages, progress, signals and exit codes. This is the
 * only place that prints or exits; a program is an option table, checks, a few library calls and a
 * report. */
#ifndef NNCLR_CMD_CLI_H
#define NNCLR_CMD_CLI_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/progress.h"
#include "base/strings.h"
#include "io/json.h"

#define NNCLR_VERSION "0.1.0"

enum {
    NNCLR_EXIT_DONE = 0,
    NNCLR_EXIT_FAILED = 1,
    NNCLR_EXIT_USAGE = 2,
    NNCLR_EXIT_SKIPPED = 3,
    NNCLR_EXIT_STOPPED = 75
};

typedef enum nnclr_option_type {
    NNCLR_OPTION_FLAG,   /* bool *: set true */
    NNCLR_OPTION_INT,    /* int64_t *, in [low, high] */
    NNCLR_OPTION_REAL,   /* double *, in [low, high] */
    NNCLR_OPTION_BYTES,  /* int64_t *, in [low, high], suffixes K M G T */
    NNCLR_OPTION_TEXT,   /* const char ** */
    NNCLR_OPTION_INPUT,  /* the same: a file that is read; "-" is standard input. So are operands */
    NNCLR_OPTION_CHOICE, /* int *: index into choices */
    NNCLR_OPTION_CUSTOM, /* any: parse and show */
    NNCLR_OPTION_RENAMED, /* an option's old name, which still works and says so; not in --help. The
                             new name is in `help`. With choices, only these values are meant: the
                             name may be that of another option by now */
    NNCLR_OPTION_GROUP    /* no option: a heading in --help, its text in `help` */
} nnclr_option_type;

/* What a TEXT option's file is to be, where the program writes it. Its name may have any ending but
 * that of another kind: cmd/output_endings.c. */
enum {
    NNCLR_MAKES_SHARD = 1,
    NNCLR_MAKES_TENSORS = 2,
    NNCLR_MAKES_PICTURE = 4,
    NNCLR_MAKES_PAGE = 8,
    NNCLR_MAKES_TABLE = 16,
    NNCLR_MAKES_EXPORT = 32, /* for other programs */
    NNCLR_MAKES_RUN = 64     /* a folder */
};

typedef struct nnclr_option {
    const char *name; /* long name without dashes */
    char letter;      /* short name or 0 */
    nnclr_option_type type;
    void *target;         /* holds the default when the table is handed over */
    const char *argument; /* "N", "FILE": for help; NULL for a flag, and for a choice whose names
                             are to be listed. What shells complete follows from it, as
                             cmd/completions/options.awk says: FILE, PATH, OUT.png and the operands
                             of `usage` are files, a|b|c is a choice */
    const char *help;     /* one sentence without a full stop; the live default is appended */
    double low, high;     /* both 0: any. A default outside of them means "none" and is not shown */
    const char *const *choices;                                    /* NULL-terminated */
    bool (*parse)(const char *text, void *target, nnclr_error *e); /* CUSTOM */
    void (*show)(const void *target, char *text, size_t size);     /* CUSTOM; "": none */
    unsigned makes; /* TEXT: NNCLR_MAKES_...; 0: it is no output */
} nnclr_option;

typedef struct nnclr_program {
    const char *name;    /* "nnclr-prep" */
    const char *summary; /* one line: what it turns into what */
    const char *usage;   /* "[options] INPUT..."; several lines separated by \n */
    const char *notes;   /* printed below the options; may be NULL */
    const nnclr_option *options;
    size_t option_count;
} nnclr_program;

typedef struct nnclr_cli {
    const nnclr_program *program;
    int verbosity; /* -q: -1, default 0, -v: 1 */
    int threads;   /* -j, default nnclr_cpu_count() */
    bool *given;   /* per option of the table */
    int operand_count;
    char **operands;
    struct {
        double start, last;  /* seconds of nnclr_now: of this work, of the last line */
        int64_t first, done; /* at the start, and by now */
        const char *unit;    /* NULL: none under way */
        char opening[400];   /* to be said before the first line; "": nothing */
        bool shown;          /* a line stands on the terminal */
    } progress;
    int sections; /* of tables that follow one another */
    bool skipped; /* an input was left out: NNCLR_EXIT_DONE becomes NNCLR_EXIT_SKIPPED */
} nnclr_cli;

/* Parses argv with GNU conventions (options and operands mixed, --name=value, unambiguous
 * beginnings of long names, `--` ends options, `-` is an operand). -h -V -q -v -j are added to
 * every program. Handles --help and --version, and ends the process with exit code 2 and one
 * sentence on wrong usage. SIGPIPE is ignored from then on: a write to a closed pipe fails instead,
 * and nnclr_cli_die ends a filter by that signal, quietly. */
void nnclr_cli_begin(nnclr_cli *cli, const nnclr_program *program, int argc, char **argv);
/* Wrong usage where the file is one that the program reads: for names that are made of an option's.
 * Options that name files (INPUT, .makes) are checked against each other in nnclr_cli_begin. */
void nnclr_cli_check_output(nnclr_cli *cli, const char *path);
bool nnclr_cli_given(const nnclr_cli *cli, const char *option);

/* A command line before it is parsed, whose options need no targets yet. */
typedef struct nnclr_command_line {
    const nnclr_option *options;
    size_t option_count;
    int argc;
    char **argv;
} nnclr_command_line;

/* The value that the last --NAME of the command line gives, for presets, which set the defaults
 * that --help shows; NULL: not given. */
const char *nnclr_cli_peek(const nnclr_command_line *line, const char *name);

/* Messages, on stderr: "PROGRAM: text". Warn and error always, note unless -q, detail with -v. A
 * progress line that stands on the terminal is cleared first. */
void nnclr_cli_error(nnclr_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
void nnclr_cli_note(nnclr_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
void nnclr_cli_detail(nnclr_cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Prints e->message and ends the process: exit 2 for usage errors, 1 else; an output that was
 * closed by its reader (NNCLR_ERROR_CLOSED) ends by SIGPIPE, quietly, and what was stopped by a
 * signal (NNCLR_ERROR_STOPPED) by that. */
_Noreturn void nnclr_cli_die(nnclr_cli *cli, const nnclr_error *e);
/* Exit 2 with "PROGRAM: text" and a hint at --help. */
_Noreturn void nnclr_cli_usage(nnclr_cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Flushes and closes stdout, checked, then exits with `code`. */
_Noreturn void nnclr_cli_end(nnclr_cli *cli, int code);

/* Rate, share done and time left: rewritten in place on a terminal, where the line is as long as
 * fits; one plain line a minute elsewhere, nothing with -q. `unit` is a constant, `total` 0 is
 * unknown, `note` may be NULL; both texts are ASCII. Another unit, or less than was done before,
 * begins a new work. */
void nnclr_cli_progress(nnclr_cli *cli, const char *unit, int64_t done, int64_t total,
                        const char *note);
void nnclr_cli_progress_end(nnclr_cli *cli);
/* Says what the work is, as a note; before the first line of progress, so that work which is soon
 * done goes without. */
void nnclr_cli_opening(nnclr_cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same for the library, which is told to stop after a signal that nnclr_cli_catch caught: its
 * NNCLR_ERROR_STOPPED is for nnclr_cli_die. */
nnclr_progress nnclr_cli_watch(nnclr_cli *cli);
/* Of the terminal on a descriptor; else COLUMNS, else 80. */
int nnclr_cli_columns(int fd);
/* "12 s", "3 min 05 s", "7 h 30 min" */
void nnclr_cli_duration(double seconds, char *text, size_t size);

/* Dies of `signal` with its default action, so that a shell or make sees it. */
_Noreturn void nnclr_cli_die_of(int signal);

/* The ending of a name that promises a format, ".tar"; "": it promises none. */
const char *nnclr_output_ending(const char *path);

/* Binary output to a terminal is refused (exit 2). */
void nnclr_cli_refuse_terminal(nnclr_cli *cli, const char *what);

/* Tables on stdout: TSV with a header line, or one JSON array of objects where `json`. Cells are
 * escaped. Columns: all rows put their cells in the header's order. */
typedef struct nnclr_table nnclr_table;
nnclr_table *nnclr_table_begin(nnclr_cli *cli, bool json, const char *const *columns, int count);
void nnclr_table_text(nnclr_table *table, const char *text); /* NULL: empty, null in JSON */
void nnclr_table_int(nnclr_table *table, int64_t value);
void nnclr_table_real(nnclr_table *table, double value,
                      int digits); /* behind the point; not finite: empty, null */
/* How a result was made: an object, which is taken, in JSON as it is, else "key=value key=value",
 * with "yes", "no" and "a,b". */
void nnclr_table_settings(nnclr_table *table, nnclr_json *settings);
void nnclr_table_row_end(nnclr_table *table);
void nnclr_table_end(nnclr_table *table); /* frees; ends the process when stdout fails */
/* A table with a header line and cells by tabs, as the library prints one, of which numbers become
 * numbers. */
void nnclr_table_print(nnclr_cli *cli, bool json, const nnclr_buffer *tsv);
/* Several tables on stdout: before each of them, with NULL behind the last. A blank line stands
 * between them, or, in JSON, each is the member NAME of one object. */
void nnclr_table_section(nnclr_cli *cli, bool json, const char *name);

/* SIGUSR1, SIGTERM, SIGHUP (unless it is ignored) and SIGINT only set these (volatile sig_atomic_t)
 * after nnclr_cli_catch; a second SIGINT ends the process at once. The first is answered with
 * `answer`, unless that is NULL: for work that does not end within a moment. */
extern volatile sig_atomic_t nnclr_cli_usr1, nnclr_cli_stop; /* stop: the signal's number */
void nnclr_cli_catch(const nnclr_cli *cli, const char *answer);
/* They act as before nnclr_cli_catch again; one that came meanwhile and asked for the end gets it.
 */
void nnclr_cli_release(void);

#endif
