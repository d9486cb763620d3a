/* Internals of the pages: page.c puts the one about rows together, page_sections.c writes its
 * sections with pictures, page_picture.c the pictures, and page_curves.c the curves of runs, on a
 * page of their own as well. */
#ifndef NNCLR_EVAL_PAGE_PARTS_H
#define NNCLR_EVAL_PAGE_PARTS_H

#include "eval/curve_charts.h"
#include "eval/duplicates.h"
#include "eval/graph_reports.h"
#include "eval/health.h"
#include "eval/markup.h"
#include "eval/page.h"

enum {
    PAGE_GROUPS = 24,
    PAGE_GROUP_ROWS = 6,
    PAGE_RANKED = 24,
    PAGE_OPEN_QUERIES = 24, /* more are folded, */
    PAGE_OPEN_GROUPS = 8,   /* and so is what comes after these */
    PAGE_OPEN_CLASSES = 12
};

typedef struct page {
    nnclr_markup m;
    const nnclr_inspection *found;
    const nnclr_page_options *options;
    const nnclr_row_set *bank, *queries;
    int k;

    nnclr_health health;
    nnclr_row_graph graph;
    nnclr_class_report classes;
    nnclr_label_report labels;
    nnclr_ranking outliers;
    nnclr_duplicate_report duplicates, leaks;

    int64_t *query_of; /* [records of query_shards]: the first query of that picture, or -1 */

    /* Each picture is stored once, in a rule of the style sheet. */
    nnclr_markup pictures;
    int stored;
    int *numbers[2]; /* [records of `shards` and of `query_shards`]: from 1; 0: not stored yet */
    size_t picture_bytes; /* encoded, at most this many for each */
    nnclr_buffer encoded; /* scratch */
} page;

static inline bool page_is_queue(const page *p) {
    return p->bank->step != NULL;
}
/* Whether queries come from another file. */
static inline bool page_has_queries(const page *p) {
    return p->queries != p->bank;
}
static inline nnclr_shard_set *page_shards(const page *p, const nnclr_row_set *set) {
    return set == p->bank ? p->options->shards : p->options->query_shards;
}
static inline const char *page_name(const page *p, const nnclr_row_set *set, int64_t row) {
    return nnclr_row_set_name(set, page_shards(p, set), row);
}

/* The query that shows the row's picture, which is #qN on the page; -1: there is none. */
static inline int64_t page_query_of(const page *p, const nnclr_row_set *set, int64_t row) {
    const int64_t record = set->record[row];
    return set == p->queries && record >= 0 ? p->query_of[record] : -1;
}

/* Whether `share` is no better than chance, within two standard errors over so many rows. */
bool page_is_chance(double share, double chance, int64_t rows);

/* An element of class "box" with the row's picture, or with a word for an initial row. */
void page_picture(page *p, const nnclr_row_set *set, int64_t row);
/* A name from outside, in which lines may break after a slash. */
void page_name_text(page *p, const char *name);
void page_pictures_free(page *p);

/* What is before the style's own rules, which "</style></head><body>" ends, and after the content.
 */
void page_head(nnclr_markup *m, const char *title, const char *what);
void page_foot(nnclr_markup *m, const char *program);
/* The charts that there are numbers for, at most NNCLR_PAGE_RUNS runs. */
void page_curves(nnclr_markup *m, const nnclr_curve_run *runs, int count);

void page_neighbours(page *p);
void page_classes(page *p);
void page_duplicates(page *p);
void page_labels(page *p);
void page_outliers(page *p);
void page_leaks(page *p);

#endif
