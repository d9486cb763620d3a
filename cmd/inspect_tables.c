#include "cmd/inspect_tables.h"

#include <math.h>
#include <stdio.h>

#include "base/files.h"
#include "eval/map_picture.h"

#define BEGIN(x, ...)                                                                              \
    nnclr_table_begin((x)->cli, (x)->settings->json, (const char *const[]){__VA_ARGS__},           \
                      (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)))

/* A number that is not known (-1) is an empty field. */
static void put_number(nnclr_table *table, int64_t number) {
    if (number < 0)
        nnclr_table_text(table, NULL);
    else
        nnclr_table_int(table, number);
}

static const char *bank_name(const inspector *x, int64_t row) {
    return nnclr_row_set_name(&x->bank, x->shards, row);
}

static const char *asking_name(const inspector *x, int64_t row) {
    return nnclr_row_set_name(inspector_asking(x), x->query_shards, row);
}

/* ---- neighbours ---- */

static void print_neighbour(nnclr_table *table, const inspector *x, int64_t query, int rank,
                            nnclr_neighbour neighbour) {
    const nnclr_row_set *bank = &x->bank, *queries = inspector_asking(x);
    nnclr_table_int(table, queries->record[query]);
    nnclr_table_int(table, rank + 1);
    put_number(table, bank->record[neighbour.row]);
    nnclr_table_real(table, neighbour.cosine, 6);
    put_number(table, nnclr_row_set_age(bank, neighbour.row));
    nnclr_table_text(table, nnclr_row_set_class(queries, query));
    nnclr_table_text(table, nnclr_row_set_class(bank, neighbour.row));
    nnclr_table_text(table, asking_name(x, query));
    nnclr_table_text(table, bank_name(x, neighbour.row));
    nnclr_table_row_end(table);
}

void print_neighbours(const inspector *x, const nnclr_inspection *found) {
    nnclr_table *table = BEGIN(x, "query", "rank", "neighbour", "cosine", "age", "query_label",
                               "neighbour_label", "query_name", "neighbour_name");
    for (int64_t i = 0; i < found->count; i++)
        for (int rank = 0; rank < found->k; rank++)
            if (found->neighbours[i * found->k + rank].row >= 0)
                print_neighbour(table, x, found->query[i], rank,
                                found->neighbours[i * found->k + rank]);
    nnclr_table_end(table);
}

/* ---- health ---- */

static void put_measure(nnclr_table *table, const char *measure, const char *part, double value,
                        int digits) {
    nnclr_table_text(table, measure);
    nnclr_table_text(table, part);
    nnclr_table_real(table, value, digits);
    nnclr_table_row_end(table);
}

static bool print_health(inspector *x, nnclr_error *e) {
    nnclr_health h;
    char part[60];
    if (!nnclr_measure_health(&x->oracle, &x->bank, (uint64_t)x->settings->seed, &x->progress, &h,
                              e))
        return false;
    inspector_progress_end(x);
    nnclr_cli_note(x->cli, "effective rank %.1f of %d dimensions; %.1f %% initial rows",
                   h.effective_rank, h.d, 100 * h.initial);
    nnclr_table *table = BEGIN(x, "measure", "part", "value");
    put_measure(table, "rows", NULL, (double)h.rows, 0);
    put_measure(table, "records", NULL, (double)h.records, 0);
    put_measure(table, "dimensions", NULL, h.d, 0);
    put_measure(table, "initial", NULL, h.initial, 6);
    put_measure(table, "effective_rank", NULL, h.effective_rank, 6);
    put_measure(table, "uniformity", NULL, h.uniformity, 6);
    put_measure(table, "alignment", NULL, h.alignment, 6);
    put_measure(table, "class_alignment", NULL, h.class_alignment, 6);
    put_measure(table, "std_mean", NULL, h.std_mean, 6);
    put_measure(table, "std_least", NULL, h.std_least, 6);
    put_measure(table, "std_most", NULL, h.std_most, 6);
    put_measure(table, "std_even", NULL, h.std_even, 6);
    for (int i = 0; i < h.bins; i++) {
        snprintf(part, sizeof part, "%lld-%lld", (long long)(i * h.bin_width),
                 (long long)((i + 1) * h.bin_width - 1));
        put_measure(table, "age", part, (double)h.bin[i], 0);
    }
    for (int c = 0; c < h.d && isfinite(h.std_mean); c++) {
        snprintf(part, sizeof part, "%d", c);
        put_measure(table, "std", part, h.std[c], 6);
    }
    nnclr_table_end(table);
    nnclr_health_free(&h);
    return true;
}

