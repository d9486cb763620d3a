#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "eval/page_parts.h"

static const char *class_of(const nnclr_row_set *set, int64_t label) {
    return label >= 0 && label < (int64_t)set->class_count ? set->classes[label] : NULL;
}

/* <bdi>: a name written in the other direction does not reverse the text around it. */
void page_name_text(page *p, const char *name) {
    nnclr_buffer part = {0};
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_markup_add(&p->m, "<bdi>");
    while (name && *name && !p->m.failed) {
        const char *slash = strchr(name, '/');
        const size_t size = slash ? (size_t)(slash + 1 - name) : strlen(name);
        part.size = 0;
        if (!nnclr_buffer_append(&part, name, size, &e))
            nnclr_markup_fail(&p->m, &e);
        else
            nnclr_markup_text(&p->m, (const char *)part.data);
        if (slash)
            nnclr_markup_add(&p->m, "<wbr>");
        name += size;
    }
    nnclr_buffer_free(&part);
    nnclr_markup_add(&p->m, "</bdi>");
}

/* A line with the class; nothing if no row of the set has one. */
static void put_class(page *p, const nnclr_row_set *set, int64_t row, const char *mark) {
    const char *class = nnclr_row_set_class(set, row);
    if (set->class_count == 0)
        return;
    nnclr_markup_printf(&p->m, "<b>%s", mark);
    if (class)
        page_name_text(p, class);
    else
        nnclr_markup_add(&p->m, "no label");
    nnclr_markup_add(&p->m, "</b><br>");
}

/* ---- neighbours ---- */

typedef enum verdict { UNKNOWN, SAME, OTHER, INITIAL } verdict;

static verdict compare(const page *p, int64_t query, int64_t row) {
    const char *a = nnclr_row_set_class(p->queries, query);
    const char *b = nnclr_row_set_class(p->bank, row);
    if (p->bank->record[row] < 0)
        return INITIAL;
    return !a || !b ? UNKNOWN : strcmp(a, b) == 0 ? SAME : OTHER;
}

static void put_neighbour(page *p, int64_t query, nnclr_neighbour neighbour) {
    static const char *const classes[] = {
        [UNKNOWN] = "pic", [SAME] = "pic same", [OTHER] = "pic other", [INITIAL] = "pic initial"};
    static const char *const marks[] = {[UNKNOWN] = "",
                                        [SAME] = "\xE2\x9C\x93&nbsp;",
                                        [OTHER] = "\xE2\x9C\x97&nbsp;",
                                        [INITIAL] = ""};
    const int64_t age = nnclr_row_set_age(p->bank, neighbour.row);
    const verdict is = compare(p, query, neighbour.row);
    nnclr_markup_printf(&p->m, "<figure class=\"%s\">", classes[is]);
    page_picture(p, p->bank, neighbour.row);
    nnclr_markup_add(&p->m, "<figcaption>");
    if (is == INITIAL)
        nnclr_markup_add(&p->m, "<b>initial</b><br>");
    else
        put_class(p, p->bank, neighbour.row, marks[is]);
    nnclr_markup_printf(&p->m, "<span class=\"num\">%.3f</span>", neighbour.cosine);
    if (age >= 0)
        nnclr_markup_printf(&p->m, " &middot; age %lld", (long long)age);
    nnclr_markup_add(&p->m, "</figcaption></figure>\n");
}

/* What the script sorts and filters by. */
static void put_facts(page *p, int64_t query, const nnclr_neighbour *of) {
    double sum = 0;
    int count = 0, same = 0, known = 0;
    for (; count < p->k && of[count].row >= 0; count++) {
        verdict is = compare(p, query, of[count].row);
        sum += of[count].cosine;
        same += is == SAME;
        known += is == SAME || is == OTHER;
    }
    nnclr_markup_printf(&p->m, " data-cosine=\"%.4f\"", count ? sum / count : 0);
    if (known > 0)
        nnclr_markup_printf(&p->m, " data-same=\"%.4f\" data-first=\"%s\"", (double)same / known,
                            compare(p, query, of[0].row) == OTHER ? "other" : "");
}

