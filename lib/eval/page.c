#include "eval/page.h"

#include <math.h>
#include <string.h>

#include "eval/chart.h"
#include "eval/page_parts.h"
#include "eval/page_text.h"

/* A queue is told to have collapsed where its rows spread over a small part of the deviation that
 * even ones have, or over hardly a direction. */
static const double collapsed_spread = 0.2, collapsed_rank = 2;

/* ---- what is known ---- */

static bool measure(page *p, nnclr_error *e) {
    const nnclr_page_options *o = p->options;
    const nnclr_copy_options copies = {.threshold = o->threshold,
                                       .shards = o->shards,
                                       .query_shards = o->query_shards,
                                       .progress = o->progress};
    return nnclr_measure_health(o->oracle, p->bank, o->seed, o->progress, &p->health, e) &&
           nnclr_row_graph_make(o->engine, p->bank, p->bank, p->k, o->progress, &p->graph, e) &&
           nnclr_report_classes(&p->graph, &p->classes, e) &&
           nnclr_report_labels(&p->graph, o->temperature, &p->labels, e) &&
           nnclr_report_outliers(&p->graph, &p->outliers, e) &&
           nnclr_report_duplicates(o->engine, p->bank, &copies, &p->duplicates, e) &&
           (!page_has_queries(p) ||
            nnclr_report_leaks(o->engine, p->bank, p->queries, &copies, &p->leaks, e));
}

static void release(page *p) {
    page_pictures_free(p);
    nnclr_duplicate_report_free(&p->leaks);
    nnclr_duplicate_report_free(&p->duplicates);
    nnclr_ranking_free(&p->outliers);
    nnclr_label_report_free(&p->labels);
    nnclr_class_report_free(&p->classes);
    nnclr_row_graph_free(&p->graph);
    nnclr_health_free(&p->health);
}

/* So many bytes may each picture have, for base64 and the words around it to stay below the page's
 * bound. */
static size_t picture_budget(const page *p) {
    enum { WORDS = 400 };
    const size_t queries = (size_t)p->x->count * (size_t)(p->k + 1);
    const size_t pictures = queries + PAGE_GROUPS * PAGE_GROUP_ROWS + 5 * PAGE_RANKED;
    const size_t each = NNCLR_PAGE_BYTES / pictures;
    return each > WORDS ? (each - WORDS) / 4 * 3 : 0;
}

/* ---- four answers ---- */

static void begin_answer(page *p, const char *section, const char *question, bool warn) {
    nnclr_markup_printf(&p->m, "<li%s><a href=\"#%s\">%s</a><strong>",
                        warn ? " class=\"warn\"" : "", section, question);
}

static void answer_alive(page *p) {
    const nnclr_health *h = &p->health;
    const bool collapsed = h->rows > 1 && h->initial < 1 &&
                           (!(h->effective_rank >= collapsed_rank) ||
                            !(h->std_mean >= collapsed_spread * h->std_even));
    const bool young = h->initial >= 0.5;
    begin_answer(p, "space",
                 page_is_queue(p) ? "Is the queue alive?" : "Do the rows use their space?",
                 collapsed || young);
    nnclr_markup_add(&p->m, collapsed          ? "No: its rows have collapsed"
                            : young            ? "Not yet: it is filling"
                            : page_is_queue(p) ? "It is alive"
                                               : "They do");
    nnclr_markup_add(&p->m, "</strong><span>");
    if (page_is_queue(p))
        nnclr_markup_printf(&p->m, "%.0f&nbsp;%% of %lld rows are still initial ones. ",
                            100 * h->initial, (long long)h->rows);
    if (isfinite(h->effective_rank))
        nnclr_markup_printf(&p->m, "Rows spread over %.1f of %d directions.", h->effective_rank,
                            h->d);
    else
        nnclr_markup_add(&p->m, "No direction in which they differ.");
    nnclr_markup_add(&p->m, "</span></li>\n");
}

