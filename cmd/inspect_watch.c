#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "cmd/inspect_runs.h"
#include "eval/curve_text.h"
#include "io/run_folder.h"
#include "train/schedule.h"

static const struct timespec pause_between = {.tv_nsec = 500 * 1000 * 1000};

typedef struct watched {
    nnclr_cli *cli;
    const char *run;
    nnclr_buffer metrics; /* path */
    nnclr_metrics_reader *reader;
    nnclr_run_life state;
    bool draws;         /* curves, on a terminal */
    nnclr_table *table; /* otherwise, once there are metrics */
    nnclr_history history;
    double step;              /* of the last line */
    double per_second;        /* pictures, lately */
    int64_t steps, batch;     /* of the run, of a step; 0: not known */
    int drawn, columns, rows; /* lines of the last picture, the terminal that it was for */
} watched;

/* ---- a line for each line ---- */

static void begin_table(watched *w) {
    const char *columns[1 + NNCLR_CURVES] = {"step"};
    for (int c = 0; c < NNCLR_CURVES; c++)
        columns[1 + c] = nnclr_curve_keys[c];
    w->table = nnclr_table_begin(w->cli, false, columns, 1 + NNCLR_CURVES);
}

static void print_line(watched *w, const nnclr_json *line) {
    nnclr_table_int(w->table, (int64_t)w->step);
    for (int c = 0; c < NNCLR_CURVES; c++)
        nnclr_table_real(w->table, nnclr_curve_value(line, (nnclr_curve)c), 6);
    nnclr_table_row_end(w->table);
}

/* ---- curves ---- */

/* How long the run is, which a description that is not there yet, or damaged, does not say. */
static void learn_length(watched *w) {
    nnclr_buffer path = {0}, text = {0};
    nnclr_error unused = NNCLR_NO_ERROR;
    nnclr_json *told = NULL;
    if (nnclr_buffer_printf(&path, &unused, "%s/run.json", w->run) &&
        nnclr_file_read((const char *)path.data, 64 << 20, &text, &unused))
        told = nnclr_json_parse((const char *)text.data, text.size, w->run, &unused);
    const nnclr_json *steps = nnclr_json_get(told, "total_steps");
    const nnclr_json *batch = nnclr_json_get(nnclr_json_get(told, "config"), "batch");
    if (!steps || !nnclr_json_int(steps, 1, NNCLR_MOST_STEPS, &w->steps))
        w->steps = 0;
    if (!batch || !nnclr_json_int(batch, 1, INT32_MAX, &w->batch))
        w->batch = 0;
    nnclr_json_free(told);
    nnclr_buffer_free(&text);
    nnclr_buffer_free(&path);
}

/* "run: step 120 of 400, 3 min 05 s left" */
static bool put_state(const watched *w, nnclr_buffer *out, nnclr_error *e) {
    static const char *const states[] = {"", ", finished", ", stopped"};
    char of[40] = "", left[60] = "", duration[40];
    if (w->steps > 0)
        snprintf(of, sizeof of, " of %" PRId64, w->steps);
    const double pictures = ((double)w->steps - w->step) * (double)w->batch;
    if (w->state == NNCLR_RUN_GOING_ON && pictures > 0 && w->per_second > 0 &&
        pictures / w->per_second < 1e9) {
        nnclr_cli_duration(pictures / w->per_second, duration, sizeof duration);
        snprintf(left, sizeof left, ", %s left", duration);
    }
    nnclr_buffer text = {0};
    const bool ok = nnclr_buffer_printf(&text, e, "%s: step %.0f%s%s%s", w->run, w->step, of,
                                        states[w->state], left) &&
                    nnclr_make_printable(out, (const char *)text.data, text.size, e);
    nnclr_buffer_free(&text);
    return ok;
}

/* Takes the place of the last picture. Each line is emptied before it is written: after one that
 * fills the terminal's width, some terminals would take its last character. */
