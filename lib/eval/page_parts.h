/* Inside of the page: page.c puts it together, page_sections.c writes the sections with pictures,
 * page_picture.c the pictures. */
#ifndef NNCLR_EVAL_PAGE_PARTS_H
#define NNCLR_EVAL_PAGE_PARTS_H

#include "eval/duplicates.h"
#include "eval/graph_reports.h"
#include "eval/health.h"
#include "eval/markup.h"
#include "eval/page.h"

enum { PAGE_GROUPS = 24, PAGE_GROUP_ROWS = 6, PAGE_RANKED = 24 };

typedef struct page {
    nnclr_markup m;
    const nnclr_inspection *x;
    const nnclr_page_options *options;
    const nnclr_row_set *bank, *queries;
    int k;

    nnclr_health health;
    nnclr_row_graph graph;
    nnclr_class_report classes;
    nnclr_label_report labels;
    nnclr_ranking outliers;
    nnclr_duplicate_report duplicates, leaks;

    size_t picture_bytes; /* encoded, of each at most */
    nnclr_buffer encoded; /* scratch */
    nnclr_buffer
        *smaller[2]; /* [records of `shards` and of `query_shards`]: what was encoded again */
} page;

static inline bool page_is_queue(const page *p) {
    return p->bank->step != NULL;
}
/* Queries come from another file. */
static inline bool page_has_queries(const page *p) {
    return p->queries != p->bank;
}
static inline nnclr_shard_set *page_shards(const page *p, const nnclr_row_set *set) {
    return set == p->bank ? p->options->shards : p->options->query_shards;
}
static inline const char *page_name(const page *p, const nnclr_row_set *set, int64_t row) {
    return nnclr_row_set_name(set, page_shards(p, set), row);
}

/* <div class="box"> with the row's picture, or with a word for an initial row. */
void page_picture(page *p, const nnclr_row_set *set, int64_t row);
void page_pictures_free(page *p);

void page_neighbours(page *p);
void page_classes(page *p);
void page_duplicates(page *p);
void page_labels(page *p);
void page_outliers(page *p);
void page_leaks(page *p);

#endif
