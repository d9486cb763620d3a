#include "eval/graph_reports.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/sorted.h"

/* ---- the graph ---- */

static void keep_chunk(void *context, int64_t first, int64_t count,
                       const nnclr_neighbour *neighbours) {
    const nnclr_row_graph *g = context;
    memcpy(g->neighbours + first * g->k, neighbours,
           (size_t)count * (size_t)g->k * sizeof *neighbours);
}

bool nnclr_row_graph_make(nnclr_pool *pool, nnclr_communicator *ranks, const nnclr_row_set *bank,
                          const nnclr_row_set *set, int k, const nnclr_progress *progress,
                          nnclr_row_graph *out, nnclr_error *e) {
    nnclr_communicator self = nnclr_communicator_self();
    *out = (nnclr_row_graph){.bank = bank, .set = set, .k = k};
    bool *candidate = nnclr_alloc((size_t)bank->rows.n, sizeof *candidate, e);
    if (candidate)
        out->neighbours = nnclr_alloc((size_t)set->rows.n, (size_t)k * sizeof *out->neighbours, e);
    bool ok = nnclr_agree(ranks ? ranks : &self, NULL, e);
    for (int64_t i = 0; ok && i < bank->rows.n; i++)
        candidate[i] = bank->record[i] >= 0;
    const nnclr_nearest_options options = {.k = k,
                                           .candidate = candidate,
                                           .bank_record = bank->record,
                                           .progress = progress,
                                           .ranks = ranks,
                                           .exclude = bank == set ? bank->record : NULL};
    ok = ok && nnclr_nearest_each(pool, &bank->rows, &set->rows, &options, 0, keep_chunk, out, e);
    nnclr_free(candidate);
    if (!ok)
        nnclr_row_graph_free(out);
    return ok;
}

void nnclr_row_graph_free(nnclr_row_graph *graph) {
    nnclr_free(graph->neighbours);
    *graph = (nnclr_row_graph){0};
}

static bool shows_picture(const nnclr_row_set *set, int64_t row) {
    return set->record[row] >= 0;
}

/* ---- classes ---- */

static int by_share(const void *a, const void *b) {
    const nnclr_class_pair *x = a, *y = b;
    if (x->label != y->label)
        return x->label < y->label ? -1 : 1;
    if (x->share != y->share)
        return x->share > y->share ? -1 : 1;
    return (x->neighbour_label > y->neighbour_label) - (x->neighbour_label < y->neighbour_label);
}

static int labelled_neighbours(const nnclr_row_graph *g, int64_t row) {
    const nnclr_neighbour *of = nnclr_row_graph_of(g, row);
    int count = 0;
    for (int i = 0; i < g->k && of[i].row >= 0; i++)
        count += g->bank->label[of[i].row] >= 0;
    return count;
}

static bool counts_for_classes(const nnclr_row_graph *g, int64_t row) {
    return shows_picture(g->set, row) && g->set->label[row] >= 0 && labelled_neighbours(g, row) > 0;
}

/* One pair of labels and its weight; sorted, so that equal pairs are added up. */
typedef struct vote {
    int64_t label, neighbour_label;
    double weight;
} vote;

static int by_labels(const void *a, const void *b) {
    const vote *x = a, *y = b;
    if (x->label != y->label)
        return x->label < y->label ? -1 : 1;
    if (x->neighbour_label != y->neighbour_label)
        return x->neighbour_label < y->neighbour_label ? -1 : 1;
    return (x->weight > y->weight) - (x->weight < y->weight);
}

/* A row's neighbours, and a vote of 0 for its own class, so that (c, c) is always there. */
static size_t collect_votes(const nnclr_row_graph *g, vote *votes) {
    size_t count = 0;
    for (int64_t row = 0; row < g->set->rows.n; row++) {
        if (!counts_for_classes(g, row))
            continue;
        const nnclr_neighbour *of = nnclr_row_graph_of(g, row);
        const double weight = 1.0 / labelled_neighbours(g, row);
        const int64_t label = g->set->label[row];
        votes[count++] = (vote){label, label, 0};
        for (int i = 0; i < g->k && of[i].row >= 0; i++)
            if (g->bank->label[of[i].row] >= 0)
                votes[count++] = (vote){label, g->bank->label[of[i].row], weight};
    }
    qsort(votes, count, sizeof *votes, by_labels);
    return count;
}

/* labels [n]: those of all rows, sorted. Returns how many there are. */
static int64_t sort_labels(const nnclr_row_set *set, int64_t *labels) {
    int64_t count = 0;
    for (int64_t i = 0; i < set->rows.n; i++)
        if (shows_picture(set, i) && set->label[i] >= 0)
            labels[count++] = set->label[i];
    nnclr_sort(labels, (size_t)count);
    return count;
}

