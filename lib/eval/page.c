#include "eval/page.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "eval/chart.h"
#include "eval/page_parts.h"
#include "eval/page_text.h"
#include "train/watch.h"

/* A queue is said to have collapsed if its rows have only a small part of the deviation of evenly
 * spread ones, or hardly more than one direction. */
static const double collapsed_spread = 0.2, collapsed_rank = 2;

/* ---- what is known ---- */

static bool measure(page *p, nnclr_error *e) {
    const nnclr_page_options *o = p->options;
    nnclr_pool *pool = o->oracle->pool;
    const nnclr_copy_options copies = {.threshold = o->threshold,
                                       .shards = o->shards,
                                       .query_shards = o->query_shards,
                                       .progress = o->progress};
    return nnclr_measure_health(o->oracle, p->bank, o->seed, o->progress, &p->health, e) &&
           nnclr_row_graph_make(pool, NULL, p->bank, p->bank, p->k, o->progress, &p->graph, e) &&
           nnclr_report_classes(&p->graph, &p->classes, e) &&
           nnclr_report_labels(&p->graph, o->temperature, &p->labels, e) &&
           nnclr_report_outliers(&p->graph, &p->outliers, e) &&
           nnclr_report_duplicates(pool, p->bank, &copies, &p->duplicates, e) &&
           (!page_has_queries(p) ||
            nnclr_report_leaks(pool, p->bank, p->queries, &copies, &p->leaks, e));
}

static void release(page *p) {
    page_pictures_free(p);
    nnclr_free(p->query_of);
    nnclr_duplicate_report_free(&p->leaks);
    nnclr_duplicate_report_free(&p->duplicates);
    nnclr_ranking_free(&p->outliers);
    nnclr_label_report_free(&p->labels);
    nnclr_class_report_free(&p->classes);
    nnclr_row_graph_free(&p->graph);
    nnclr_health_free(&p->health);
}

/* How many bytes each picture may have, so that with base64 and the text around it the page stays
 * below its bound. */
static size_t picture_budget(const page *p) {
    enum { WORDS = 500 };
    const size_t shown = (size_t)p->found->count * (size_t)(p->k + 1) +
                         PAGE_GROUPS * PAGE_GROUP_ROWS + 5 * PAGE_RANKED;
    size_t all = nnclr_shard_set_count(p->options->shards);
    if (page_has_queries(p))
        all += nnclr_shard_set_count(p->options->query_shards);
    const size_t words = shown * WORDS, pictures = nnclr_min(shown, all);
    return words < NNCLR_PAGE_BYTES ? (NNCLR_PAGE_BYTES - words) / pictures / 4 * 3 : 0;
}

static bool number_queries(page *p, nnclr_error *e) {
    const size_t count = nnclr_shard_set_count(p->options->query_shards);
    p->query_of = nnclr_alloc(count, sizeof *p->query_of, e);
    for (size_t i = 0; p->query_of && i < count; i++)
        p->query_of[i] = -1;
    for (int64_t i = p->found->count; p->query_of && i-- > 0;) {
        const int64_t record = p->queries->record[p->found->query[i]];
        if (!nnclr_check_record(p->options->query_shards, record, e))
            return false;
        p->query_of[record] = i;
    }
    return p->query_of != NULL;
}

bool page_is_chance(double share, double chance, int64_t rows) {
    return share <= chance + 2 * sqrt(chance * (1 - chance) / (double)rows);
}

/* ---- four answers ---- */

static void begin_answer(page *p, const char *section, const char *question, bool warn) {
    nnclr_markup_printf(&p->m, "<li%s><a href=\"#%s\">%s</a><strong>",
                        warn ? " class=\"warn\"" : "", section, question);
}

/* Whether training would warn of these rows: by now they should differ in more directions. */
static bool is_narrow(const page *p, char *why, size_t size) {
    const nnclr_checkpoint_info *run = &p->bank->info;
    const int64_t records = nnclr_identity_records(run->identity);
    const nnclr_observation now = {
        .first = run->step, .last = run->step, .z_rank = p->health.effective_rank};
    nnclr_plan plan;
    nnclr_error unknown = NNCLR_NO_ERROR;
    if (!page_is_queue(p) || !nnclr_plan_make(&run->config, records, &plan, &unknown))
        return false;
    const nnclr_watch_facts facts = nnclr_watch_facts_of(&run->config, &plan, records);
    nnclr_watch_explain(NNCLR_WARN_NARROW, &facts, &now, why, size);
    return nnclr_watch_asks(NNCLR_WARN_NARROW, &facts, &now);
}

