/* nnclr-queue-inspect: which pictures are neighbours, in a support set or an embedding file. */
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/threads.h"
#include "cmd/cli.h"
#include "eval/neighbour_sheet.h"

enum { CACHE_BYTES = 64 << 20 };

typedef struct settings {
    int64_t k, queries, seed;
    const char *query, *query_shard, *sheet;
    bool json;
} settings;

typedef struct inspector {
    nnclr_row_set bank, asking; /* asking: --query's */
    nnclr_inspection inspection;
    nnclr_shard_set *shards, *query_shards; /* query_shards may be `shards` */
} inspector;

/* ---- the work ---- */

static bool open_sets(nnclr_cli *cli, const settings *s, inspector *x, nnclr_error *e) {
    if (!nnclr_row_set_open(&x->bank, cli->operands[0], e))
        return false;
    if (!s->query)
        return true;
    if (!nnclr_row_set_open(&x->asking, s->query, e))
        return false;
    if (x->asking.rows.d != x->bank.rows.d)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "%s has rows of %d numbers, but %s of %d: queries for a support set are "
                          "made with nnclr-embed --output projection",
                          s->query, x->asking.rows.d, cli->operands[0], x->bank.rows.d);
    return true;
}

static nnclr_shard_set *open_shards(const char *const *paths, size_t count,
                                    const nnclr_row_set *set, const char *set_path,
                                    nnclr_error *e) {
    nnclr_shard_set *shards = nnclr_shard_set_open(paths, count, CACHE_BYTES, e);
    if (shards && !nnclr_row_set_check_shards(set, set_path, shards, e)) {
        nnclr_shard_set_close(shards);
        return NULL;
    }
    return shards;
}

static bool open_pictures(nnclr_cli *cli, const settings *s, inspector *x, nnclr_error *e) {
    if (cli->operand_count > 1) {
        x->shards = open_shards((const char *const *)cli->operands + 1,
                                (size_t)cli->operand_count - 1, &x->bank, cli->operands[0], e);
        if (!x->shards)
            return false;
    }
    if (!s->query)
        x->query_shards = x->shards;
    else if (s->query_shard)
        x->query_shards = open_shards(&s->query_shard, 1, &x->asking, s->query, e);
    return x->query_shards || !s->query_shard;
}

static bool inspect(nnclr_cli *cli, const settings *s, inspector *x, nnclr_error *e) {
    nnclr_engine engine = {0};
    nnclr_pool *pool = nnclr_pool_create(cli->threads, e);
    bool ok = pool && nnclr_engine_open(&engine, NNCLR_ENGINE_CPU, NNCLR_PRECISION_F32, pool, e) &&
              nnclr_inspect(&engine, &x->bank, s->query ? &x->asking : &x->bank, s->queries,
                            (int)s->k, (uint64_t)s->seed, &x->inspection, e);
    nnclr_engine_close(&engine);
    nnclr_pool_free(pool);
    return ok;
}

static bool write_sheet(nnclr_cli *cli, const settings *s, inspector *x, nnclr_error *e) {
    nnclr_buffer png = {0};
    const char *file = strrchr(cli->operands[0], '/');
    bool ok = nnclr_neighbour_sheet(&x->inspection, x->query_shards, x->shards,
                                    file ? file + 1 : cli->operands[0], &png, e);
    nnclr_output *output = ok ? nnclr_output_open(s->sheet, e) : NULL;
    if (output && nnclr_output_write(output, png.data, png.size, e)) {
        ok = nnclr_output_commit(output, e);
    } else {
        nnclr_output_abandon(output);
        ok = false;
    }
    nnclr_buffer_free(&png);
    return ok;
}

static void close_all(inspector *x) {
    nnclr_inspection_free(&x->inspection);
    if (x->query_shards != x->shards)
        nnclr_shard_set_close(x->query_shards);
    nnclr_shard_set_close(x->shards);
    nnclr_row_set_close(&x->asking);
    nnclr_row_set_close(&x->bank);
}

/* ---- what is told ---- */

/* A number that is not known (-1) is an empty field. */
static void put_number(nnclr_table *table, int64_t number) {
    if (number < 0)
        nnclr_table_text(table, NULL);
    else
        nnclr_table_int(table, number);
}

/* An embedding file knows its names; those of a support set are in the shards. */
static const char *name_of(const nnclr_row_set *set, const nnclr_shard_set *shards, int64_t row) {
    nnclr_record record;
    if (set->names)
        return set->names[row];
    if (!shards || set->record[row] < 0 ||
        (uint64_t)set->record[row] >= nnclr_shard_set_count(shards))
        return NULL;
    nnclr_shard_set_record(shards, (size_t)set->record[row], &record);
    return record.name;
}

static void print_neighbour(nnclr_table *table, const inspector *x, int64_t query, int rank,
                            nnclr_neighbour neighbour) {
    const nnclr_row_set *bank = x->inspection.bank, *queries = x->inspection.queries;
    nnclr_table_int(table, queries->record[query]);
    nnclr_table_int(table, rank + 1);
    put_number(table, bank->record[neighbour.row]);
    nnclr_table_real(table, neighbour.cosine, 6);
    put_number(table, nnclr_row_set_age(bank, neighbour.row));
    nnclr_table_text(table, nnclr_row_set_class(queries, query));
    nnclr_table_text(table, nnclr_row_set_class(bank, neighbour.row));
    nnclr_table_text(table, name_of(queries, x->query_shards, query));
    nnclr_table_text(table, name_of(bank, x->shards, neighbour.row));
    nnclr_table_row_end(table);
}