static void answer_similar(page *p) {
    const nnclr_class_report *r = &p->classes;
    begin_answer(p, "neighbours", "What does it find similar?", false);
    if (r->rows > 0)
        nnclr_markup_printf(&p->m,
                            "%.0f&nbsp;%% of neighbours share the class</strong><span>Chance would "
                            "give %.0f&nbsp;%%. Mean cosine of the %d nearest: %.2f.</span></li>\n",
                            100 * r->purity, 100 * r->chance, p->k, 1 - p->outliers.mean);
    else
        nnclr_markup_printf(&p->m,
                            "Mean cosine %.2f</strong><span>of a row and its %d nearest. There are "
                            "no labels to compare.</span></li>\n",
                            1 - p->outliers.mean, p->k);
}

/* The class of the least purity, and what stands beside it most. */
static void answer_wrong(page *p) {
    const nnclr_class_report *r = &p->classes;
    const nnclr_class_pair *worst = NULL, *beside = NULL;
    begin_answer(p, "classes", "Where is it wrong?", false);
    for (size_t i = 0; i < r->count; i++)
        if (r->pairs[i].label == r->pairs[i].neighbour_label &&
            (!worst || r->pairs[i].share < worst->share))
            worst = &r->pairs[i];
    for (size_t i = 0; worst && i < r->count; i++)
        if (r->pairs[i].label == worst->label && r->pairs[i].neighbour_label != worst->label &&
            (!beside || r->pairs[i].share > beside->share))
            beside = &r->pairs[i];
    if (!worst) {
        nnclr_markup_add(&p->m, "Not known</strong><span>There are no labels.</span></li>\n");
        return;
    }
    nnclr_markup_add(&p->m, "Least sure of <bdi>");
    nnclr_markup_text(&p->m, p->bank->classes[worst->label]);
    nnclr_markup_printf(&p->m, "</bdi></strong><span>%.0f&nbsp;%% of its neighbours are its own",
                        100 * worst->share);
    if (beside) {
        nnclr_markup_printf(&p->m, ", %.0f&nbsp;%% are <bdi>", 100 * beside->share);
        nnclr_markup_text(&p->m, p->bank->classes[beside->neighbour_label]);
        nnclr_markup_add(&p->m, "</bdi>");
    }
    nnclr_markup_add(&p->m, ".</span></li>\n");
}

/* Where the network takes many pictures for others, what it says of the data means little. */
static bool is_unsure(const page *p) {
    const int64_t rows = (int64_t)p->outliers.count;
    return (int64_t)p->labels.count > p->labels.rows / 4 ||
           (int64_t)p->duplicates.count > rows / 10 ||
           (int64_t)p->leaks.count > p->queries->rows.n / 10;
}

static void answer_clean(page *p) {
    const long long groups = (long long)p->duplicates.groups;
    const bool unsure = is_unsure(p);
    begin_answer(p, page_has_queries(p) && p->leaks.count ? "leaks" : "duplicates",
                 "Is my data clean?", !unsure && p->leaks.count > 0);
    if (unsure)
        nnclr_markup_add(&p->m, "Too early to tell");
    else if (p->leaks.count > 0)
        nnclr_markup_printf(&p->m, "%zu queries are here already", p->leaks.count);
    else if (groups > 0)
        nnclr_markup_printf(&p->m, "%lld group%s of near copies", groups, groups == 1 ? "" : "s");
    else
        nnclr_markup_add(&p->m, "No near copies");
    nnclr_markup_add(&p->m, "</strong><span>");
    if (unsure)
        nnclr_markup_add(&p->m, "These rows tell pictures apart too little to judge the data by. ");
    if (p->labels.rows > 0)
        nnclr_markup_printf(&p->m, "Neighbours doubt %zu of %lld labels. ", p->labels.count,
                            (long long)p->labels.rows);
    if (unsure)
        nnclr_markup_printf(&p->m, "%zu rows are much like another.", p->duplicates.count);
    else if (p->outliers.count > 0)
        nnclr_markup_printf(&p->m,
                            "The loneliest picture is %.2f from its neighbours, the mean %.2f.",
                            p->outliers.rows[0].value, p->outliers.mean);
    nnclr_markup_add(&p->m, "</span></li>\n");
}

/* ---- charts ---- */

typedef struct curve_chart {
    nnclr_curve first;
    int second; /* nnclr_curve; -1: none */
    bool from_zero;
    const char *title, *first_key, *second_key, *about;
} curve_chart;