static void answer_alive(page *p) {
    char why[400];
    const nnclr_health *h = &p->health;
    const bool collapsed = h->rows > 1 && h->initial < 1 &&
                           (!(h->effective_rank >= collapsed_rank) ||
                            !(h->std_mean >= collapsed_spread * h->std_even));
    const bool young = h->initial >= 0.5;
    const bool narrow = !collapsed && !young && is_narrow(p, why, sizeof why);
    begin_answer(p, "space",
                 page_is_queue(p) ? "Is the queue alive?" : "Do the rows use their space?",
                 collapsed || young || narrow);
    nnclr_markup_add(&p->m, collapsed          ? "No: its rows have collapsed"
                            : young            ? "Not yet: it is filling"
                            : narrow           ? "Alive, but z has not opened"
                            : page_is_queue(p) ? "It is alive"
                                               : "They do");
    nnclr_markup_add(&p->m, "</strong><span>");
    if (page_is_queue(p))
        nnclr_markup_printf(&p->m, "%.0f&nbsp;%% of %lld rows are still initial ones. ",
                            100 * h->initial, (long long)h->rows);
    if (narrow)
        nnclr_markup_printf(&p->m, "At %s.", why);
    else if (isfinite(h->effective_rank))
        nnclr_markup_printf(&p->m, "Rows spread over %.1f of %d directions.", h->effective_rank,
                            h->d);
    else
        nnclr_markup_add(&p->m, "No direction in which they differ.");
    nnclr_markup_add(&p->m, "</span></li>\n");
}

static void answer_similar(page *p) {
    const nnclr_class_report *r = &p->classes;
    const bool chance = r->rows > 0 && page_is_chance(r->purity, r->chance, r->rows);
    begin_answer(p, "neighbours", "What does it find similar?", chance);
    if (r->rows > 0)
        nnclr_markup_printf(&p->m,
                            "%s%.0f&nbsp;%% of neighbours share the class</strong><span>Chance "
                            "would give %.0f&nbsp;%%. Mean cosine of the %d nearest: "
                            "%.2f.</span></li>\n",
                            chance ? "No better than chance: " : "", 100 * r->purity,
                            100 * r->chance, p->k, 1 - p->outliers.mean);
    else
        nnclr_markup_printf(&p->m,
                            "Mean cosine %.2f</strong><span>of a row and its %d nearest. There are "
                            "no labels to compare.</span></li>\n",
                            1 - p->outliers.mean, p->k);
}

/* The class of the least purity, and the one most often next to it. */
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

/* If the network takes many pictures for others, what it says about the data means little. */
static bool is_unsure(const page *p) {
    const size_t near = p->duplicates.count - p->duplicates.same_bytes;
    const size_t leaks = p->leaks.count - p->leaks.same_bytes;
    return nnclr_labels_unsure(&p->labels) || near > p->outliers.count / 10 ||
           (int64_t)leaks > p->queries->rows.n / 10;
}

static const char *plural(int64_t count) {
    return count == 1 ? "" : "s";
}

/* The same bytes are a fact; everything else is said only if the rows can be trusted. */
static void answer_clean(page *p) {
    const nnclr_duplicate_report *d = &p->duplicates, *l = &p->leaks;
    const bool unsure = is_unsure(p), fact = l->same_bytes > 0 || d->byte_groups > 0;
    const int64_t near = d->groups - d->byte_groups;
    begin_answer(p, page_has_queries(p) && l->count ? "leaks" : "duplicates", "Is my data clean?",
                 l->same_bytes > 0 || (!unsure && l->count > 0));
    if (l->same_bytes > 0)
        nnclr_markup_printf(&p->m, "%zu quer%s here already, byte for byte", l->same_bytes,
                            l->same_bytes == 1 ? "y is" : "ies are");
    else if (d->byte_groups > 0)
        nnclr_markup_printf(&p->m, "%lld group%s of the same bytes", (long long)d->byte_groups,
                            plural(d->byte_groups));
    else if (unsure)
        nnclr_markup_add(&p->m, "Too early to tell");
    else if (l->count > 0)
        nnclr_markup_printf(&p->m, "%zu quer%s here already", l->count,
                            l->count == 1 ? "y is" : "ies are");
    else if (near > 0)
        nnclr_markup_printf(&p->m, "%lld group%s of near copies", (long long)near, plural(near));
    else
        nnclr_markup_add(&p->m, "No copies");
    nnclr_markup_add(&p->m, "</strong><span>");
    if (unsure)
        nnclr_markup_printf(
            &p->m, "%s rows do not yet tell pictures apart well enough to judge the data by. ",
            fact ? "Beyond that it is too early to tell: these" : "These");
    else if (fact && near > 0)
        nnclr_markup_printf(&p->m, "And %lld group%s of near copies. ", (long long)near,
                            plural(near));
    if (p->labels.rows > 0)
        nnclr_markup_printf(&p->m, "Neighbours doubt %zu of %lld labels. ", p->labels.count,
                            (long long)p->labels.rows);
    if (unsure)
        nnclr_markup_printf(&p->m, "%zu rows are much like another one.", d->count - d->same_bytes);
    else if (p->outliers.count > 0)
        nnclr_markup_printf(&p->m,
                            "The loneliest picture is %.2f from its neighbours, the mean %.2f.",
                            p->outliers.rows[0].value, p->outliers.mean);
    nnclr_markup_add(&p->m, "</span></li>\n");
}