/* Adds votes up into pairs. Each row has one vote of weight 0. */
static void add_up(nnclr_class_report *out, const vote *votes, size_t count, const int64_t *labels,
                   int64_t labelled) {
    double agree = 0, chance = 0;
    for (size_t i = 0, end; i < count; i = end) {
        nnclr_class_pair pair = {.label = votes[i].label,
                                 .neighbour_label = votes[i].neighbour_label};
        int64_t own = 0, of_class = 0;
        for (end = i; end < count && votes[end].label == pair.label &&
                      votes[end].neighbour_label == pair.neighbour_label;
             end++) {
            own += votes[end].weight == 0;
            pair.share += votes[end].weight;
        }
        of_class = (int64_t)(nnclr_lower_bound(labels, (size_t)labelled, pair.neighbour_label + 1) -
                             nnclr_lower_bound(labels, (size_t)labelled, pair.neighbour_label));
        pair.chance = (double)of_class / (double)labelled;
        if (pair.label == pair.neighbour_label) {
            agree += pair.share;
            chance += pair.chance * (double)own;
            out->rows += own;
            pair.rows = own;
        }
        out->pairs[out->count++] = pair;
    }
    out->purity = agree / (double)out->rows;
    out->chance = chance / (double)out->rows;
}

/* So far only (c, c) has the number of rows of its class. */
static void spread_rows(nnclr_class_report *out) {
    for (size_t i = 0, end; i < out->count; i = end) {
        int64_t rows = 0;
        for (end = i; end < out->count && out->pairs[end].label == out->pairs[i].label; end++)
            rows += out->pairs[end].rows;
        for (size_t j = i; j < end; j++) {
            out->pairs[j].rows = rows;
            out->pairs[j].share /= (double)rows;
        }
    }
}

bool nnclr_report_classes(const nnclr_row_graph *g, nnclr_class_report *out, nnclr_error *e) {
    const size_t n = (size_t)g->set->rows.n;
    *out = (nnclr_class_report){.purity = NAN, .chance = NAN};
    bool ok = false;
    size_t most;
    vote *votes = NULL;
    int64_t *labels = NULL;
    if (!nnclr_size_mul(n, (size_t)g->k + 1, &most)) {
        nnclr_fail(e, NNCLR_ERROR_LIMIT, "%zu rows of %d neighbours are too many", n, g->k);
        goto done;
    }
    votes = nnclr_alloc(most, sizeof *votes, e);
    labels = nnclr_alloc((size_t)g->bank->rows.n, sizeof *labels, e);
    if (!votes || !labels)
        goto done;
    size_t count = collect_votes(g, votes), pairs = 0;
    for (size_t i = 0; i < count; i++)
        pairs += i == 0 || votes[i].label != votes[i - 1].label ||
                 votes[i].neighbour_label != votes[i - 1].neighbour_label;
    out->pairs = nnclr_alloc(pairs, sizeof *out->pairs, e);
    if (!out->pairs)
        goto done;
    if (count > 0) {
        add_up(out, votes, count, labels, sort_labels(g->bank, labels));
        spread_rows(out);
        qsort(out->pairs, out->count, sizeof *out->pairs, by_share);
    }
    ok = true;
done:
    nnclr_free(labels);
    nnclr_free(votes);
    return ok;
}

void nnclr_class_report_free(nnclr_class_report *report) {
    nnclr_free(report->pairs);
    *report = (nnclr_class_report){0};
}

/* ---- hubs and outliers ---- */

