#include "cmd/inspector.h"

#include <fnmatch.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/threads.h"
#include "cmd/pictures.h"
#include "eval/neighbour_sheet.h"
#include "eval/picture_rows.h"

static bool open_sets(inspector *x, nnclr_error *e) {
    const char *path = x->cli->operands[0], *query = x->settings->query;
    if (!nnclr_row_set_open(&x->bank, path, e))
        return false;
    if (!query)
        return true;
    if (x->settings->query_is_pictures) {
        x->query_shards = pictures_open(x->cli, &query, 1, PICTURES_CACHE, e);
        return x->query_shards &&
               nnclr_row_set_of_pictures(&x->asking, query, x->query_shards, &x->bank,
                                         x->settings->model, x->settings->prefix, x->cli->threads,
                                         &x->progress, e);
    }
    if (!nnclr_row_set_open(&x->asking, query, e))
        return false;
    if (x->settings->model)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s has rows already: leave -m out", query);
    if (x->asking.rows.d != x->bank.rows.d)
        return nnclr_fail(
            e, NNCLR_ERROR_INPUT,
            "%s has rows of %d numbers, but %s has rows of %d: queries for a support set are "
            "made with nnclr-embed --layer projection",
            query, x->asking.rows.d, path, x->bank.rows.d);
    return true;
}

static nnclr_shard_set *open_shards(nnclr_cli *cli, const char *const *paths, size_t count,
                                    const nnclr_row_set *set, const char *set_path,
                                    nnclr_error *e) {
    nnclr_shard_set *shards = pictures_open(cli, paths, count, PICTURES_CACHE, e);
    if (shards && !nnclr_row_set_check_shards(set, set_path, shards, e)) {
        nnclr_shard_set_close(shards);
        return NULL;
    }
    return shards;
}

static bool open_pictures(inspector *x, nnclr_error *e) {
    const nnclr_cli *cli = x->cli;
    const settings *s = x->settings;
    if (cli->operand_count > 1) {
        x->shards = open_shards(x->cli, (const char *const *)cli->operands + 1,
                                (size_t)cli->operand_count - 1, &x->bank, cli->operands[0], e);
        if (!x->shards)
            return false;
    }
    if (!s->query)
        x->query_shards = x->shards;
    else if (s->query_shard)
        x->query_shards = open_shards(x->cli, &s->query_shard, 1, &x->asking, s->query, e);
    return x->query_shards || !s->query_shard;
}

static bool learn_bytes(inspector *x, nnclr_error *e) {
    return nnclr_row_set_learn_bytes(&x->bank, x->shards, e) &&
           (!x->settings->query || nnclr_row_set_learn_bytes(&x->asking, x->query_shards, e));
}

/* From the first call on, signals are caught so that the work ends cleanly; before it, and after
 * inspector_progress_end, they act at once. */
static bool tell(void *context, const char *unit, int64_t done, int64_t total, const char *note) {
    inspector *x = context;
    if (!x->watched)
        nnclr_cli_catch(x->cli, NULL);
    x->watched = true;
    nnclr_cli_progress(x->cli, unit, done, total, note);
    return nnclr_cli_stop == 0;
}

void inspector_progress_end(inspector *x) {
    if (!x->watched)
        return;
    x->watched = false;
    nnclr_cli_progress_end(x->cli);
    if (x->cli->ranks.ranks == 1) /* otherwise all end together, or none */
        nnclr_cli_release();
}

bool inspector_open(inspector *x, nnclr_cli *cli, const settings *s, nnclr_error *e) {
    x->cli = cli;
    x->settings = s;
    x->progress = (nnclr_progress){.tell = tell, .context = x};
    return open_sets(x, e) && open_pictures(x, e) && learn_bytes(x, e) &&
           (x->pool = nnclr_pool_create(cli->threads, e)) != NULL &&
           nnclr_engine_open(&x->oracle, NNCLR_ENGINE_CPU, NNCLR_PRECISION_F64, x->pool, e);
}

const char *inspector_title(const inspector *x) {
    const char *path = x->bank.path, *at = strrchr(path, '/');
    while (at && at > path && at[-1] != '/')
        at--;
    return at ? at : path;
}

bool inspector_wants_table(const settings *s) {
    return (!s->sheet && !s->html && !s->map) || s->table || s->json || !isatty(STDOUT_FILENO);
}

void inspector_close(inspector *x) {
    nnclr_engine_close(&x->oracle);
    nnclr_pool_free(x->pool);
    if (x->query_shards != x->shards)
        nnclr_shard_set_close(x->query_shards);
    nnclr_shard_set_close(x->shards);
    nnclr_row_set_close(&x->asking);
    nnclr_row_set_close(&x->bank);
}

/* ---- queries that are named ---- */

static int64_t choose_record(const nnclr_row_set *set, int64_t record, bool *chosen) {
    int64_t count = 0;
    for (int64_t i = 0; i < set->rows.n; i++)
        if (set->record[i] == record && !chosen[i]) {
            chosen[i] = true;
            count++;
        }
    return count;
}

/* "3,17,200" */
static bool choose_records(const nnclr_row_set *set, const char *list, bool *chosen,
                           nnclr_error *e) {
    for (const char *at = list;; at++) {
        char text[24];
        size_t size = strcspn(at, ",");
        int64_t record;
        if (size == 0 || size >= sizeof text)
            break;
        memcpy(text, at, size);
        text[size] = '\0';
        if (!nnclr_parse_int(text, 0, INT64_MAX, &record))
            break;
        if (choose_record(set, record, chosen) == 0)
            return nnclr_fail(e, NNCLR_ERROR_USAGE, "--query-record: no row is of record %s%s",
                              text,
                              set->step ? " (a support set holds only the newest pictures)" : "");
        at += size;
        if (*at == '\0')
            return true;
    }
    return nnclr_fail(e, NNCLR_ERROR_USAGE,
                      "--query-record: \"%s\" is not a list of record numbers such as 3,17,200",
                      list);
}

static bool choose_names(const nnclr_row_set *set, const nnclr_shard_set *shards,
                         const char *pattern, bool *chosen, nnclr_error *e) {
    int64_t count = 0;
    for (int64_t i = 0; i < set->rows.n; i++) {
        const char *name = nnclr_row_set_name(set, shards, i);
        if (name && set->record[i] >= 0 && fnmatch(pattern, name, 0) == 0) {
            chosen[i] = true;
            count++;
        }
    }
    if (count > 0)
        return true;
    return nnclr_fail(
        e, NNCLR_ERROR_USAGE, "--query-name: no row's picture is named \"%s\"%s", pattern,
        set->names || shards ? "" : ": the names are in the shards, which are not given");
}

bool inspector_ask(inspector *x, nnclr_inspection *out, nnclr_error *e) {
    const settings *s = x->settings;
    const nnclr_row_set *set = inspector_asking(x);
    const bool named = s->query_record || s->query_name;
    const bool all = named || s->query_is_pictures;
    bool *chosen = NULL;
    if (named && !(chosen = nnclr_alloc_zero((size_t)set->rows.n, sizeof *chosen, e)))
        return false;
    bool ok = (!s->query_record || choose_records(set, s->query_record, chosen, e)) &&
              (!s->query_name || choose_names(set, x->query_shards, s->query_name, chosen, e)) &&
              nnclr_inspect(x->pool, &x->bank, set, chosen,
                            all && !nnclr_cli_given(x->cli, "queries") ? set->rows.n : s->queries,
                            (int)s->k, (uint64_t)s->seed, &x->progress, out, e);
    nnclr_free(chosen);
    return ok;
}