/* ---- charts ---- */

static void put_history(page *p) {
    const nnclr_history *h = p->options->history;
    const nnclr_curve_run run = {NULL, h};
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
    nnclr_markup_add(&p->m, "</p>\n");
    page_curves(&p->m, &run, 1);
    nnclr_markup_add(&p->m, "</section>\n");
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
        nnclr_markup_add(&p->m, "<figcaption>Level in a healthy ring: each step replaces the "
                                "oldest rows with as many new ones.</figcaption></figure>\n");
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

void page_head(nnclr_markup *m, const char *title, const char *what) {
    nnclr_markup_add(
        m, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta "
           "http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
           "style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action "
           "'none'\">\n<meta name=\"viewport\" content=\"width=device-width, "
           "initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<link "
           "rel=\"icon\" href=\"data:,\">\n<title>");
    nnclr_markup_text(m, title);
    nnclr_markup_printf(m, ": %s</title>\n<style>\n", what);
    nnclr_markup_add(m, nnclr_page_css);
}

void page_foot(nnclr_markup *m, const char *program) {
    nnclr_markup_add(m, "</main>\n<footer>");
    nnclr_markup_text(m, program);
    nnclr_markup_add(m, ". The measures and their sources are in nnclr-queue-inspect(1).</footer>"
                        "\n<script>\n");
    nnclr_markup_add(m, nnclr_page_js);
    nnclr_markup_add(m, "</script></body></html>\n");
}

static void put_top(page *p) {
    nnclr_markup *m = &p->m;
    nnclr_markup_add(m, "</style></head><body>\n<header><h1>");
    page_name_text(p, p->options->title);
    nnclr_markup_printf(m, "</h1>\n<p class=\"soft\">%s of %lld rows of %d numbers",
                        page_is_queue(p) ? "A support set" : "Embeddings",
                        (long long)p->health.rows, p->health.d);
    if (page_is_queue(p))
        nnclr_markup_printf(m, ", at step %lld", (long long)p->bank->info.step);
    if (page_has_queries(p)) {
        nnclr_markup_add(m, ", asked about ");
        page_name_text(p, p->options->query_path);
    }
    nnclr_markup_add(m, ".</p>\n<ul class=\"answers\">\n");
    answer_alive(p);
    answer_similar(p);
    answer_wrong(p);
    answer_clean(p);
    nnclr_markup_add(m, "</ul></header>\n<main>\n");
}

static void put_page(page *p) {
    put_top(p);
    put_health(p);
    put_history(p);
    page_neighbours(p);
    page_classes(p);
    page_leaks(p);
    page_duplicates(p);
    page_labels(p);
    page_outliers(p);
    page_foot(&p->m, p->options->program);
}

bool nnclr_page(const nnclr_inspection *found, const nnclr_page_options *options,
                nnclr_buffer *html, int *pictures, nnclr_error *e) {
    page p = {.found = found,
              .options = options,
              .bank = found->bank,
              .queries = found->queries,
              .k = found->k};
    nnclr_markup head = {0};
    p.picture_bytes = picture_budget(&p);
    bool ok = number_queries(&p, e) && measure(&p, e);
    if (ok) {
        put_page(&p);
        page_head(&head, options->title, "neighbours");
    }
    if (ok && (p.m.failed || head.failed)) {
        *e = p.m.failed ? p.m.error : head.error;
        ok = false;
    }
    ok = ok && nnclr_buffer_append(html, head.out.data, head.out.size, e) &&
         nnclr_buffer_append(html, p.pictures.out.data, p.pictures.out.size, e) &&
         nnclr_buffer_append(html, p.m.out.data, p.m.out.size, e);
    if (ok && pictures)
        *pictures = p.stored;
    nnclr_buffer_free(&head.out);
    nnclr_buffer_free(&p.m.out);
    release(&p);
    return ok;
}