/* ---- reports from the graph ---- */

static const char *class_name(const nnclr_row_set *set, int64_t label) {
    return label < (int64_t)set->class_count ? set->classes[label] : NULL;
}

static bool print_classes(const inspector *x, const nnclr_row_graph *graph, nnclr_error *e) {
    nnclr_class_report report;
    bool ok = nnclr_report_classes(graph, &report, e);
    if (ok && report.rows == 0)
        ok = nnclr_fail(
            e, NNCLR_ERROR_INPUT,
            "no row with a label has a neighbour with one, so there are no classes to report on");
    if (ok) {
        nnclr_cli_note(x->cli, "purity at %d: %.4f, by chance %.4f", graph->k, report.purity,
                       report.chance);
        nnclr_table *table = BEGIN(x, "class", "neighbour_class", "rows", "share", "chance");
        for (size_t i = 0; i < report.count; i++) {
            const nnclr_class_pair *pair = &report.pairs[i];
            nnclr_table_text(table, class_name(&x->bank, pair->label));
            nnclr_table_text(table, class_name(&x->bank, pair->neighbour_label));
            nnclr_table_int(table, pair->rows);
            nnclr_table_real(table, pair->share, 6);
            nnclr_table_real(table, pair->chance, 6);
            nnclr_table_row_end(table);
        }
        nnclr_table_end(table);
    }
    nnclr_class_report_free(&report);
    return ok;
}

static void put_row(nnclr_table *table, const inspector *x, int64_t row) {
    nnclr_table_int(table, row);
    put_number(table, x->bank.record[row]);
    nnclr_table_text(table, nnclr_row_set_class(&x->bank, row));
    nnclr_table_text(table, bank_name(x, row));
}

static bool print_hubs(const inspector *x, const nnclr_row_graph *graph, nnclr_error *e) {
    nnclr_ranking hubs;
    size_t never = 0;
    if (!nnclr_report_hubs(graph, &hubs, e))
        return false;
    for (size_t i = 0; i < hubs.count; i++)
        never += hubs.rows[i].value == 0;
    nnclr_cli_note(x->cli, "skewness of N_%d: %.3f; %.1f %% of the rows are no one's neighbour",
                   graph->k, hubs.skewness,
                   hubs.count ? 100 * (double)never / (double)hubs.count : 0);
    nnclr_table *table = BEGIN(x, "occurrences", "row", "record", "label", "name");
    for (size_t i = 0; i < hubs.count; i++) {
        nnclr_table_int(table, (int64_t)hubs.rows[i].value);
        put_row(table, x, hubs.rows[i].row);
        nnclr_table_row_end(table);
    }
    nnclr_table_end(table);
    nnclr_ranking_free(&hubs);
    return true;
}

