/* nnclr-queue-inspect: which pictures are neighbours, in a support set or an embedding file. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"
#include "cmd/inspect_runs.h"
#include "cmd/inspect_tables.h"
#include "cmd/inspector.h"
#include "cmd/option_table.h"
#include "cmd/shared_options.h"
#include "eval/neighbour_sheet.h"
#include "eval/neighbour_text.h"
#include "eval/page.h"
#include "image/pictures.h"

/* ---- the work ---- */

/* OUT.png -> OUT-3.png, if there are several pages. */
static bool page_path(const char *path, int page, int pages, nnclr_buffer *out, nnclr_error *e) {
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    out->size = 0;
    if (pages == 1)
        return nnclr_buffer_printf(out, e, "%s", path);
    if (!dot)
        dot = path + strlen(path);
    return nnclr_buffer_printf(out, e, "%.*s-%d%s", (int)(dot - path), path, page + 1, dot);
}

static bool write_sheet(inspector *x, const nnclr_inspection *found, nnclr_error *e) {
    const int pages = nnclr_neighbour_pages(found);
    nnclr_buffer png = {0}, path = {0};
    bool ok = true;
    for (int page = 0; ok && page < pages; page++) {
        png.size = 0;
        ok = nnclr_neighbour_sheet(found, page, x->query_shards, x->shards, inspector_title(x),
                                   &x->progress, &png, e) &&
             page_path(x->settings->sheet, page, pages, &path, e) &&
             nnclr_file_write((const char *)path.data, png.data, png.size, e);
        if (ok && pages == 1)
            nnclr_cli_note(x->cli, "wrote %s: %lld queries", (const char *)path.data,
                           (long long)found->count);
    }
    inspector_progress_end(x);
    if (ok && pages > 1)
        nnclr_cli_note(x->cli, "wrote %d pages, the last of them %s: %lld queries", pages,
                       (const char *)path.data, (long long)found->count);
    nnclr_buffer_free(&path);
    nnclr_buffer_free(&png);
    return ok;
}

/* The metrics.jsonl next to a checkpoint, unless another was given; "": there is none. */
static bool metrics_path(const inspector *x, nnclr_buffer *out, nnclr_error *e) {
    const char *file = x->bank.path;
    if (x->settings->metrics)
        return nnclr_buffer_printf(out, e, "%s", x->settings->metrics);
    const char *slash = strrchr(file, '/');
    if (!nnclr_buffer_printf(out, e, "%.*smetrics.jsonl", slash ? (int)(slash + 1 - file) : 0,
                             file))
        return false;
    if (!x->bank.step || nnclr_is_standard(x->cli->operands[0]) ||
        access((const char *)out->data, F_OK) != 0)
        out->data[0] = '\0';
    return true;
}

static bool write_page(inspector *x, const nnclr_inspection *found, nnclr_error *e) {
    nnclr_buffer path = {0}, html = {0};
    int pictures = 0;
    nnclr_history *history = nnclr_alloc(1, sizeof *history, e);
    nnclr_page_options options = {.title = inspector_title(x),
                                  .program = "nnclr-queue-inspect " NNCLR_VERSION,
                                  .query_path = x->settings->query,
                                  .threshold = x->settings->threshold,
                                  .temperature = x->settings->temperature,
                                  .seed = (uint64_t)x->settings->seed,
                                  .oracle = &x->oracle,
                                  .progress = &x->progress,
                                  .query_shards = x->query_shards,
                                  .shards = x->shards};
    bool ok = history && metrics_path(x, &path, e);
    if (ok && path.data[0]) {
        ok = nnclr_history_read((const char *)path.data, history, e);
        options.history = history;
        if (ok && history->damaged > 0)
            nnclr_cli_note(x->cli, "%s: %lld of %lld lines are damaged and left out",
                           (const char *)path.data, (long long)history->damaged,
                           (long long)history->lines);
    }
    ok = ok && nnclr_page(found, &options, &html, &pictures, e) &&
         nnclr_file_write(x->settings->html, html.data, html.size, e);
    inspector_progress_end(x);
    const bool small = html.size < 1000000;
    if (ok)
        nnclr_cli_note(x->cli, "wrote %s: %lld queries, %d pictures, %.*f %s", x->settings->html,
                       (long long)found->count, pictures, small ? 0 : 1,
                       (double)html.size / (small ? 1e3 : 1e6), small ? "kB" : "MB");
    nnclr_buffer_free(&html);
    nnclr_buffer_free(&path);
    nnclr_free(history);
    return ok;
}

