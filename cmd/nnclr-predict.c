/* nnclr-predict: the names of pictures. */
#include <math.h>

#include "base/memory.h"
#include "cmd/option_table.h"
#include "cmd/pictures.h"
#include "cmd/shared_options.h"
#include "eval/namer.h"

typedef struct settings {
    const char *network, *prefix;
    double least;
    bool json;
} settings;

/* A name that is not sure enough is not given as the class, which scripts read, but kept. */
static void print_names(nnclr_cli *cli, const settings *s, const nnclr_namer *n,
                        const nnclr_shard_set *pictures, const nnclr_guess *guesses) {
    static const char *const columns[] = {"name",         "class", "score",       "second",
                                          "second_score", "third", "third_score", "rejected"};
    const size_t count = nnclr_shard_set_count(pictures);
    size_t rejected = 0;
    for (size_t i = 0; i < count; i++)
        rejected += guesses[i * NNCLR_GUESSES].score < s->least;
    nnclr_cli_note(cli, "%zu picture%s named, %zu rejected", count - rejected,
                   count - rejected == 1 ? "" : "s", rejected);
    nnclr_table *table =
        nnclr_table_begin(cli, s->json, columns, (int)(sizeof columns / sizeof *columns));
    for (size_t i = 0; i < count; i++) {
        const nnclr_guess *best = &guesses[i * NNCLR_GUESSES];
        const char *class = nnclr_namer_class(n, best->label);
        const bool reject = best->score < s->least;
        nnclr_table_text(table, nnclr_shard_set_record(pictures, i).name);
        nnclr_table_text(table, reject ? NULL : class);
        nnclr_table_real(table, best->score, 6);
        for (int g = 1; g < NNCLR_GUESSES; g++) {
            nnclr_table_text(table, nnclr_namer_class(n, best[g].label));
            nnclr_table_real(table, best[g].label < 0 ? NAN : best[g].score, 6);
        }
        nnclr_table_text(table, reject ? class : NULL);
        nnclr_table_row_end(table);
    }
    nnclr_table_end(table);
}

static bool name_pictures(nnclr_cli *cli, const settings *s, nnclr_error *e) {
    nnclr_namer n = {0};
    nnclr_shard_set *pictures = NULL;
    nnclr_guess *guesses = NULL;
    const char *const *operands = (const char *const *)cli->operands;
    bool ok = nnclr_namer_open(&n, operands[0], s->network, s->prefix, cli->threads, e) &&
              (pictures = pictures_open(cli, operands + 1, (size_t)cli->operand_count - 1,
                                        PICTURES_CACHE, e)) != NULL;
    ok = ok && (guesses = nnclr_alloc(nnclr_shard_set_count(pictures),
                                      NNCLR_GUESSES * sizeof *guesses, e)) != NULL;
    if (ok) {
        nnclr_cli_catch(cli, NULL);
        const nnclr_progress progress = nnclr_cli_watch(cli);
        ok = nnclr_namer_run(&n, pictures, &progress, guesses, e);
        nnclr_cli_progress_end(cli);
        nnclr_cli_release();
    }
    if (ok)
        print_names(cli, s, &n, pictures, guesses);
    nnclr_free(guesses);
    nnclr_shard_set_close(pictures);
    nnclr_namer_close(&n);
    return ok;
}

int main(int argc, char **argv) {
    settings s = {0};
    const nnclr_option options[] = {
        SHORT('m', INPUT, "model", &s.network, "CHECKPOINT",
              "the network that made the rows of a classifier"),
        PREFIX_OPTION(&s.prefix),
        REAL("least", &s.least, "SCORE", "give no class to a picture whose best score is below it",
             0, 1),
        FLAG("json", &s.json, "print the table as JSON"),
    };
    const nnclr_program program = {
        .name = "nnclr-predict",
        .summary = "Names pictures: which class a trained network or classifier gives them.",
        .usage = "[options] RUN PICTURES...\n-m CHECKPOINT [options] CLASSIFIER PICTURES...",
        .notes =
            "RUN is one of nnclr-finetune, CLASSIFIER a file of nnclr-lineval -o and CHECKPOINT "
            "the network that made its embeddings. PICTURES are pictures, folders, tars or "
            "shards; - is standard input.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    nnclr_cli cli;
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_cli_begin(&cli, &program, argc, argv);
    if (cli.operand_count == 0)
        nnclr_cli_usage(&cli, "no model: give a RUN of nnclr-finetune, or a classifier of "
                              "nnclr-lineval -o with -m CHECKPOINT");
    if (cli.operand_count == 1)
        nnclr_cli_usage(&cli, "no pictures: give some after %s", cli.operands[0]);
    if (s.prefix && !s.network)
        nnclr_cli_usage(&cli, "--prefix goes with -m");
    if (!name_pictures(&cli, &s, &e))
        nnclr_cli_die(&cli, &e);
    nnclr_cli_end(&cli, NNCLR_EXIT_DONE);
}