static void put_query(page *p, int64_t number) {
    const int64_t query = p->found->query[number];
    const nnclr_neighbour *of = p->found->neighbours + number * p->k;
    nnclr_markup_printf(&p->m, "<article class=\"query\" id=\"q%lld\"", (long long)number);
    put_facts(p, query, of);
    nnclr_markup_add(&p->m, "><figure class=\"pic asks\">");
    page_picture(p, p->queries, query);
    nnclr_markup_add(&p->m, "<figcaption>");
    put_class(p, p->queries, query, "");
    nnclr_markup_printf(&p->m, "record %lld<br>", (long long)p->queries->record[query]);
    page_name_text(p, page_name(p, p->queries, query));
    nnclr_markup_add(&p->m, "</figcaption></figure><div class=\"row\">\n");
    for (int i = 0; i < p->k && of[i].row >= 0; i++)
        put_neighbour(p, query, of[i]);
    nnclr_markup_add(&p->m, "</div></article>\n");
}

/* Everything after the first ones; </details> ends it. */
static void begin_fold(page *p, int64_t count, const char *what) {
    nnclr_markup_printf(&p->m, "<details class=\"more\"><summary>%lld more %s</summary>",
                        (long long)count, what);
}

void page_neighbours(page *p) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_markup_printf(
        &p->m,
        "<section id=\"neighbours\"><h2>What the network thinks is similar</h2>\n<p "
        "class=\"about\">%lld pictures, each with the %d rows nearest to it by cosine, nearest "
        "first.%s%s</p>\n<div id=\"queries\">\n",
        (long long)p->found->count, p->k,
        p->classes.rows ? " A green frame means the same class, a red one another." : "",
        page_is_queue(p)
            ? " A row's age is how many training steps older it is than the newest row."
            : "");
    for (int64_t i = 0; i < p->found->count; i++) {
        if (!nnclr_progress_tell(p->options->progress, "queries", i, p->found->count, NULL, &e)) {
            nnclr_markup_fail(&p->m, &e);
            return;
        }
        if (i == PAGE_OPEN_QUERIES)
            begin_fold(p, p->found->count - i, "queries");
        put_query(p, i);
    }
    nnclr_markup_add(&p->m, p->found->count > PAGE_OPEN_QUERIES ? "</details>" : "");
    nnclr_markup_add(&p->m, "</div></section>\n");
}

/* ---- classes ---- */

/* One class, whose pairs are [first, end), by share; own: that of the class with itself. */
typedef struct class_row {
    size_t first, end, own;
    double share;
} class_row;