static void print_summary(const inspector *x, int64_t queries) {
    nnclr_row_summary summary;
    nnclr_error e = NNCLR_NO_ERROR;
    const int64_t n = x->bank.rows.n;
    if (!nnclr_row_set_summary(&x->bank, &summary, &e))
        nnclr_cli_die(x->cli, &e);
    if (!x->bank.step)
        nnclr_cli_note(x->cli, "%lld rows of %d numbers, %lld distinct records; %lld queries",
                       (long long)n, x->bank.rows.d, (long long)summary.distinct,
                       (long long)queries);
    else
        nnclr_cli_note(
            x->cli,
            "support set of %lld rows of %d numbers: %.1f %% initial rows, %lld distinct "
            "records; %lld queries",
            (long long)n, x->bank.rows.d, 100 * (double)summary.initial / (double)n,
            (long long)summary.distinct, (long long)queries);
}

static bool print_pictures(const inspector *x, const nnclr_inspection *found, nnclr_error *e) {
    nnclr_buffer text = {0};
    bool ok = true;
    for (int64_t i = 0; ok && i < found->count && !ferror(stdout); i++) {
        text.size = 0;
        ok = nnclr_neighbour_text(found, i, x->query_shards, x->shards,
                                  nnclr_cli_columns(STDOUT_FILENO), &text, e);
        if (ok)
            fwrite(text.data, 1, text.size, stdout);
    }
    nnclr_buffer_free(&text);
    return ok;
}

static bool show_neighbours(inspector *x, nnclr_error *e) {
    nnclr_inspection found = {0};
    bool ok = inspector_ask(x, &found, e) && (!x->settings->sheet || write_sheet(x, &found, e)) &&
              (!x->settings->html || write_page(x, &found, e));
    inspector_progress_end(x);
    if (ok) {
        print_summary(x, found.count);
        if (x->settings->ansi)
            ok = print_pictures(x, &found, e);
        else if (inspector_wants_table(x->settings))
            print_neighbours(x, &found);
    }
    nnclr_inspection_free(&found);
    return ok;
}

/* ---- the program ---- */

/* If a signal asked for the end, inspector_progress_end dies of it, so that the shell sees it. */
static void end_badly(inspector *x, const nnclr_error *e) {
    inspector_progress_end(x);
    nnclr_cli_die(x->cli, e);
}

static void check_query(nnclr_cli *cli, settings *s) {
    s->query_is_pictures = s->query && nnclr_are_pictures(s->query);
    if (s->query_shard && !s->query)
        nnclr_cli_usage(cli, "--query-shard goes with --query");
    if (s->query_shard && s->query_is_pictures)
        nnclr_cli_usage(cli, "--query has the pictures itself: leave --query-shard out");
    if (s->model && !s->query)
        nnclr_cli_usage(cli, "-m goes with --query");
    if (s->prefix && !s->model)
        nnclr_cli_usage(cli, "--prefix goes with -m");
}

/* Everything else is quick, or a matter of one process. */
static void check_ranks(nnclr_cli *cli, const settings *s) {
    if (cli->ranks.ranks > 1 && (s->runs || s->report < 0 || !reports[s->report].print_graph))
        nnclr_cli_usage(cli,
                        "%d ranks share the work of --report classes, hubs, outliers, labels and "
                        "groups only: start it without mpirun",
                        cli->ranks.ranks);
}