static bool print_outliers(const inspector *x, const nnclr_row_graph *graph, nnclr_error *e) {
    nnclr_ranking outliers;
    if (!nnclr_report_outliers(graph, &outliers, e))
        return false;
    nnclr_cli_note(x->cli,
                   "mean distance to %d neighbours: %.4f; nnclr-prep --exclude would leave out all "
                   "%zu rows: give it the first lines only",
                   graph->k, outliers.mean, outliers.count);
    nnclr_table *table =
        BEGIN(x, "distance", "row", "record", "label", "name", "neighbour", "neighbour_name");
    for (size_t i = 0; i < outliers.count; i++) {
        const nnclr_ranked_row *one = &outliers.rows[i];
        int64_t nearest = nnclr_row_graph_of(graph, one->row)->row;
        nnclr_table_real(table, one->value, 6);
        put_row(table, x, one->row);
        put_number(table, x->bank.record[nearest]);
        nnclr_table_text(table, bank_name(x, nearest));
        nnclr_table_row_end(table);
    }
    nnclr_table_end(table);
    nnclr_ranking_free(&outliers);
    return true;
}

static bool print_labels(const inspector *x, const nnclr_row_graph *graph, nnclr_error *e) {
    nnclr_label_report report;
    bool ok = nnclr_report_labels(graph, x->settings->temperature, &report, e);
    if (ok && report.rows == 0)
        ok = nnclr_fail(
            e, NNCLR_ERROR_INPUT,
            "no row with a label has a neighbour with one, so there are no labels to doubt");
    if (ok) {
        nnclr_cli_note(x->cli, "%zu of %lld labels have more votes against them than for them: %s",
                       report.count, (long long)report.rows,
                       nnclr_labels_unsure(&report)
                           ? "too early to tell; these rows do not yet tell pictures apart well "
                             "enough to judge labels by"
                           : "nnclr-prep --relabel would change them, --exclude leave them out");
        nnclr_table *table =
            BEGIN(x, "doubt", "row", "record", "label", "name", "suggested", "share",
                  "suggested_share", "neighbour", "cosine", "neighbour_name");
        for (size_t i = 0; i < report.count; i++) {
            const nnclr_label_doubt *one = &report.doubts[i];
            nnclr_table_real(table, one->doubt, 6);
            put_row(table, x, one->row);
            nnclr_table_text(table, class_name(&x->bank, one->suggested));
            nnclr_table_real(table, one->share, 6);
            nnclr_table_real(table, one->suggested_share, 6);
            nnclr_table_int(table, x->bank.record[one->witness.row]);
            nnclr_table_real(table, one->witness.cosine, 6);
            nnclr_table_text(table, bank_name(x, one->witness.row));
            nnclr_table_row_end(table);
        }
        nnclr_table_end(table);
    }
    nnclr_label_report_free(&report);
    return ok;
}

static bool print_groups(const inspector *x, const nnclr_row_graph *graph, nnclr_error *e) {
    nnclr_groups groups;
    if (!nnclr_report_groups(graph, &groups, e))
        return false;
    nnclr_cli_note(x->cli, "%lld groups, the largest of %lld rows; modularity %.3f",
                   (long long)groups.count, (long long)(groups.count ? groups.groups[0].count : 0),
                   groups.modularity);
    nnclr_table *table =
        BEGIN(x, "group", "size", "rank", "typical", "row", "record", "label", "name");
    for (int64_t c = 0; c < groups.count; c++)
        for (int64_t i = 0; i < groups.groups[c].count; i++) {
            nnclr_table_int(table, c + 1);
            nnclr_table_int(table, groups.groups[c].count);
            nnclr_table_int(table, i + 1);
            nnclr_table_real(table, groups.groups[c].rows[i].typical, 6);
            put_row(table, x, groups.groups[c].rows[i].row);
            nnclr_table_row_end(table);
        }
    nnclr_table_end(table);
    nnclr_groups_free(&groups);
    return true;
}

/* ---- the map ---- */

