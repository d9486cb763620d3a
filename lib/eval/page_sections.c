#include <math.h>
#include <string.h>

#include "eval/page_parts.h"

static const char *class_of(const nnclr_row_set *set, int64_t label) {
    return label >= 0 && label < (int64_t)set->class_count ? set->classes[label] : NULL;
}

/* <bdi>: a name in another direction of writing does not turn what stands around it. */
static void put_name(page *p, const char *name) {
    nnclr_markup_add(&p->m, "<bdi>");
    nnclr_markup_text(&p->m, name);
    nnclr_markup_add(&p->m, "</bdi>");
}

/* A line with the class; nothing where no row of the set has one. */
static void put_class(page *p, const nnclr_row_set *set, int64_t row, const char *mark) {
    const char *class = nnclr_row_set_class(set, row);
    if (set->class_count == 0)
        return;
    nnclr_markup_printf(&p->m, "<b>%s", mark);
    if (class)
        put_name(p, class);
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

static void put_query(page *p, int64_t query, const nnclr_neighbour *of) {
    nnclr_markup_add(&p->m, "<article class=\"query\"");
    put_facts(p, query, of);
    nnclr_markup_add(&p->m, "><figure class=\"pic asks\">");
    page_picture(p, p->queries, query);
    nnclr_markup_add(&p->m, "<figcaption>");
    put_class(p, p->queries, query, "");
    nnclr_markup_printf(&p->m, "record %lld<br>", (long long)p->queries->record[query]);
    put_name(p, page_name(p, p->queries, query));
    nnclr_markup_add(&p->m, "</figcaption></figure><div class=\"row\">\n");
    for (int i = 0; i < p->k && of[i].row >= 0; i++)
        put_neighbour(p, query, of[i]);
    nnclr_markup_add(&p->m, "</div></article>\n");
}

void page_neighbours(page *p) {
    nnclr_markup_printf(
        &p->m,
        "<section id=\"neighbours\"><h2>What the network thinks is similar</h2>\n<p "
        "class=\"about\">%lld pictures, each with the %d rows nearest to it by cosine, nearest "
        "first.%s%s</p>\n<div id=\"queries\">\n",
        (long long)p->x->count, p->k,
        p->classes.rows ? " A green frame means the same class, a red one another." : "",
        page_is_queue(p) ? " Age counts training steps behind the newest row." : "");
    for (int64_t i = 0; i < p->x->count; i++)
        put_query(p, p->x->query[i], p->x->neighbours + i * p->k);
    nnclr_markup_add(&p->m, "</div></section>\n");
}

/* ---- classes ---- */

/* The row of one class, whose pairs are [first, end), by share. */
static void put_class_row(page *p, size_t first, size_t end) {
    const nnclr_class_pair *pairs = p->classes.pairs;
    const nnclr_class_pair *own = &pairs[first];
    int others = 0;
    for (size_t i = first; i < end; i++)
        if (pairs[i].neighbour_label == pairs[i].label)
            own = &pairs[i];
    nnclr_markup_add(&p->m, "<tr><td>");
    put_name(p, class_of(p->bank, own->label));
    nnclr_markup_printf(&p->m,
                        "</td><td class=\"num wide-only\" data-value=\"%lld\">%lld</td><td "
                        "class=\"num\" data-value=\"%.6f\">%.0f %%</td><td class=\"meter "
                        "wide-only\"><i><b style=\"width:%.1f%%\"></b><u "
                        "style=\"left:%.1f%%\"></u></i></td><td>",
                        (long long)own->rows, (long long)own->rows, own->share, 100 * own->share,
                        100 * own->share, 100 * own->chance);
    for (size_t i = first; i < end && others < 3; i++) {
        if (pairs[i].neighbour_label == pairs[i].label)
            continue;
        nnclr_markup_add(&p->m, others++ ? ", " : "");
        put_name(p, class_of(p->bank, pairs[i].neighbour_label));
        nnclr_markup_printf(&p->m, "&nbsp;%.0f&nbsp;%%", 100 * pairs[i].share);
    }
    nnclr_markup_add(&p->m, "</td></tr>\n");
}

void page_classes(page *p) {
    const nnclr_class_report *r = &p->classes;
    nnclr_markup_add(&p->m, "<section id=\"classes\"><h2>Where it is wrong</h2>\n");
    if (r->rows == 0) {
        nnclr_markup_add(&p->m,
                         "<p class=\"about\">The rows have no labels, so nothing can be said "
                         "about classes.</p></section>\n");
        return;
    }
    nnclr_markup_printf(
        &p->m,
        "<p class=\"about\">Which classes the %d nearest rows of each class have. Purity is the "
        "share of its own; the dark mark is what chance would give. A class that is often next to "
        "another is one that the network does not tell apart yet.</p>\n<div "
        "class=\"scroll\"><table class=\"sorts\"><thead><tr><th>Class</th><th class=\"num "
        "wide-only\">Rows</th><th class=\"num\">Purity</th><th class=\"wide-only\"></th><th>Most "
        "often beside</th></tr></thead><tbody>\n",
        p->k);
    for (size_t i = 0, end; i < r->count; i = end) {
        for (end = i + 1; end < r->count && r->pairs[end].label == r->pairs[i].label;)
            end++;
        put_class_row(p, i, end);
    }
    nnclr_markup_add(&p->m, "</tbody></table></div></section>\n");
}

/* ---- small groups of pictures ---- */

static void put_picture(page *p, const nnclr_row_set *set, int64_t row, const char *kind) {
    nnclr_markup_printf(&p->m, "<figure class=\"pic%s\">", kind);
    page_picture(p, set, row);
    nnclr_markup_add(&p->m, "<figcaption>");
    put_class(p, set, row, "");
    nnclr_markup_printf(&p->m, "record %lld<br>", (long long)set->record[row]);
    put_name(p, page_name(p, set, row));
    nnclr_markup_add(&p->m, "</figcaption></figure>\n");
}

static void end_section(page *p, size_t shown, size_t all, const char *what, const char *report) {
    nnclr_markup_add(&p->m, "</div>");
    if (shown < all)
        nnclr_markup_printf(&p->m,
                            "<p class=\"note soft\">The first %zu of %zu %s; <code>--report "
                            "%s</code> lists all.</p>",
                            shown, all, what, report);
    nnclr_markup_add(&p->m, "</section>\n");
}

static void put_group(page *p, const nnclr_duplicate *rows, size_t count) {
    bool differ = false;
    double least = 1;
    for (size_t i = 0; i < count; i++) {
        const char *a = nnclr_row_set_class(p->bank, rows[0].row);
        const char *b = nnclr_row_set_class(p->bank, rows[i].row);
        differ = differ || (a && b && strcmp(a, b) != 0);
        least = fmin(least, rows[i].twin.cosine);
    }
    nnclr_markup_printf(&p->m,
                        "<div class=\"group%s\"><h3>%zu pictures</h3><div class=\"note "
                        "soft\">cosine %.4f and more%s</div><div class=\"row\">\n",
                        count > 2 ? " wide" : "", count, least,
                        differ ? "; <b>their labels differ</b>" : "");
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
    size_t shown = 0;
    nnclr_markup_printf(
        &p->m,
        "<section id=\"duplicates\"><h2>Is my data clean? Pictures that are there twice</h2>\n<p "
        "class=\"about\">%s of rows with a cosine of %g or more.%s</p>\n<div class=\"groups\">\n",
        r->groups ? "Groups" : "There are no groups", p->options->threshold,
        r->groups
            ? " A network that is still learning sees many pictures alike, so look before you "
              "delete."
            : "");
    for (size_t i = 0, end; i < r->count && shown < PAGE_GROUPS; i = end, shown++) {
        for (end = i + 1; end < r->count && r->rows[end].group == r->rows[i].group;)
            end++;
        put_group(p, r->rows + i, end - i);
    }
    end_section(p, shown, (size_t)r->groups, "groups", "duplicates");
}

static void put_doubt(page *p, const nnclr_label_doubt *one) {
    nnclr_markup_add(&p->m, "<div class=\"group\"><h3>");
    put_name(p, nnclr_row_set_class(p->bank, one->row));
    nnclr_markup_add(&p->m, ", or rather ");
    put_name(p, class_of(p->bank, one->suggested));
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
        "nearest rows%s. On the left the picture in doubt, on the right its nearest neighbour of "
        "the class that they suggest.</p>\n<div class=\"groups\">\n",
        r->count, (long long)r->rows, p->k,
        (int64_t)r->count > r->rows / 4 ? ": so many that the network is rather what is wrong, yet"
                                        : "");
    for (; shown < r->count && shown < PAGE_RANKED; shown++)
        put_doubt(p, &r->doubts[shown]);
    end_section(p, shown, r->count, "labels", "labels");
}

