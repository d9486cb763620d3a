#include <math.h>
#include <stdio.h>

#include "eval/chart.h"
#include "eval/page_parts.h"
#include "eval/run_comparison.h"

typedef struct curve_chart {
    nnclr_curve first;
    int second; /* nnclr_curve; -1: none */
    bool from_zero;
    const char *title, *first_key, *second_key, *about;
} curve_chart;

static const curve_chart curve_charts[] = {
    {NNCLR_CURVE_LOSS, -1, false, "Loss", "loss", NULL,
     "Falls fast, then slowly. A broken queue does not show here: look at the other curves."},
    {NNCLR_CURVE_ACC, NNCLR_CURVE_CHANCE, true, "Do neighbours share the class?", "neighbours",
     "chance",
     "Picks with the query's label, compared with what random rows would give. The gap is what was "
     "learned."},
    {NNCLR_CURVE_AGREE, -1, true, "Do both views agree?", "share", NULL,
     "Pictures whose views pick rows of one picture: it needs no labels, and rises as neighbours "
     "gain meaning."},
    {NNCLR_CURVE_Z_RANK, NNCLR_CURVE_H_RANK, true, "Directions in use", "z", "features",
     "How many directions the newest rows, and the features of a batch, spread over: their "
     "effective rank. A fall towards 1 is collapse."},
    {NNCLR_CURVE_AGE, -1, true, "Age of the picks", "steps", NULL,
     "Should settle near half the age of the oldest row. Near 0 only the newest rows are picked."},
    {NNCLR_CURVE_SELF, NNCLR_CURVE_PRESENT, true, "Does a picture find itself?", "picked itself",
     "is in the queue",
     "High: the queue holds most of the data, and a positive is little more than another view."},
    {NNCLR_CURVE_INITIAL, -1, true, "Picks of initial rows", "share", NULL,
     "Random rows that the queue starts with. Falls to 0 once the queue has been filled."},
    {NNCLR_CURVE_PROBE, -1, true, "How often are neighbours right?", "probe", NULL,
     "Pictures of --probe whose class their neighbours vote for."},
    {NNCLR_CURVE_TEST, -1, true, "How often is it right?", "test", NULL,
     "Pictures of --test that the network gives their class."},
};

/* ---- charts ---- */

/* A run's curve in a chart. */
typedef struct chart_curve {
    char class[24];
    int run;
    double last;
} chart_curve;

static void put_key(nnclr_markup *m, const nnclr_chart_line *line, const chart_curve *curve,
                    bool chance) {
    nnclr_markup_printf(m, "<span class=\"key %s%s\">", curve->class, chance ? " bad" : "");
    nnclr_markup_text(m, line->name);
    nnclr_markup_printf(m, " <b class=\"num\">%.3g</b>%s</span>", curve->last,
                        chance ? ", no better than chance" : "");
}

/* Not every run has every metric. */
static int find_lines(const curve_chart *c, const page_run *runs, int count,
                      nnclr_chart_line *lines, chart_curve *curves) {
    int used = 0;
    for (int i = 0; i < 2 * count; i++) {
        const page_run *run = &runs[i / 2];
        const bool second = i % 2;
        const int curve = second ? c->second : (int)c->first;
        const double last = curve < 0 ? NAN : nnclr_history_last(run->history, (nnclr_curve)curve);
        if (!isfinite(last))
            continue;
        curves[used] = (chart_curve){.run = i / 2, .last = last};
        if (run->name)
            snprintf(curves[used].class, sizeof curves->class, "run%d%s", i / 2,
                     second ? " second" : "");
        else
            snprintf(curves[used].class, sizeof curves->class, second ? "second" : "first");
        lines[used] = (nnclr_chart_line){
            .x = run->history->step,
            .value = run->history->value[curve],
            .sparse = curve == NNCLR_CURVE_PROBE || curve == NNCLR_CURVE_TEST,
            .count = run->history->count,
            .name = run->name ? run->name
                    : second  ? c->second_key
                              : c->first_key,
            .class = curves[used].class,
        };
        used++;
    }
    return used;
}

static void put_chart(nnclr_markup *m, const curve_chart *c, const page_run *runs, int count) {
    nnclr_chart_line lines[2 * NNCLR_PAGE_RUNS];
    chart_curve curves[2 * NNCLR_PAGE_RUNS];
    const int used = find_lines(c, runs, count, lines, curves);
    const bool several = runs[0].name != NULL;
    if (used == 0)
        return;
    nnclr_markup_printf(m, "<figure><h3>%s</h3><figcaption>", c->title);
    for (int l = 0; l < used; l++) {
        const bool chance = !several && l == 0 && used == 2 && c->second == NNCLR_CURVE_CHANCE &&
                            curves[0].last <= curves[1].last;
        if (!several || l == 0 || curves[l].run != curves[l - 1].run) /* once for its colour */
            put_key(m, &lines[l], &curves[l], chance);
    }
    nnclr_markup_add(m, "</figcaption>");
    nnclr_chart_lines(m, c->title, lines, used, c->from_zero);
    nnclr_markup_printf(m, "<figcaption>%s", c->about);
    if (several && c->second >= 0)
        nnclr_markup_printf(m, " Dashed: %s.", c->second_key);
    nnclr_markup_add(m, "</figcaption></figure>\n");
}

