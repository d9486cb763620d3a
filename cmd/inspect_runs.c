#include "cmd/inspect_runs.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"
#include "eval/curve_text.h"
#include "eval/run_comparison.h"

static void print_runs(nnclr_cli *cli, bool json, nnclr_compared_run *runs, int count) {
    const char *columns[2 + NNCLR_CURVES + 1] = {"run", "step"};
    for (int c = 0; c < NNCLR_CURVES; c++)
        columns[2 + c] = nnclr_curve_keys[c];
    columns[2 + NNCLR_CURVES] = "settings";
    nnclr_table *table =
        nnclr_table_begin(cli, json, columns, (int)(sizeof columns / sizeof *columns));
    for (int i = 0; i < count; i++) {
        nnclr_table_text(table, runs[i].path);
        nnclr_table_int(table, (int64_t)runs[i].history.last_step);
        for (int c = 0; c < NNCLR_CURVES; c++)
            nnclr_table_real(table, nnclr_history_last(&runs[i].history, (nnclr_curve)c), 6);
        nnclr_table_settings(table, runs[i].differs);
        runs[i].differs = NULL;
        nnclr_table_row_end(table);
    }
    nnclr_table_end(table);
}

static bool write_page(nnclr_cli *cli, const char *path, const nnclr_compared_run *runs, int count,
                       nnclr_error *e) {
    nnclr_buffer html = {0};
    const bool ok = nnclr_runs_page(runs, count, "nnclr-queue-inspect " NNCLR_VERSION, &html, e) &&
                    nnclr_file_write(path, html.data, html.size, e);
    if (ok)
        nnclr_cli_note(cli, "wrote %s: %d run%s", path, count, count == 1 ? "" : "s");
    nnclr_buffer_free(&html);
    return ok;
}

static bool print_curves(const nnclr_compared_run *runs, int count, nnclr_error *e) {
    nnclr_buffer text = {0};
    nnclr_curve_run *shown = nnclr_alloc((size_t)count, sizeof *shown, e);
    for (int i = 0; shown && i < count; i++)
        shown[i] = (nnclr_curve_run){count > 1 ? runs[i].path : NULL, &runs[i].history};
    const bool ok =
        shown && nnclr_curves_text(shown, count, nnclr_cli_columns(STDOUT_FILENO), 0, &text, e);
    if (ok)
        fwrite(text.data, 1, text.size, stdout);
    nnclr_free(shown);
    nnclr_buffer_free(&text);
    return ok;
}

void check_goes_with(nnclr_cli *cli, const char *option, const char *const *others, size_t count) {
    for (size_t i = 0; i < cli->program->option_count; i++) {
        const char *name = cli->program->options[i].name;
        bool known = !cli->given[i] || strcmp(name, option) == 0;
        for (size_t t = 0; !known && t < count; t++)
            known = strcmp(name, others[t]) == 0;
        if (!known)
            nnclr_cli_usage(cli, "--%s does not go with --%s", name, option);
    }
}

static void check(nnclr_cli *cli, const settings *s) {
    static const char *const taken[] = {"html", "table", "json", "ansi"};
    check_goes_with(cli, "runs", taken, sizeof taken / sizeof *taken);
    if (s->ansi && s->json)
        nnclr_cli_usage(cli, "--ansi draws curves, not a table: leave --json out");
    if (cli->operand_count == 0)
        nnclr_cli_usage(cli, "no input: give the RUNs");
    if (s->html && cli->operand_count > NNCLR_PAGE_RUNS)
        nnclr_cli_usage(cli, "--html shows at most %d runs, not %d", NNCLR_PAGE_RUNS,
                        cli->operand_count);
    for (int i = 0; i < cli->operand_count; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(cli->operands[i], cli->operands[j]) == 0)
                nnclr_cli_usage(cli, "%s is given twice", cli->operands[i]);
}

bool compare_runs(nnclr_cli *cli, const settings *s, bool table, nnclr_error *e) {
    const int count = cli->operand_count;
    check(cli, s);
    nnclr_compared_run *runs = nnclr_alloc_zero((size_t)count, sizeof *runs, e);
    bool ok = runs && nnclr_runs_read((const char *const *)cli->operands, count, runs, e) &&
              (!s->html || write_page(cli, s->html, runs, count, e));
    if (ok && s->ansi)
        ok = print_curves(runs, count, e);
    else if (ok && table)
        print_runs(cli, s->json, runs, count);
    if (runs)
        nnclr_runs_free(runs, count);
    nnclr_free(runs);
    return ok;
}