static int report_named(const char *name) {
    int i = 0;
    while (strcmp(reports[i].name, name) != 0)
        i++;
    return i;
}

static void check(nnclr_cli *cli, settings *s) {
    if (cli->operand_count == 0)
        nnclr_cli_usage(cli, "no input: give a checkpoint or an embedding file");
    const char *picture = s->html ? "--html" : s->sheet ? "--sheet" : s->ansi ? "--ansi" : NULL;
    if (picture && cli->operand_count < 2)
        nnclr_cli_usage(cli, "%s needs the pictures: give the SHARDs that the file was made from",
                        picture);
    if (nnclr_is_standard(s->sheet) || nnclr_is_standard(s->html) || nnclr_is_standard(s->map))
        nnclr_cli_usage(cli, "%s: standard output is for the table: give a file",
                        picture ? picture : "--map");
    if (s->sheet)
        nnclr_cli_check_numbered(cli, s->sheet);
    check_query(cli, s);
    if (picture && s->query && !s->query_shard && !s->query_is_pictures)
        nnclr_cli_usage(cli,
                        "%s with --query needs the queries' pictures too: give "
                        "--query-shard SHARD",
                        picture);
    if (s->ansi && s->json)
        nnclr_cli_usage(cli, "--ansi prints pictures, not a table: leave --json out");
    if (s->metrics && !s->html)
        nnclr_cli_usage(cli, "--metrics goes with --html");
    if (s->map && s->report != report_named("map"))
        nnclr_cli_usage(cli, "--map draws --report map: leave the other --report out");
    if (s->report >= 0 && picture)
        nnclr_cli_usage(cli, "%s shows neighbours: leave %s out", picture,
                        s->map ? "--map" : "--report");
    if (s->report >= 0 && (s->query_record || s->query_name || nnclr_cli_given(cli, "queries")))
        nnclr_cli_usage(cli, "--report is on all rows: it takes no queries");
    const inspect_report *wanted = s->report >= 0 ? &reports[s->report] : NULL;
    if (wanted && wanted->compares && !s->query)
        nnclr_cli_usage(cli, "--report %s needs a second file: give --query TEST", wanted->name);
    if (wanted && !wanted->compares && s->query)
        nnclr_cli_usage(cli, "--report %s takes no --query: leave it out", wanted->name);
}

/* Every rank reads the files itself. */
static bool ranks_alike(const inspector *x, nnclr_error *e) {
    return nnclr_cli_prepared(x->cli, e) && nnclr_row_set_is_alike(&x->bank, &x->cli->ranks, e);
}