void page_outliers(page *p) {
    const nnclr_ranking *r = &p->outliers;
    size_t shown = 0;
    nnclr_markup_printf(
        &p->m,
        "<section id=\"outliers\"><h2>Is my data clean? Pictures like no other</h2>\n<p "
        "class=\"about\">The rows farthest from their %d neighbours (mean of 1 &minus; cosine; all "
        "rows: %.3f). Often the wrong kind of picture, sometimes only a rare one.</p>\n<div "
        "class=\"row wraps\">\n",
        p->k, r->mean);
    for (; shown < r->count && shown < PAGE_RANKED; shown++) {
        const int64_t row = r->rows[shown].row;
        nnclr_markup_add(&p->m, "<figure class=\"pic\">");
        page_picture(p, p->bank, row);
        nnclr_markup_add(&p->m, "<figcaption>");
        put_class(p, p->bank, row, "");
        nnclr_markup_printf(&p->m, "<span class=\"num\">%.3f</span><br>", r->rows[shown].value);
        put_name(p, page_name(p, p->bank, row));
        nnclr_markup_add(&p->m, "</figcaption></figure>\n");
    }
    end_section(p, shown, r->count, "rows", "outliers");
}

void page_leaks(page *p) {
    const nnclr_duplicate_report *r = &p->leaks;
    size_t shown = 0;
    if (!page_has_queries(p))
        return;
    nnclr_markup_printf(
        &p->m,
        "<section id=\"leaks\"><h2>Is my data clean? Queries that the rows hold already</h2>\n<p "
        "class=\"about\">%zu of the %lld rows of <bdi>",
        r->count, (long long)p->queries->rows.n);
    nnclr_markup_text(&p->m, p->options->query_path);
    nnclr_markup_printf(
        &p->m,
        "</bdi> have a row of cosine %g or more here: a test on them would flatter. "
        "On the left the query.</p>\n<div class=\"groups\">\n",
        p->options->threshold);
    for (; shown < r->count && shown < PAGE_RANKED; shown++) {
        nnclr_markup_printf(&p->m, "<div class=\"group\"><h3>cosine %.4f</h3><div class=\"row\">\n",
                            r->rows[shown].twin.cosine);
        put_picture(p, p->queries, r->rows[shown].row, "");
        put_picture(p, p->bank, r->rows[shown].twin.row, "");
        nnclr_markup_add(&p->m, "</div></div>\n");
    }
    end_section(p, shown, r->count, "queries", "leaks");
}
