/* What all programs share: options, help, messages, progress, signals and exit codes. Only here
 * does anything print or exit; a program is an option table, checks, a few library calls and a
 * report. */
#ifndef NNCLR_CMD_CLI_H
#define NNCLR_CMD_CLI_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/files.h"
#include "base/progress.h"
#include "base/strings.h"
#include "engine/ranks.h"
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
    NNCLR_OPTION_FLOAT,  /* float *, the same */
    NNCLR_OPTION_BYTES,  /* int64_t *, in [low, high], suffixes K M G T */
    NNCLR_OPTION_TEXT,   /* const char ** */
    NNCLR_OPTION_INPUT,  /* the same: a file that is read; "-" is standard input. So are operands */
    NNCLR_OPTION_CHOICE, /* int *: index into choices */
    NNCLR_OPTION_CUSTOM, /* any: parse and show */
    NNCLR_OPTION_RENAMED, /* an option's old name, which still works and says so; not in --help. The
                             new name is in `help`. With choices, only these values are meant: by
                             now the name may belong to another option */
    NNCLR_OPTION_GROUP    /* not an option: a heading in --help, its text in `help` */
} nnclr_option_type;

/* What a TEXT option's file will be, if the program writes it. Its name may have any ending except
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
    void *target; /* holds the default when the table is passed */
    /* "N", "FILE": for help; NULL for a flag, and for a choice whose names should be listed. It
     * decides what shells complete, as cmd/completions/options.awk says: FILE, PATH, OUT.png and
     * the operands of `usage` are files, a|b|c is a choice. */
    const char *argument;
    const char *help; /* one sentence without a full stop; the live default is appended */
    double low, high; /* both 0: any. A default outside them means "none" and is not shown */
    int count;        /* REAL, FLOAT: above 1: so many side by side, separated by commas */
    const char *const *choices;                                    /* NULL-terminated */
    bool (*parse)(const char *text, void *target, nnclr_error *e); /* CUSTOM */
    void (*show)(const void *target, char *text, size_t size);     /* CUSTOM; "": none */
    unsigned makes; /* TEXT: NNCLR_MAKES_...; 0: not an output */
} nnclr_option;

typedef struct nnclr_program {
    const char *name;    /* "nnclr-prep" */
    const char *summary; /* one line: what it turns into what */
    const char *usage;   /* "[options] INPUT..."; several lines separated by \n */
    const char *notes;   /* printed below the options; may be NULL */
    bool ranks;          /* MPI may start it several times, as one; otherwise it refuses to */
    const nnclr_option *options;
    size_t option_count;
} nnclr_program;

typedef struct nnclr_cli {
    const nnclr_program *program;
    int verbosity; /* -q: -1, default 0, -v: 1 */
    int threads;   /* -j, default nnclr_cpu_count(), of a rank its share */
    bool *given;   /* per option of the table */
    int operand_count;
    char **operands;
    nnclr_file_id *outputs; /* named outputs that are there, and so must not be read */
    size_t output_count, output_capacity;
    struct {
        double start, last;  /* seconds of nnclr_now: of this work, of the last line */
        int64_t first, done; /* at the start, and by now */
        const char *unit;    /* NULL: none under way */
        char opening[400];   /* printed before the first line; "": nothing */
        bool shown;          /* a line is on the terminal */
    } progress;
    int sections; /* of tables that follow one another */
    bool skipped; /* an input was left out: NNCLR_EXIT_DONE becomes NNCLR_EXIT_SKIPPED */
    nnclr_launch launch;
    nnclr_communicator ranks; /* whom it works with; alone: itself */
    const char **hosts;       /* of each rank; NULL: it is alone */
    bool preparing;           /* the other ranks will ask whether this one is ready */
    bool silent;              /* another rank speaks */
} nnclr_cli;

/* Parses argv with GNU conventions (options and operands mixed, --name=value, unambiguous
 * beginnings of long names, `--` ends options, `-` is an operand). -h -V -q -v -j are added to
 * every program. Handles --help and --version; on wrong usage, ends the process with exit code 2
 * and one sentence. SIGPIPE is ignored from then on: a write to a closed pipe fails instead, and
 * nnclr_cli_die ends a filter by that signal, quietly. */
void nnclr_cli_begin(nnclr_cli *cli, const nnclr_program *program, int argc, char **argv);
/* Wrong usage if a file that the program reads is called PREFIX-NUMBER..., as the files of a set or
 * the pages of a sheet are; an ending of PREFIX does not count. Options that name files (INPUT,
 * .makes) are checked against each other in nnclr_cli_begin. */
void nnclr_cli_check_numbered(nnclr_cli *cli, const char *prefix);
bool nnclr_cli_given(const nnclr_cli *cli, const char *option);

/* A command line before it is parsed, whose options need no targets yet. */
typedef struct nnclr_command_line {
    const nnclr_option *options;
    size_t option_count;
    int argc;
    char **argv;
} nnclr_command_line;

/* If MPI started several ranks, nnclr_cli_begin connects them, refuses standard input, and sends
 * what ranks above 0 print nowhere. Until here they have exchanged nothing else. False on all of
 * them if any failed: *e is then the error of the lowest. Later, a rank that fails alone ends the
 * others by nnclr_cli_die; nnclr_cli_end and _die after an agreement (communicator.h) are called by
 * all. */