static const curve_chart curve_charts[] = {
    {NNCLR_CURVE_LOSS, -1, false, "Loss", "loss", NULL,
     "Falls fast, then slowly. A broken queue does not show here: look at the others."},
    {NNCLR_CURVE_ACC, NNCLR_CURVE_CHANCE, true, "Do neighbours share the class?", "neighbours",
     "chance",
     "Picks with the query's label, beside what random rows would give. The gap is what was "
     "learned."},
    {NNCLR_CURVE_RANK, -1, true, "Directions in use", "effective rank", NULL,
     "How many directions the newest rows spread over. A fall towards 1 is collapse."},
    {NNCLR_CURVE_AGE, -1, true, "Age of the picks", "steps", NULL,
     "Should settle near half the age of the oldest row. Near 0 only the newest rows are picked."},
    {NNCLR_CURVE_SELF, NNCLR_CURVE_PRESENT, true, "Does a picture find itself?", "picked itself",
     "is in the queue",
     "High: the queue holds most of the data, and a positive is little more than another view."},
    {NNCLR_CURVE_INITIAL, -1, true, "Picks of initial rows", "share", NULL,
     "Random rows that the queue starts with. Falls to 0 once the queue was filled."},
};

static void put_curves(page *p, const curve_chart *c) {
    const nnclr_history *h = p->options->history;
    const nnclr_chart_line lines[] = {
        {h->value[c->first], c->first_key, "first"},
        {c->second >= 0 ? h->value[c->second] : NULL, c->second_key, "second"}};
    const int count = c->second >= 0 ? 2 : 1;
    bool any = false;
    for (int l = 0; l < count; l++)
        for (int i = 0; i < h->count; i++)
            any = any || isfinite(lines[l].value[i]);
    if (!any)
        return;
    nnclr_markup_printf(&p->m, "<figure><h3>%s</h3><figcaption>", c->title);
    for (int l = 0; l < count; l++) {
        int last = h->count - 1;
        while (last > 0 && !isfinite(lines[l].value[last]))
            last--;
        nnclr_markup_printf(&p->m, "<span class=\"key %s\">%s", lines[l].class, lines[l].name);
        if (isfinite(lines[l].value[last]))
            nnclr_markup_printf(&p->m, " <b class=\"num\">%.3g</b>", lines[l].value[last]);
        nnclr_markup_add(&p->m, "</span>");
    }
    nnclr_markup_add(&p->m, "</figcaption>");
    nnclr_chart_lines(&p->m, c->title, h->step, h->count, lines, count, c->from_zero);
    nnclr_markup_printf(&p->m, "<figcaption>%s</figcaption></figure>\n", c->about);
}

static void put_history(page *p) {
    const nnclr_history *h = p->options->history;
    if (!h || h->count == 0)
        return;
    nnclr_markup_printf(
        &p->m,
        "<section id=\"curves\"><h2>How training went</h2>\n<p class=\"about\">%lld "
        "logged steps, up to step %.0f; across: steps.",
        (long long)(h->lines - h->damaged), h->last_step);
    if (h->damaged > 0)
        nnclr_markup_printf(&p->m, " %lld damaged line%s left out.", (long long)h->damaged,
                            h->damaged == 1 ? " is" : "s are");
    nnclr_markup_add(&p->m, "</p>\n<div class=\"charts\">\n");
    for (size_t i = 0; i < sizeof curve_charts / sizeof *curve_charts; i++)
        put_curves(p, &curve_charts[i]);
    nnclr_markup_add(&p->m, "</div></section>\n");
}

static void put_measure(page *p, const char *name, double value, const char *about) {
    nnclr_markup_printf(&p->m, "<tr><td>%s</td><td class=\"num\">", name);
    if (isfinite(value))
        nnclr_markup_printf(&p->m, "%.3f", value);
    else
        nnclr_markup_add(&p->m, "&ndash;");
    nnclr_markup_printf(&p->m, "</td><td class=\"soft\">%s</td></tr>\n", about);
}