static int by_value(const void *a, const void *b) {
    const nnclr_ranked_row *x = a, *y = b;
    if (x->value != y->value)
        return x->value > y->value ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* Mean and skewness: the third central moment over the deviation's third power. */
static void finish_ranking(nnclr_ranking *out) {
    double sum = 0, second = 0, third = 0;
    for (size_t i = 0; i < out->count; i++)
        sum += out->rows[i].value;
    out->mean = sum / (double)out->count;
    for (size_t i = 0; i < out->count; i++) {
        double off = out->rows[i].value - out->mean;
        second += off * off / (double)out->count;
        third += off * off * off / (double)out->count;
    }
    out->skewness = second > 0 ? third / (second * sqrt(second)) : NAN;
    qsort(out->rows, out->count, sizeof *out->rows, by_value);
}

bool nnclr_report_hubs(const nnclr_row_graph *g, nnclr_ranking *out, nnclr_error *e) {
    const int64_t n = g->bank->rows.n;
    *out = (nnclr_ranking){0};
    int64_t *occurrences = nnclr_alloc_zero((size_t)n, sizeof *occurrences, e);
    out->rows = nnclr_alloc((size_t)n, sizeof *out->rows, e);
    if (!occurrences || !out->rows) {
        nnclr_free(occurrences);
        nnclr_ranking_free(out);
        return false;
    }
    for (int64_t row = 0; row < g->set->rows.n; row++) {
        const nnclr_neighbour *of = nnclr_row_graph_of(g, row);
        for (int i = 0; shows_picture(g->set, row) && i < g->k && of[i].row >= 0; i++)
            occurrences[of[i].row]++;
    }
    for (int64_t row = 0; row < n; row++)
        if (shows_picture(g->bank, row))
            out->rows[out->count++] = (nnclr_ranked_row){(double)occurrences[row], row};
    finish_ranking(out);
    nnclr_free(occurrences);
    return true;
}

bool nnclr_report_outliers(const nnclr_row_graph *g, nnclr_ranking *out, nnclr_error *e) {
    const int64_t n = g->set->rows.n;
    *out = (nnclr_ranking){.rows = nnclr_alloc((size_t)n, sizeof *out->rows, e)};
    if (!out->rows)
        return false;
    for (int64_t row = 0; row < n; row++) {
        const nnclr_neighbour *of = nnclr_row_graph_of(g, row);
        double sum = 0;
        int count = 0;
        for (; count < g->k && of[count].row >= 0; count++)
            sum += 1 - of[count].cosine;
        if (shows_picture(g->set, row) && count > 0)
            out->rows[out->count++] = (nnclr_ranked_row){sum / count, row};
    }
    finish_ranking(out);
    return true;
}

void nnclr_ranking_free(nnclr_ranking *ranking) {
    nnclr_free(ranking->rows);
    *ranking = (nnclr_ranking){0};
}

/* ---- labels ---- */

static int by_doubt(const void *a, const void *b) {
    const nnclr_label_doubt *x = a, *y = b;
    if (x->doubt != y->doubt)
        return x->doubt > y->doubt ? -1 : 1;
    if (x->witness.cosine != y->witness.cosine)
        return x->witness.cosine > y->witness.cosine ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* What the neighbours say of a row's label; false: nothing against it. */
static bool judge(const nnclr_row_graph *g, int64_t row, double temperature,
                  nnclr_label_doubt *out) {
    const nnclr_neighbour *of = nnclr_row_graph_of(g, row);
    const int64_t *label = g->bank->label, own = g->set->label[row];
    const double nearest = of[0].cosine; /* the largest: no weight overflows */
    double total = 0, best = 0, mine = 0;
    *out = (nnclr_label_doubt){.row = row, .suggested = -1, .witness.row = -1};
    for (int i = 0; i < g->k && of[i].row >= 0; i++)
        if (label[of[i].row] >= 0)
            total += exp((of[i].cosine - nearest) / temperature);
    /* k is small: a sum for each neighbour's class, taken at the class's first one. */
    for (int i = 0; i < g->k && of[i].row >= 0; i++) {
        int64_t class = label[of[i].row];
        double sum = 0;
        bool first = class >= 0;
        for (int j = 0; first && j < i; j++)
            first = label[of[j].row] != class;
        for (int j = i; first && j < g->k && of[j].row >= 0; j++)
            if (label[of[j].row] == class)
                sum += exp((of[j].cosine - nearest) / temperature);
        if (class == own && first)
            mine = sum;
        else if (first && sum > best) {
            best = sum;
            out->suggested = class;
            out->witness = of[i];
        }
    }
    if (best <= mine)
        return false;
    out->share = mine / total;
    out->suggested_share = best / total;
    out->doubt = (best - mine) / total;
    return true;
}

bool nnclr_report_labels(const nnclr_row_graph *g, double temperature, nnclr_label_report *out,
                         nnclr_error *e) {
    const int64_t n = g->set->rows.n;
    *out = (nnclr_label_report){.doubts = nnclr_alloc((size_t)n, sizeof *out->doubts, e)};
    if (!out->doubts)
        return false;
    for (int64_t row = 0; row < n; row++) {
        if (!counts_for_classes(g, row))
            continue;
        out->rows++;
        out->count += judge(g, row, temperature, &out->doubts[out->count]);
    }
    qsort(out->doubts, out->count, sizeof *out->doubts, by_doubt);
    return true;
}

void nnclr_label_report_free(nnclr_label_report *report) {
    nnclr_free(report->doubts);
    *report = (nnclr_label_report){0};
}