void page_curves(nnclr_markup *m, const page_run *runs, int count) {
    nnclr_markup_add(m, "<div class=\"charts\">\n");
    for (size_t i = 0; i < sizeof curve_charts / sizeof *curve_charts; i++)
        put_chart(m, &curve_charts[i], runs, count);
    nnclr_markup_add(m, "</div>\n");
}

/* ---- the page of several runs ---- */

static void put_setting(nnclr_markup *m, const char *name, const nnclr_compared_run *runs,
                        int count) {
    nnclr_markup_add(m, "<tr><th>");
    nnclr_markup_text(m, name);
    nnclr_markup_add(m, "</th>");
    for (int i = 0; i < count; i++) {
        const nnclr_json *value = nnclr_json_get(runs[i].differs, name);
        const char *text = nnclr_json_string(value);
        nnclr_buffer printed = {0};
        nnclr_error e = NNCLR_NO_ERROR;
        if (!text && value && !nnclr_json_print(value, false, &printed, &e))
            nnclr_markup_fail(m, &e);
        nnclr_markup_add(m, "<td class=\"num\">");
        nnclr_markup_text(m, text ? text : (const char *)printed.data);
        nnclr_markup_add(m, "</td>");
        nnclr_buffer_free(&printed);
    }
    nnclr_markup_add(m, "</tr>\n");
}

static void put_last(nnclr_markup *m, nnclr_curve curve, const nnclr_compared_run *runs,
                     int count) {
    bool any = false;
    for (int i = 0; i < count; i++)
        any = any || isfinite(nnclr_history_last(&runs[i].history, curve));
    if (!any)
        return;
    nnclr_markup_printf(m, "<tr><th>%s</th>", nnclr_curve_keys[curve]);
    for (int i = 0; i < count; i++) {
        const double last = nnclr_history_last(&runs[i].history, curve);
        nnclr_markup_add(m, "<td class=\"num\">");
        if (isfinite(last))
            nnclr_markup_printf(m, "%.4g", last);
        nnclr_markup_add(m, "</td>");
    }
    nnclr_markup_add(m, "</tr>\n");
}

static void begin_table(nnclr_markup *m, const char *id, const char *title, const char *about,
                        const nnclr_compared_run *runs, int count) {
    nnclr_markup_printf(m,
                        "<section id=\"%s\"><h2>%s</h2>\n<p class=\"about\">%s</p>\n<div "
                        "class=\"scroll\"><table><thead><tr><th></th>",
                        id, title, about);
    for (int i = 0; i < count; i++) {
        nnclr_markup_printf(m, "<th class=\"num\"><span class=\"key run%d\">", i);
        nnclr_markup_text(m, runs[i].path);
        nnclr_markup_add(m, "</span></th>");
    }
    nnclr_markup_add(m, "</tr></thead><tbody>\n");
}

static void put_tables(nnclr_markup *m, const nnclr_compared_run *runs, int count) {
    static const char end[] = "</tbody></table></div></section>\n";
    void *iterator = NULL;
    const char *name;
    begin_table(m, "metrics", "How they stand",
                "The last values: means over the last stretch of a curve.", runs, count);
    nnclr_markup_add(m, "<tr><th>step</th>");
    for (int i = 0; i < count; i++)
        nnclr_markup_printf(m, "<td class=\"num\">%.0f</td>", runs[i].history.last_step);
    nnclr_markup_add(m, "</tr>\n");
    for (int c = 0; c < NNCLR_CURVES; c++)
        put_last(m, (nnclr_curve)c, runs, count);
    nnclr_markup_add(m, end);
    begin_table(m, "settings", "How they differ", "Settings that not all of them have in common.",
                runs, count);
    while (nnclr_json_each(runs[0].differs, &iterator, &name))
        put_setting(m, name, runs, count);
    nnclr_markup_add(m, end);
}

bool nnclr_runs_page(const nnclr_compared_run *runs, int count, const char *program,
                     nnclr_buffer *html, nnclr_error *e) {
    nnclr_markup m = {0};
    page_run shown[NNCLR_PAGE_RUNS];
    for (int i = 0; i < count; i++)
        shown[i] = (page_run){runs[i].path, &runs[i].history};
    page_head(&m, runs[0].path, "runs");
    nnclr_markup_printf(&m,
                        "</style></head><body>\n<header><h1>%d run%s</h1></header>\n<main>\n"
                        "<section id=\"curves\"><h2>How training went</h2>\n<p "
                        "class=\"about\">Across: steps.</p>\n",
                        count, count == 1 ? "" : "s");
    page_curves(&m, shown, count);
    nnclr_markup_add(&m, "</section>\n");
    put_tables(&m, runs, count);
    page_foot(&m, program);
    const bool ok = !m.failed && nnclr_buffer_append(html, m.out.data, m.out.size, e);
    if (m.failed)
        *e = m.error;
    nnclr_buffer_free(&m.out);
    return ok;
}
