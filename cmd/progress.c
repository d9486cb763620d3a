#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "cmd/cli_internal.h"

void nnclr_cli_clear_progress(nnclr_cli *cli) {
    if (cli->progress_shown)
        fputs("\r\033[K", stderr);
    cli->progress_shown = false;
}

enum { PROGRESS_PLAIN_SECONDS = 60 };

static bool terminal_takes_progress(void) {
    const char *kind = getenv("TERM");
    return isatty(STDERR_FILENO) && kind && strcmp(kind, "dumb") != 0;
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

void nnclr_cli_progress(nnclr_cli *cli, const char *unit, uint64_t done, uint64_t total,
                        const char *extra) {
    double now = nnclr_now();
    if (cli->verbosity < 0)
        return;
    if (cli->progress_start == 0) {
        cli->progress_start = cli->progress_last = now;
        cli->progress_first = done;
        return;
    }
    bool in_place = terminal_takes_progress();
    if (now - cli->progress_last < (in_place ? 0.2 : (double)PROGRESS_PLAIN_SECONDS))
        return;
    cli->progress_last = now;

    double rate = (double)(done - cli->progress_first) / (now - cli->progress_start);
    char text[400], left[40], speed[40], share[100] = "";
    if (total > 0 && rate > 0) {
        nnclr_cli_duration((double)(total - done) / rate, left, sizeof left);
        snprintf(share, sizeof share, " of %llu (%.0f %%), %s left", (unsigned long long)total,
                 100.0 * (double)done / (double)total, left);
    }
    if (rate >= 0.5 || rate <= 0)
        snprintf(speed, sizeof speed, "%.4g/s", rate);
    else
        snprintf(speed, sizeof speed, "%.3g s each", 1 / rate);
    snprintf(text, sizeof text, "%llu %s%s, %s%s%s", (unsigned long long)done, unit, share, speed,
             extra && extra[0] ? ", " : "", extra ? extra : "");
    if (in_place) {
        fprintf(stderr, "\r%s: %.150s\033[K", cli->program->name, text);
        cli->progress_shown = true;
    } else {
        nnclr_cli_note(cli, "%s", text);
    }
}

void nnclr_cli_progress_end(nnclr_cli *cli) {
    nnclr_cli_clear_progress(cli);
    cli->progress_start = 0;
}