int main(int argc, char **argv) {
    const char *report_names[REPORTS + 1] = {NULL};
    for (int i = 0; i < REPORTS; i++)
        report_names[i] = reports[i].name;
    settings s = {.k = 8,
                  .queries = 16,
                  .report = -1,
                  .threshold = 0.99,
                  .temperature = 0.1,
                  .perplexity = 30,
                  .map_rows = 5000};
    const nnclr_option options[] = {
        RENAMED("k", "neighbours"),
        SHORT('k', INTEGER, "neighbours", &s.k, "K", "neighbours of each query", 1, 1000),
        SHORT('n', INTEGER, "queries", &s.queries, "N", "how many rows to draw as queries", 1,
              1000000),
        INPUT("query", &s.query, "FILE",
              "ask about these pictures (a picture, a folder, a shard), or draw the queries from "
              "this embedding file or checkpoint, instead of from the rows themselves"),
        SHORT('m', INPUT, "model", &s.model, "CHECKPOINT",
              "the network that made an embedding file, for pictures as --query"),
        PREFIX_OPTION(&s.prefix),
        TEXT("query-record", &s.query_record, "N,...", "take the rows of these records as queries"),
        TEXT("query-name", &s.query_name, "PATTERN",
             "take the rows whose picture's name matches this shell pattern as queries"),
        INPUT("query-shard", &s.query_shard, "SHARD", "the pictures that --query's rows show"),
        OUTPUT("sheet", &s.sheet, "OUT.png", NNCLR_MAKES_PICTURE,
               "draw each query with its neighbours; more than 40 queries go to OUT-1.png, "
               "OUT-2.png, ...; needs the SHARDs"),
        OUTPUT("html", &s.html, "OUT.html", NNCLR_MAKES_PAGE,
               "write one self-contained page: neighbours, curves, reports; needs the SHARDs"),
        OUTPUT("map", &s.map, "OUT.png", NNCLR_MAKES_PICTURE,
               "draw the map of --report map: dots coloured by class, or by group if there are no "
               "labels; with the SHARDs, pictures too"),
        INTEGER("map-rows", &s.map_rows, "N", "a map shows at most so many rows, drawn from all", 1,
                1000000),
        REAL("perplexity", &s.perplexity, "P", "how many neighbours a row of the map has in effect",
             1, 300),
        INPUT("metrics", &s.metrics, "FILE",
              "draw the page's curves from this file instead of the metrics.jsonl next to the "
              "checkpoint"),
        FLAG(
            "ansi", &s.ansi,
            "print pictures in coloured half blocks instead of the table, for which the SHARDs are "
            "needed, or with --runs the curves"),
        CHOICE("report", &s.report, report_names,
               "print this report on all rows instead of neighbours"),
        REAL("threshold", &s.threshold, "COSINE", "the least cosine of duplicates and leaks", -1,
             1),
        REAL("knn-temperature", &s.temperature, "T", "neighbours vote on labels with exp(cosine/T)",
             1e-3, 1e3),
        INTEGER("seed", &s.seed, "N", "seed of the rows that are drawn", 0, 9e18),
        FLAG("runs", &s.runs,
             "compare RUNs: their last metrics, the settings in which they differ and, with "
             "--html, their curves"),
        FLAG("watch", &s.watch,
             "show the curves of a RUN while it goes on; if standard output is not a terminal, "
             "print a line for each line of its metrics"),
        FLAG("table", &s.table, "print the table on a terminal too, with --sheet, --html or --map"),
        FLAG("json", &s.json, "print the table as JSON"),
    };
    const nnclr_program program = {
        .name = "nnclr-queue-inspect",
        .summary = "Shows the neighbours in a support set or an embedding file.",
        .usage = "[options] FILE [SHARD...]\n--query PICTURES [-m CHECKPOINT] FILE "
                 "[SHARD...]\n--runs [--html OUT.html] "
                 "[--json | --ansi] RUN...\n--watch RUN",
        .notes = "FILE is a RUN of nnclr-pretrain, a checkpoint or a file of nnclr-embed; the "
                 "SHARDs are those that it was made from, in the same order.",
        .ranks = true,
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    nnclr_cli cli;
    inspector x = {0};
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_cli_begin(&cli, &program, argc, argv);
    if (s.map && s.report < 0)
        s.report = report_named("map");
    check_ranks(&cli, &s);
    if (s.runs) {
        if (!compare_runs(&cli, &s, inspector_wants_table(&s), &e))
            nnclr_cli_die(&cli, &e);
        nnclr_cli_end(&cli, NNCLR_EXIT_DONE);
    }
    if (s.watch) {
        if (!watch_run(&cli, &e))
            nnclr_cli_die(&cli, &e);
        nnclr_cli_end(&cli, NNCLR_EXIT_DONE);
    }
    check(&cli, &s);
    if (!inspector_open(&x, &cli, &s, &e) || !ranks_alike(&x, &e) ||
        !(s.report >= 0 ? print_report(&x, &e) : show_neighbours(&x, &e)))
        end_badly(&x, &e);
    inspector_close(&x);
    nnclr_cli_end(&cli, NNCLR_EXIT_DONE);
}