static void put_map(const inspector *x, const nnclr_map *map, const nnclr_groups *groups) {
    nnclr_table *table = BEGIN(x, "x", "y", "row", "record", "label", "name", "group", "doubt",
                               "age", "pca_x", "pca_y");
    for (int64_t i = 0; i < map->count; i++) {
        const int64_t row = map->row[i];
        nnclr_table_real(table, map->place[2 * i], 4);
        nnclr_table_real(table, map->place[2 * i + 1], 4);
        put_row(table, x, row);
        nnclr_table_int(table, groups->of[row] + 1);
        nnclr_table_real(table, map->doubt[i], 6);
        put_number(table, nnclr_row_set_age(&x->bank, row));
        nnclr_table_real(table, map->principal[2 * i], 6);
        nnclr_table_real(table, map->principal[2 * i + 1], 6);
        nnclr_table_row_end(table);
    }
    nnclr_table_end(table);
}

static bool draw_map(inspector *x, const nnclr_map *map, const nnclr_groups *groups,
                     nnclr_error *e) {
    nnclr_buffer png = {0};
    const nnclr_map_scene scene = {.set = &x->bank,
                                   .map = map,
                                   .groups = groups,
                                   .shards = x->shards,
                                   .title = inspector_title(x),
                                   .progress = &x->progress};
    const bool ok = nnclr_map_picture(&scene, &png, e) &&
                    nnclr_file_write(x->settings->map, png.data, png.size, e);
    nnclr_buffer_free(&png);
    return ok;
}

static bool print_map(inspector *x, nnclr_error *e) {
    const settings *s = x->settings;
    const nnclr_map_options options = {.perplexity = s->perplexity,
                                       .most = s->map_rows,
                                       .seed = (uint64_t)s->seed,
                                       .progress = &x->progress};
    nnclr_row_graph graph = {0};
    nnclr_label_report labels = {0};
    nnclr_groups groups = {0};
    nnclr_map map;
    bool ok = nnclr_map_make(x->pool, &x->bank, &options, &map, e) &&
              nnclr_row_graph_make(x->pool, NULL, &x->bank, &x->bank, (int)s->k, &x->progress,
                                   &graph, e) &&
              nnclr_report_labels(&graph, s->temperature, &labels, e) &&
              nnclr_map_judge(&map, &x->bank, &labels, e) &&
              nnclr_report_groups(&graph, &groups, e) && (!s->map || draw_map(x, &map, &groups, e));
    inspector_progress_end(x);
    if (ok) {
        nnclr_cli_note(x->cli, "%s%lld of %lld rows on the map, perplexity %g; %lld groups",
                       s->map ? "drawn: " : "", (long long)map.count, (long long)map.shown,
                       map.perplexity, (long long)groups.count);
        if (inspector_wants_table(s))
            put_map(x, &map, &groups);
    }
    nnclr_groups_free(&groups);
    nnclr_label_report_free(&labels);
    nnclr_row_graph_free(&graph);
    nnclr_map_free(&map);
    return ok;
}

/* ---- reports on copies ---- */

static nnclr_copy_options copy_options(const inspector *x) {
    return (nnclr_copy_options){.threshold = x->settings->threshold,
                                .shards = x->shards,
                                .query_shards = x->query_shards,
                                .progress = &x->progress};
}

/* "none", or "3, of 7 rows" */
static void say_groups(long long groups, size_t rows, char *text, size_t size) {
    if (groups == 0)
        snprintf(text, size, "none");
    else
        snprintf(text, size, "%lld, of %zu rows", groups, rows);
}

static const char *bytes_unknown(const nnclr_duplicate_report *report) {
    return report->bytes_known
               ? ""
               : "; which of them are the same bytes is not known without the SHARDs";
}