static bool draw(watched *w, nnclr_error *e) {
    nnclr_buffer text = {0};
    const nnclr_curve_run run = {NULL, &w->history};
    bool ok = nnclr_curves_text(&run, 1, w->columns - 1, nnclr_max(w->rows - 2, 1), &text, e) &&
              put_state(w, &text, e) && nnclr_buffer_append(&text, "\n", 1, e);
    if (ok && w->drawn > 0)
        printf("\x1b[%dA", w->drawn);
    w->drawn = 0;
    for (size_t at = 0; ok && at < text.size; w->drawn++) {
        const char *line = (const char *)text.data + at;
        const size_t size = strcspn(line, "\n") + 1;
        fputs("\x1b[2K", stdout);
        fwrite(line, 1, size, stdout);
        at += size;
    }
    fputs("\x1b[J", stdout);
    if (fflush(stdout) != 0)
        ok = nnclr_fail_errno(e, "standard output");
    nnclr_buffer_free(&text);
    return ok;
}

/* ---- the run ---- */

/* Whether there is a file to read: a run that begins has none yet. */
static bool open_metrics(watched *w, nnclr_error *e) {
    if (w->reader && nnclr_metrics_replaced(w->reader)) {
        nnclr_metrics_close(w->reader);
        w->reader = NULL;
        w->history = (nnclr_history){0};
    }
    if (!w->reader &&
        (w->state != NNCLR_RUN_GOING_ON || access((const char *)w->metrics.data, F_OK) == 0)) {
        w->reader = nnclr_metrics_open((const char *)w->metrics.data, e);
        if (!w->reader)
            return false;
        learn_length(w);
        if (!w->draws && !w->table)
            begin_table(w);
    }
    return true;
}

/* What is new, printed or drawn. */
static bool catch_up(watched *w, bool *news, nnclr_error *e) {
    nnclr_json *line = NULL;
    bool ok = true;
    *news = false;
    while (w->reader && (ok = nnclr_metrics_next(w->reader, &line, &w->step, e)) && line) {
        double value;
        *news = true;
        if (w->draws)
            nnclr_history_add(&w->history, line, w->step);
        else
            print_line(w, line);
        if (nnclr_json_get(line, "images_per_s") &&
            nnclr_json_real(nnclr_json_get(line, "images_per_s"), &value))
            w->per_second += (value - w->per_second) * (w->per_second > 0 ? 0.1 : 1);
        nnclr_json_free(line);
        if (nnclr_cli_stop)
            break;
    }
    return ok;
}

static bool show(watched *w, bool news, bool ends, nnclr_error *e) {
    if (w->table)
        nnclr_table_flush(w->table);
    if (!w->draws)
        return true;
    const int columns = nnclr_cli_columns(STDOUT_FILENO), rows = nnclr_cli_lines(STDOUT_FILENO);
    if (!news && !ends && columns == w->columns && rows == w->rows)
        return true;
    w->columns = columns;
    w->rows = rows;
    return draw(w, e);
}

/* Its state comes before its lines: what a run wrote before it ended is then read. */
static bool follow(watched *w, nnclr_error *e) {
    bool ok = true, news, ends = false;
    while (ok && !ends && !nnclr_cli_stop) {
        ok = nnclr_run_look(w->run, &w->state, e) && open_metrics(w, e) && catch_up(w, &news, e);
        ends = w->state != NNCLR_RUN_GOING_ON;
        ok = ok && show(w, news, ends, e);
        if (ok && !ends && !nnclr_cli_stop)
            nanosleep(&pause_between, NULL); /* which a signal ends */
    }
    return ok;
}

bool watch_run(nnclr_cli *cli, nnclr_error *e) {
    check_goes_with(cli, "watch", NULL, 0);
    if (cli->operand_count != 1)
        nnclr_cli_usage(cli, "--watch needs one RUN");
    const char *terminal = getenv("TERM");
    watched *w = nnclr_alloc_zero(1, sizeof *w, e);
    bool ok = w && nnclr_buffer_printf(&w->metrics, e, "%s/metrics.jsonl", cli->operands[0]);
    if (ok) {
        w->cli = cli;
        w->run = cli->operands[0];
        nnclr_cli_catch(cli, NULL);
        w->draws = isatty(STDOUT_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
        ok = follow(w, e);
        if (ok && w->table)
            nnclr_table_end(w->table);
        nnclr_cli_release();
        if (ok && w->state == NNCLR_RUN_STOPPED)
            ok = nnclr_fail(e, NNCLR_ERROR_INPUT,
                            "%s: was stopped at step %.0f and is not finished: --resume goes on",
                            w->run, w->step);
        nnclr_metrics_close(w->reader);
        nnclr_buffer_free(&w->metrics);
    }
    nnclr_free(w);
    return ok;
}