static void put_health(page *p) {
    const nnclr_health *h = &p->health;
    nnclr_markup_printf(
        &p->m,
        "<section id=\"space\"><h2>%s</h2>\n<p class=\"about\">%lld rows of %d numbers, %lld "
        "different pictures.</p>\n<div class=\"charts\">\n",
        page_is_queue(p) ? "Is the queue alive?" : "Do the rows use their space?",
        (long long)h->rows, h->d, (long long)h->records);
    if (h->bins > 0) {
        nnclr_markup_add(&p->m, "<figure><h3>Age of the rows</h3><figcaption>rows by steps since "
                                "they were enqueued</figcaption>");
        nnclr_chart_bars(&p->m, "Rows by age", h->bin, h->bins, h->bin_width);
        nnclr_markup_add(&p->m,
                         "<figcaption>Level in a healthy ring: each step replaces the oldest "
                         "rows by as many new ones.</figcaption></figure>\n");
    }
    nnclr_markup_add(&p->m, "<div class=\"scroll span\"><table><tbody>\n");
    put_measure(p, "Effective rank", h->effective_rank, "directions in use; 1 is collapse");
    put_measure(p, "Deviation", h->std_mean / h->std_even,
                "mean over dimensions; 1 is evenly spread, 0 is collapse");
    put_measure(p, "Least deviation", h->std_least / h->std_even, "of the laziest dimension");
    put_measure(p, "Uniformity", h->uniformity, "0: all alike; about &minus;4: evenly spread");
    put_measure(p, "Alignment", h->alignment,
                "squared distance of two rows of one picture; 0: the same");
    put_measure(p, "Class alignment", h->class_alignment,
                "the same for two pictures of one class; 2: unrelated");
    nnclr_markup_add(&p->m, "</tbody></table></div></div></section>\n");
}

/* ---- the page ---- */

static void put_head(page *p) {
    nnclr_markup *m = &p->m;
    nnclr_markup_add(
        m, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta "
           "http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
           "style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action "
           "'none'\">\n<meta name=\"viewport\" content=\"width=device-width, "
           "initial-scale=1\">\n<link rel=\"icon\" href=\"data:,\">\n<title>");
    nnclr_markup_text(m, p->options->title);
    nnclr_markup_add(m, ": neighbours</title>\n<style>\n");
    nnclr_markup_add(m, nnclr_page_css);
    nnclr_markup_add(m, "</style></head><body>\n<header><h1><bdi>");
    nnclr_markup_text(m, p->options->title);
    nnclr_markup_printf(m, "</bdi></h1>\n<p class=\"soft\">%s of %lld rows of %d numbers",
                        page_is_queue(p) ? "A support set" : "Embeddings",
                        (long long)p->health.rows, p->health.d);
    if (page_is_queue(p))
        nnclr_markup_printf(m, ", at step %lld", (long long)p->bank->info.step);
    if (page_has_queries(p)) {
        nnclr_markup_add(m, ", asked about <bdi>");
        nnclr_markup_text(m, p->options->query_path);
        nnclr_markup_add(m, "</bdi>");
    }
    nnclr_markup_add(m, ".</p>\n<ul class=\"answers\">\n");
    answer_alive(p);
    answer_similar(p);
    answer_wrong(p);
    answer_clean(p);
    nnclr_markup_add(m, "</ul></header>\n<main>\n");
}

static void put_page(page *p) {
    put_head(p);
    put_health(p);
    put_history(p);
    page_neighbours(p);
    page_classes(p);
    page_leaks(p);
    page_duplicates(p);
    page_labels(p);
    page_outliers(p);
    nnclr_markup_add(&p->m, "</main>\n<footer>");
    nnclr_markup_text(&p->m, p->options->program);
    nnclr_markup_add(&p->m,
                     ". The measures and their sources are in nnclr-queue-inspect(1).</footer>"
                     "\n<script>\n");
    nnclr_markup_add(&p->m, nnclr_page_js);
    nnclr_markup_add(&p->m, "</script></body></html>\n");
}

bool nnclr_page(const nnclr_inspection *x, const nnclr_page_options *options, nnclr_buffer *html,
                nnclr_error *e) {
    page p = {.x = x, .options = options, .bank = x->bank, .queries = x->queries, .k = x->k};
    p.picture_bytes = picture_budget(&p);
    bool ok = measure(&p, e);
    if (ok) {
        put_page(&p);
        ok = !p.m.failed;
        if (!ok)
            *e = p.m.error;
    }
    if (ok)
        ok = nnclr_buffer_append(html, p.m.out.data, p.m.out.size, e);
    nnclr_buffer_free(&p.m.out);
    release(&p);
    return ok;
}