bool nnclr_cli_prepared(nnclr_cli *cli, nnclr_error *e);

/* The value of the last --NAME on the command line, for presets, which set the defaults that --help
 * shows; NULL: not given. */
const char *nnclr_cli_peek(const nnclr_command_line *line, const char *name);

/* Messages, on stderr: "PROGRAM: text". Errors always, notes unless -q, details with -v. A progress
 * line on the terminal is cleared first. */
void nnclr_cli_error(nnclr_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
void nnclr_cli_note(nnclr_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
void nnclr_cli_detail(nnclr_cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Prints e->message and ends the process: exit 2 for usage errors, otherwise 1. If the reader
 * closed the output (NNCLR_ERROR_CLOSED), it ends quietly by SIGPIPE; if a signal stopped the work
 * (NNCLR_ERROR_STOPPED), by that signal. */
_Noreturn void nnclr_cli_die(nnclr_cli *cli, const nnclr_error *e);
/* Exit 2 with "PROGRAM: text" and a pointer to --help. */
_Noreturn void nnclr_cli_usage(nnclr_cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Flushes and closes stdout, checked, then exits with `code`. */
_Noreturn void nnclr_cli_end(nnclr_cli *cli, int code);

/* Share done, time left and rate: rewritten in place on a terminal, as much as fits in a line;
 * elsewhere one plain line a minute, nothing with -q. `unit` is a constant, `total` 0 is unknown,
 * `note` may be NULL; both texts are ASCII. Another unit, or less than was done before, begins a
 * new piece of work. */
void nnclr_cli_progress(nnclr_cli *cli, const char *unit, int64_t done, int64_t total,
                        const char *note);
void nnclr_cli_progress_end(nnclr_cli *cli);
/* Says what the work is, as a note, just before the first progress line: work that is done sooner
 * goes without. */
void nnclr_cli_opening(nnclr_cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same for the library, which is told to stop after a signal that nnclr_cli_catch caught; it
 * then fails with NNCLR_ERROR_STOPPED, which nnclr_cli_die handles. */
nnclr_progress nnclr_cli_watch(nnclr_cli *cli);
/* Columns of the terminal on a descriptor; otherwise COLUMNS, otherwise 80. */
int nnclr_cli_columns(int fd);
int nnclr_cli_lines(int fd); /* the same, with LINES and 24 */
/* "12 s", "3 min 05 s", "7 h 30 min" */
void nnclr_cli_duration(double seconds, char *text, size_t size);

/* Dies of `signal` by its default action, so that a shell or make sees it. */
_Noreturn void nnclr_cli_die_of(int signal);

/* The ending of a name if it promises a format, such as ".tar"; "": it promises none. */
const char *nnclr_output_ending(const char *path);

/* Binary output to a terminal is refused (exit 2). */
void nnclr_cli_refuse_terminal(nnclr_cli *cli, const char *what);

/* Tables on stdout: TSV with a header line, or one JSON array of objects if `json`. Cells are
 * escaped. Columns: all rows put their cells in the header's order. */
typedef struct nnclr_table nnclr_table;
nnclr_table *nnclr_table_begin(nnclr_cli *cli, bool json, const char *const *columns, int count);
void nnclr_table_text(nnclr_table *table, const char *text); /* NULL: empty, null in JSON */
void nnclr_table_int(nnclr_table *table, int64_t value);
void nnclr_table_real(nnclr_table *table, double value,
                      int digits); /* after the point; not finite: empty, null */
/* How a result was made: an object, which is taken over. JSON gets it as it is; otherwise
 * "key=value key=value", with "yes", "no" and "a,b". */
void nnclr_table_settings(nnclr_table *table, nnclr_json *settings);
void nnclr_table_row_end(nnclr_table *table);
void nnclr_table_flush(nnclr_table *table); /* for a reader who waits for the rows so far */
void nnclr_table_end(nnclr_table *table);   /* frees; ends the process if stdout fails */
/* A table with a header line and cells separated by tabs, as the library prints one; numbers stay
 * numbers in JSON. */
void nnclr_table_print(nnclr_cli *cli, bool json, const nnclr_buffer *tsv);
/* Several tables on stdout: call before each of them, and with NULL after the last. A blank line
 * separates them; in JSON each is the member NAME of one object. */
void nnclr_table_section(nnclr_cli *cli, bool json, const char *name);

/* After nnclr_cli_catch, SIGUSR1, SIGTERM, SIGHUP (unless it is ignored) and SIGINT only set these;
 * a second SIGINT ends the process at once. The first is answered with `answer`, unless that is
 * NULL: for work that does not end within a moment. */
extern volatile sig_atomic_t nnclr_cli_usr1, nnclr_cli_stop; /* stop: the signal's number */
void nnclr_cli_catch(const nnclr_cli *cli, const char *answer);
/* Signals act as before nnclr_cli_catch again; if one asked for the end meanwhile, the process ends
 * by it. */
void nnclr_cli_release(void);

#endif
