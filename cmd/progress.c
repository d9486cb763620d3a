/* The line that tells how far the work has come. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/files.h"
#include "cmd/cli_internal.h"

enum { PLAIN_SECONDS = 60, COLUMNS_MOST = 500, PARTS = 4 };
static const double seconds_in_place = 0.2;

void nnclr_cli_clear_progress(nnclr_cli *cli) {
    if (cli->progress.shown)
        fputs(NNCLR_CLEAR_LINE, stderr);
    cli->progress.shown = false;
}

bool nnclr_cli_shows_progress(void) {
    const char *kind = getenv("TERM");
    return isatty(STDERR_FILENO) && kind && strcmp(kind, "dumb") != 0;
}

static int size_of(const char *variable, int known, int otherwise) {
    int64_t size;
    const char *given = getenv(variable);
    if (known > 0)
        return known;
    return given && nnclr_parse_int(given, 1, 10000, &size) ? (int)size : otherwise;
}

int nnclr_cli_columns(int fd) {
    struct winsize size;
    return size_of("COLUMNS", ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0, 80);
}

int nnclr_cli_lines(int fd) {
    struct winsize size;
    return size_of("LINES", ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_row : 0, 24);
}

void nnclr_cli_duration(double seconds, char *text, size_t size) {
    int64_t s = (int64_t)(seconds + 0.5);
    if (s < 60)
        snprintf(text, size, "%d s", (int)s);
    else if (s < 3600)
        snprintf(text, size, "%d min %02d s", (int)(s / 60), (int)(s % 60));
    else
        snprintf(text, size, "%lld h %02d min", (long long)(s / 3600), (int)(s % 3600 / 60));
}

/* ---- what is said ---- */

/* The most important first; "" is none. */
typedef struct parts {
    char text[PARTS][100];
} parts;

static parts describe(const nnclr_cli *cli, int64_t total, double now, const char *note) {
    const int64_t done = cli->progress.done;
    const double rate = (double)(done - cli->progress.first) / (now - cli->progress.start);
    parts p = {0};
    char left[40];
    if (total > 0) {
        nnclr_cli_duration(done < total ? (double)(total - done) / rate : 0, left, sizeof left);
        snprintf(p.text[0], sizeof p.text[0], "%lld %s of %lld (%.0f %%)", (long long)done,
                 cli->progress.unit, (long long)total, 100.0 * (double)done / (double)total);
        snprintf(p.text[1], sizeof p.text[1], "%s left", left);
    } else {
        snprintf(p.text[0], sizeof p.text[0], "%lld %s", (long long)done, cli->progress.unit);
    }
    snprintf(p.text[2], sizeof p.text[2], rate >= 0.5 ? "%.4g/s" : "%.3g s each",
             rate >= 0.5 ? rate : 1 / rate);
    snprintf(p.text[3], sizeof p.text[3], "%s", note ? note : "");
    return p;
}

/* The first parts, with or without the program's name before them. */
static void join(const parts *p, int count, const char *program, char *line, size_t size) {
    size_t used = (size_t)snprintf(line, size, "%s%s", program, program[0] ? ": " : "");
    for (int i = 0; i < count && used < size; i++)
        if (p->text[i][0])
            used +=
                (size_t)snprintf(line + used, size - used, "%s%s", i > 0 ? ", " : "", p->text[i]);
}

/* Cuts the line, which is ASCII, to this many columns; returns whether it was longer. */
static bool cut(char *line, int columns) {
    const size_t most = columns > 0 ? (size_t)columns : 0;
    if (strlen(line) <= most)
        return false;
    line[most] = '\0';
    return true;
}

/* As much as fits: parts are dropped from the end, and the program's name before the first two. */
static void fit(const parts *p, const char *program, int columns, char *line, size_t size) {
    for (int count = PARTS; count >= 2; count--) {
        join(p, count, program, line, size);
        if (!cut(line, columns))
            return;
    }
    for (int count = 2; count >= 1; count--) {
        join(p, count, "", line, size);
        if (!cut(line, columns))
            return;
    }
}

/* ---- when it is said ---- */

void nnclr_cli_progress(nnclr_cli *cli, const char *unit, int64_t done, int64_t total,
                        const char *note) {
    const double now = nnclr_now();
    if (cli->verbosity < 0 || cli->silent)
        return;
    if (!cli->progress.unit || strcmp(unit, cli->progress.unit) != 0 || done < cli->progress.done) {
        if (!cli->progress.unit)
            cli->progress.last = now;
        cli->progress.unit = unit;
        cli->progress.start = now;
        cli->progress.first = done;
    }
    cli->progress.done = done;
    const bool in_place = nnclr_cli_shows_progress();
    if (done == cli->progress.first || now - cli->progress.start < seconds_in_place ||
        now - cli->progress.last < (in_place ? seconds_in_place : (double)PLAIN_SECONDS))
        return;
    cli->progress.last = now;
    if (cli->progress.opening[0])
        nnclr_cli_note(cli, "%s", cli->progress.opening);
    cli->progress.opening[0] = '\0';

    char line[COLUMNS_MOST];
    const parts p = describe(cli, total, now, note);
    if (in_place) {
        /* The last column stays free: some terminals go to the next line after it. */
        fit(&p, cli->program->name, nnclr_cli_columns(STDERR_FILENO) - 1, line, sizeof line);
        fprintf(stderr, "\r%s\033[K", line);
        cli->progress.shown = true;
    } else {
        join(&p, PARTS, "", line, sizeof line);
        nnclr_cli_note(cli, "%s", line);
    }
}

void nnclr_cli_opening(nnclr_cli *cli, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(cli->progress.opening, sizeof cli->progress.opening, format, arguments);
    va_end(arguments);
}

void nnclr_cli_progress_end(nnclr_cli *cli) {
    nnclr_cli_clear_progress(cli);
    cli->progress.opening[0] = '\0';
    cli->progress.unit = NULL;
    cli->progress.done = 0;
}

static bool tell(void *context, const char *unit, int64_t done, int64_t total, const char *note) {
    nnclr_cli_progress(context, unit, done, total, note);
    return nnclr_cli_stop == 0;
}

nnclr_progress nnclr_cli_watch(nnclr_cli *cli) {
    return (nnclr_progress){.tell = tell, .context = cli};
}