static int by_purity(const void *a, const void *b) {
    const class_row *x = a, *y = b;
    if (x->share != y->share)
        return x->share < y->share ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

/* rows [pairs]: the classes, the worst first. */
static size_t list_classes(const nnclr_class_report *r, class_row *rows) {
    size_t count = 0;
    for (size_t i = 0, end; i < r->count; i = end) {
        class_row row = {.first = i, .own = i};
        for (end = i; end < r->count && r->pairs[end].label == r->pairs[i].label; end++)
            if (r->pairs[end].neighbour_label == r->pairs[end].label)
                row.own = end;
        row.end = end;
        row.share = r->pairs[row.own].share;
        rows[count++] = row;
    }
    qsort(rows, count, sizeof *rows, by_purity);
    return count;
}

static void put_class_row(page *p, const class_row *row) {
    const nnclr_class_pair *pairs = p->classes.pairs, *own = &pairs[row->own];
    const bool chance = page_is_chance(own->share, own->chance, own->rows);
    int others = 0;
    nnclr_markup_add(&p->m, "<tr><td>");
    page_name_text(p, class_of(p->bank, own->label));
    nnclr_markup_printf(
        &p->m,
        "</td><td class=\"num wide-only\" data-value=\"%lld\">%lld</td><td class=\"num%s\" "
        "data-value=\"%.6f\"%s>%.0f&nbsp;%%</td><td class=\"meter%s wide-only\"><i><b "
        "style=\"width:%.1f%%\"></b><u style=\"left:%.1f%%\"></u></i></td><td>",
        (long long)own->rows, (long long)own->rows, chance ? " bad" : "", own->share,
        chance ? " title=\"no better than chance\"" : "", 100 * own->share, chance ? " bad" : "",
        100 * own->share, 100 * own->chance);
    for (size_t i = row->first; i < row->end && others < 3; i++) {
        if (i == row->own)
            continue;
        nnclr_markup_add(&p->m, others++ ? ", " : "");
        page_name_text(p, class_of(p->bank, pairs[i].neighbour_label));
        nnclr_markup_printf(&p->m, "&nbsp;%.0f&nbsp;%%", 100 * pairs[i].share);
    }
    nnclr_markup_add(&p->m, "</td></tr>\n");
}

static void put_class_table(page *p, const class_row *rows, size_t count) {
    nnclr_markup_add(&p->m,
                     "<div class=\"scroll\"><table class=\"sorts\"><thead><tr><th>Class</th><th "
                     "class=\"num wide-only\">Rows</th><th class=\"num\">Purity</th><th "
                     "class=\"wide-only\"></th><th>Most often next to</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < count; i++)
        put_class_row(p, &rows[i]);
    nnclr_markup_add(&p->m, "</tbody></table></div>\n");
}

void page_classes(page *p) {
    const nnclr_class_report *r = &p->classes;
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_markup_add(&p->m, "<section id=\"classes\"><h2>Where it is wrong</h2>\n");
    if (r->rows == 0) {
        nnclr_markup_add(&p->m,
                         "<p class=\"about\">The rows have no labels, so nothing can be said "
                         "about classes.</p></section>\n");
        return;
    }
    class_row *rows = nnclr_alloc(r->count, sizeof *rows, &e);
    if (!rows) {
        nnclr_markup_fail(&p->m, &e);
        return;
    }
    const size_t count = list_classes(r, rows);
    const size_t open = count > 2 * PAGE_OPEN_CLASSES ? PAGE_OPEN_CLASSES : count;
    nnclr_markup_printf(
        &p->m,
        "<p class=\"about\">Which classes the %d nearest rows of each class have, the worst class "
        "first. Purity is the share of its own; the mark shows what chance would give, and a class "
        "that does no better is red. The network does not yet tell a class apart from the classes "
        "that are often next to it.</p>\n",
        p->k);
    put_class_table(p, rows, open);
    if (open < count) {
        begin_fold(p, (int64_t)(count - open), "classes");
        put_class_table(p, rows + open, count - open);
        nnclr_markup_add(&p->m, "</details>");
    }
    nnclr_markup_add(&p->m, "</section>\n");
    nnclr_free(rows);
}

/* ---- small groups of pictures ---- */

static void put_picture(page *p, const nnclr_row_set *set, int64_t row, const char *kind) {
    nnclr_markup_printf(&p->m, "<figure class=\"pic%s\">", kind);
    page_picture(p, set, row);
    nnclr_markup_add(&p->m, "<figcaption>");
    put_class(p, set, row, "");
    nnclr_markup_printf(&p->m, "record %lld<br>", (long long)set->record[row]);
    page_name_text(p, page_name(p, set, row));
    nnclr_markup_add(&p->m, "</figcaption></figure>\n");
}

/* Sections of small groups: the first ones open, `shown` of them in all. */
static void begin_groups(page *p, const char *class) {
    nnclr_markup_printf(&p->m, "<div class=\"%s\">\n", class);
}

/* Before group `at` of `count` that are shown. */
static void fold_groups(page *p, size_t at, size_t count, const char *class, const char *what) {
    if (at != PAGE_OPEN_GROUPS)
        return;
    nnclr_markup_add(&p->m, "</div>");
    begin_fold(p, (int64_t)(count - at), what);
    begin_groups(p, class);
}

static void end_section(page *p, size_t shown, size_t all, const char *what, const char *report) {
    nnclr_markup_add(&p->m, shown > PAGE_OPEN_GROUPS ? "</div></details>" : "</div>");
    if (shown < all)
        nnclr_markup_printf(&p->m,
                            "<p class=\"note soft\">The first %zu of %zu %s; <code>--report "
                            "%s</code> lists all.</p>",
                            shown, all, what, report);
    nnclr_markup_add(&p->m, "</section>\n");
}

/* What a group's pictures have in common. */
static void put_sameness(page *p, const nnclr_duplicate *rows, size_t count) {
    double least_cosine = 1;
    bool mirrored = false;
    for (size_t i = 0; i < count; i++) {
        least_cosine = fmin(least_cosine, rows[i].twin.cosine);
        mirrored = mirrored || rows[i].same == NNCLR_SAME_MIRRORED;
    }
    if (rows[0].same == NNCLR_SAME_BYTES)
        nnclr_markup_add(&p->m, "the same bytes");
    else
        nnclr_markup_printf(&p->m, "cosine %.4f%s%s", least_cosine, count > 2 ? " and more" : "",
                            mirrored ? ", mirrored" : "");
}

static void put_group(page *p, const nnclr_duplicate *rows, size_t count) {
    bool differ = false;
    for (size_t i = 0; i < count; i++) {
        const char *a = nnclr_row_set_class(p->bank, rows[0].row);
        const char *b = nnclr_row_set_class(p->bank, rows[i].row);
        differ = differ || (a && b && strcmp(a, b) != 0);
    }
    nnclr_markup_printf(&p->m,
                        "<div class=\"group%s\"><h3>%zu pictures</h3><div class=\"note soft\">",
                        count > 2 ? " wide" : "", count);
    put_sameness(p, rows, count);
    nnclr_markup_printf(&p->m, "%s</div><div class=\"row\">\n",
                        differ ? "; <b class=\"bad\">their labels differ</b>" : "");
    for (size_t i = 0; i < count && i < PAGE_GROUP_ROWS; i++)
        put_picture(p, p->bank, rows[i].row, "");
    nnclr_markup_add(&p->m, "</div>");
    if (count > PAGE_GROUP_ROWS)
        nnclr_markup_printf(&p->m, "<div class=\"note soft\">and %zu more</div>",
                            count - PAGE_GROUP_ROWS);
    nnclr_markup_add(&p->m, "</div>\n");
}

void page_duplicates(page *p) {
    const nnclr_duplicate_report *r = &p->duplicates;
    const size_t count = nnclr_min((size_t)r->groups, PAGE_GROUPS);
    size_t shown = 0;
    nnclr_markup_add(&p->m, "<section id=\"duplicates\"><h2>Is my data clean? Pictures that occur "
                            "twice</h2>\n<p class=\"about\">");
    if (r->groups == 0)
        nnclr_markup_printf(&p->m,
                            "No two pictures are the same bytes or near copies (cosine %g or more, "
                            "without what all rows share).",
                            p->options->threshold);
    else
        nnclr_markup_printf(
            &p->m,
            "%lld group%s of the same bytes first; then %lld of near copies "
            "(cosine %g or more, without what all rows share). A network that is still learning "
            "finds many pictures alike, so look at near copies before you delete any.",
            (long long)r->byte_groups, r->byte_groups == 1 ? "" : "s",
            (long long)(r->groups - r->byte_groups), p->options->threshold);
    nnclr_markup_add(&p->m, "</p>\n");
    begin_groups(p, "groups");
    for (size_t i = 0, end; i < r->count && shown < count; i = end, shown++) {
        for (end = i + 1; end < r->count && r->rows[end].group == r->rows[i].group;)
            end++;
        fold_groups(p, shown, count, "groups", "groups");
        put_group(p, r->rows + i, end - i);
    }
    end_section(p, shown, (size_t)r->groups, "groups", "duplicates");
}

static void put_doubt(page *p, const nnclr_label_doubt *one) {
    nnclr_markup_add(&p->m, "<div class=\"group\"><h3>");
    page_name_text(p, nnclr_row_set_class(p->bank, one->row));
    nnclr_markup_add(&p->m, ", or rather ");
    page_name_text(p, class_of(p->bank, one->suggested));
    nnclr_markup_printf(&p->m,
                        "?</h3><div class=\"note soft\">%.0f %% of the votes for it, %.0f %% for "
                        "the label</div><div class=\"row\">\n",
                        100 * one->suggested_share, 100 * one->share);
    put_picture(p, p->bank, one->row, " other");
    put_picture(p, p->bank, one->witness.row, "");
    nnclr_markup_add(&p->m, "</div></div>\n");
}

void page_labels(page *p) {
    const nnclr_label_report *r = &p->labels;
    size_t shown = 0;
    if (r->rows == 0)
        return;
    nnclr_markup_printf(
        &p->m,
        "<section id=\"labels\"><h2>Is my data clean? Labels that neighbours doubt</h2>\n<p "
        "class=\"about\">%zu of %lld labels have more votes against them than for them among the "
        "%d "
        "nearest rows%s. On the left is the picture in doubt, on the right its nearest neighbour "
        "of the class that they suggest.</p>\n",
        r->count, (long long)r->rows, p->k,
        nnclr_labels_unsure(r)
            ? ": so many that it is the network that is still wrong, rather than the labels"
            : "");
    const size_t count = nnclr_min(r->count, PAGE_RANKED);
    begin_groups(p, "groups");
    for (; shown < count; shown++) {
        fold_groups(p, shown, count, "groups", "labels");
        put_doubt(p, &r->doubts[shown]);
    }
    end_section(p, shown, r->count, "labels", "labels");
}

void page_outliers(page *p) {
    const nnclr_ranking *r = &p->outliers;
    size_t shown = 0;
    nnclr_markup_printf(
        &p->m,
        "<section id=\"outliers\"><h2>Is my data clean? Pictures like no other</h2>\n<p "
        "class=\"about\">The rows farthest from their %d neighbours (mean of 1 &minus; cosine; all "
        "rows: %.3f). Often the wrong kind of picture, sometimes only a rare one.</p>\n",
        p->k, r->mean);
    const size_t count = nnclr_min(r->count, PAGE_RANKED);
    begin_groups(p, "row wraps");
    for (; shown < count; shown++) {
        const int64_t row = r->rows[shown].row;
        fold_groups(p, shown, count, "row wraps", "rows");
        nnclr_markup_add(&p->m, "<figure class=\"pic\">");
        page_picture(p, p->bank, row);
        nnclr_markup_add(&p->m, "<figcaption>");
        put_class(p, p->bank, row, "");
        nnclr_markup_printf(&p->m, "<span class=\"num\">%.3f</span><br>", r->rows[shown].value);
        page_name_text(p, page_name(p, p->bank, row));
        nnclr_markup_add(&p->m, "</figcaption></figure>\n");
    }
    end_section(p, shown, r->count, "rows", "outliers");
}

void page_leaks(page *p) {
    const nnclr_duplicate_report *r = &p->leaks;
    size_t shown = 0;
    if (!page_has_queries(p))
        return;
    nnclr_markup_printf(&p->m,
                        "<section id=\"leaks\"><h2>Is my data clean? Queries that the rows already "
                        "contain</h2>\n<p "
                        "class=\"about\">%zu of the %lld rows of ",
                        r->count, (long long)p->queries->rows.n);
    page_name_text(p, p->options->query_path);
    nnclr_markup_printf(
        &p->m,
        " are here too: %zu byte for byte, %zu as near copies (cosine %g or more, without what all "
        "rows share). A test on them would flatter. The query is on the left.</p>\n",
        r->same_bytes, r->count - r->same_bytes, p->options->threshold);
    const size_t count = nnclr_min(r->count, PAGE_RANKED);
    begin_groups(p, "groups");
    for (; shown < count; shown++) {
        fold_groups(p, shown, count, "groups", "queries");
        nnclr_markup_add(&p->m, "<div class=\"group\"><h3>");
        put_sameness(p, &r->rows[shown], 1);
        nnclr_markup_add(&p->m, "</h3><div class=\"row\">\n");
        put_picture(p, p->queries, r->rows[shown].row, "");
        put_picture(p, p->bank, r->rows[shown].twin.row, "");
        nnclr_markup_add(&p->m, "</div></div>\n");
    }
    end_section(p, shown, r->count, "queries", "leaks");
}