static void print_table(nnclr_cli *cli, bool json, const inspector *x) {
    static const char *const columns[] = {"query",           "rank",       "neighbour",
                                          "cosine",          "age",        "query_label",
                                          "neighbour_label", "query_name", "neighbour_name"};
    const nnclr_inspection *found = &x->inspection;
    nnclr_table *table =
        nnclr_table_begin(cli, json, columns, (int)(sizeof columns / sizeof *columns));
    for (int64_t i = 0; i < found->count; i++)
        for (int rank = 0; rank < found->k; rank++)
            if (found->neighbours[i * found->k + rank].row >= 0)
                print_neighbour(table, x, found->query[i], rank,
                                found->neighbours[i * found->k + rank]);
    nnclr_table_end(table);
}

static void print_summary(nnclr_cli *cli, const inspector *x) {
    nnclr_row_summary summary;
    nnclr_error e = NNCLR_NO_ERROR;
    const int64_t n = x->bank.rows.n;
    if (!nnclr_row_set_summary(&x->bank, &summary, &e))
        nnclr_cli_die(cli, &e);
    if (!x->bank.step)
        nnclr_cli_note(cli, "%lld rows of %d numbers, %lld distinct records; %lld queries",
                       (long long)n, x->bank.rows.d, (long long)summary.distinct,
                       (long long)x->inspection.count);
    else
        nnclr_cli_note(
            cli,
            "support set of %lld rows of %d numbers: %.1f %% initial rows, %lld distinct "
            "records; %lld queries",
            (long long)n, x->bank.rows.d, 100 * (double)summary.initial / (double)n,
            (long long)summary.distinct, (long long)x->inspection.count);
}

/* ---- the program ---- */

static bool is_stdin(const char *path) {
    return path && strcmp(path, "-") == 0;
}

static void check(nnclr_cli *cli, const settings *s) {
    if (cli->operand_count == 0)
        nnclr_cli_usage(cli, "no input: give a checkpoint or an embedding file");
    int readers = is_stdin(s->query) + is_stdin(s->query_shard);
    for (int i = 0; i < cli->operand_count; i++)
        readers += is_stdin(cli->operands[i]);
    if (readers > 1)
        nnclr_cli_usage(cli, "only one of the files can be standard input");
    if (s->sheet && cli->operand_count < 2)
        nnclr_cli_usage(cli, "--sheet needs the pictures: give the SHARDs behind the file");
    if (is_stdin(s->sheet))
        nnclr_cli_usage(cli, "--sheet: standard output is the table's: give a file");
    if (s->query_shard && !s->query)
        nnclr_cli_usage(cli, "--query-shard goes with --query");
    if (s->sheet && s->query && !s->query_shard)
        nnclr_cli_usage(cli, "--sheet with --query needs the queries' pictures too: give "
                             "--query-shard SHARD");
}

int main(int argc, char **argv) {
    settings s = {.k = 8, .queries = 16};
    const nnclr_option options[] = {
        {"k", 'k', NNCLR_OPTION_INT, &s.k, "K", .low = 1, .high = 1000,
         .help = "neighbours of each query"},
        {"queries", 'n', NNCLR_OPTION_INT, &s.queries, "N", .low = 1, .high = 1000000,
         .help = "how many rows to draw as queries"},
        {"query", 0, NNCLR_OPTION_TEXT, &s.query, "FILE",
         .help = "draw the queries from this embedding file or checkpoint instead of from the "
                 "rows themselves"},
        {"query-shard", 0, NNCLR_OPTION_TEXT, &s.query_shard, "SHARD",
         .help = "the pictures of --query's rows"},
        {"sheet", 0, NNCLR_OPTION_TEXT, &s.sheet, "OUT.png",
         .help = "draw each query with its neighbours; needs the SHARDs"},
        {"seed", 0, NNCLR_OPTION_INT, &s.seed, "S", .low = 0, .high = 9e18,
         .help = "which rows are drawn"},
        {"json", 0, NNCLR_OPTION_FLAG, &s.json, .help = "print the table as JSON"},
        {"html", 0, NNCLR_OPTION_ABSENT, .help = "not offered yet; give --sheet OUT.png"},
        {"report", 0, NNCLR_OPTION_ABSENT,
         .help = "not offered yet; the table holds the neighbours"},
        {"ansi", 0, NNCLR_OPTION_ABSENT, .help = "not offered yet; give --sheet OUT.png"},
    };
    const nnclr_program program = {
        .name = "nnclr-queue-inspect",
        .summary = "Shows the neighbours in a support set or an embedding file.",
        .usage = "[options] FILE [SHARD...]",
        .notes = "FILE is a checkpoint of nnclr-pretrain or a file of nnclr-embed; the SHARDs are "
                 "those it was made from, in the same order.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    nnclr_cli cli;
    inspector x = {0};
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_cli_begin(&cli, &program, argc, argv);
    check(&cli, &s);
    if (!open_sets(&cli, &s, &x, &e) || !open_pictures(&cli, &s, &x, &e) ||
        !inspect(&cli, &s, &x, &e) || (s.sheet && !write_sheet(&cli, &s, &x, &e)))
        nnclr_cli_die(&cli, &e);
    print_summary(&cli, &x);
    print_table(&cli, s.json, &x);
    close_all(&x);
    nnclr_cli_end(&cli, NNCLR_EXIT_DONE);
}