static bool print_duplicates(inspector *x, nnclr_error *e) {
    const nnclr_copy_options options = copy_options(x);
    nnclr_duplicate_report report;
    char same[80], near[80];
    if (!nnclr_report_duplicates(x->pool, &x->bank, &options, &report, e))
        return false;
    inspector_progress_end(x);
    say_groups(report.byte_groups, report.same_bytes, same, sizeof same);
    say_groups(report.groups - report.byte_groups, report.count - report.same_bytes, near,
               sizeof near);
    nnclr_cli_note(x->cli,
                   "groups of the same bytes: %s; groups of near copies (cosine %g or more): %s%s; "
                   "nnclr-prep --exclude would leave out %zu",
                   same, x->settings->threshold, near, bytes_unknown(&report), report.surplus);
    nnclr_table *table = BEGIN(x, "group", "row", "record", "label", "name", "twin", "cosine",
                               "twin_name", "same", "surplus");
    for (size_t i = 0; i < report.count; i++) {
        const nnclr_duplicate *one = &report.rows[i];
        nnclr_table_int(table, one->group + 1);
        put_row(table, x, one->row);
        nnclr_table_int(table, x->bank.record[one->twin.row]);
        nnclr_table_real(table, one->twin.cosine, 6);
        nnclr_table_text(table, bank_name(x, one->twin.row));
        nnclr_table_text(table, nnclr_sameness_name(one->same));
        nnclr_table_text(table, one->surplus ? "yes" : "no");
        nnclr_table_row_end(table);
    }
    nnclr_table_end(table);
    nnclr_duplicate_report_free(&report);
    return true;
}

static bool print_leaks(inspector *x, nnclr_error *e) {
    const nnclr_copy_options options = copy_options(x);
    nnclr_duplicate_report report;
    if (!nnclr_report_leaks(x->pool, &x->bank, &x->asking, &options, &report, e))
        return false;
    inspector_progress_end(x);
    nnclr_cli_note(x->cli,
                   "%zu of %lld queries are here byte for byte, and %zu more have a near copy, of "
                   "cosine %g or more%s; nnclr-prep --exclude would leave out %zu of what is here",
                   report.same_bytes, (long long)x->asking.rows.n, report.count - report.same_bytes,
                   x->settings->threshold, bytes_unknown(&report), report.surplus);
    nnclr_table *table = BEGIN(x, "cosine", "query", "neighbour", "query_label", "neighbour_label",
                               "query_name", "neighbour_name", "same");
    for (size_t i = 0; i < report.count; i++) {
        const nnclr_duplicate *one = &report.rows[i];
        nnclr_table_real(table, one->twin.cosine, 6);
        nnclr_table_int(table, x->asking.record[one->row]);
        nnclr_table_int(table, x->bank.record[one->twin.row]);
        nnclr_table_text(table, nnclr_row_set_class(&x->asking, one->row));
        nnclr_table_text(table, nnclr_row_set_class(&x->bank, one->twin.row));
        nnclr_table_text(table, asking_name(x, one->row));
        nnclr_table_text(table, bank_name(x, one->twin.row));
        nnclr_table_text(table, nnclr_sameness_name(one->same));
        nnclr_table_row_end(table);
    }
    nnclr_table_end(table);
    nnclr_duplicate_report_free(&report);
    return true;
}

/* ---- all reports ---- */

const inspect_report reports[REPORTS] = {
    {"health", print_health, NULL, false},     {"classes", NULL, print_classes, false},
    {"hubs", NULL, print_hubs, false},         {"duplicates", print_duplicates, NULL, false},
    {"outliers", NULL, print_outliers, false}, {"labels", NULL, print_labels, false},
    {"leaks", print_leaks, NULL, true},        {"groups", NULL, print_groups, false},
    {"map", print_map, NULL, false},
};

bool print_report(inspector *x, nnclr_error *e) {
    const inspect_report *wanted = &reports[x->settings->report];
    nnclr_communicator *ranks = &x->cli->ranks;
    nnclr_row_graph graph;
    if (wanted->print)
        return wanted->print(x, e);
    if (!nnclr_row_graph_make(x->pool, ranks, &x->bank, &x->bank, (int)x->settings->k, &x->progress,
                              &graph, e))
        return false;
    inspector_progress_end(x);
    if (ranks->rank == 0)
        wanted->print_graph(x, &graph, e);
    nnclr_row_graph_free(&graph);
    return nnclr_agree(ranks, NULL, e);
}
