#include <math.h>
#include <stdio.h>

#include "eval/chart.h"
#include "eval/curve_charts.h"
#include "eval/page_parts.h"
#include "eval/run_comparison.h"

/* ---- charts ---- */

static void put_key(nnclr_markup *m, const nnclr_chart_curve *curve, const char *class,
                    bool chance) {
    nnclr_markup_printf(m, "<span class=\"key %s%s\">", class, chance ? " bad" : "");
    nnclr_markup_text(m, curve->name);
    nnclr_markup_printf(m, " <b class=\"num\">%.3g</b>%s</span>", curve->last,
                        chance ? ", no better than chance" : "");
}

static void put_chart(nnclr_markup *m, const nnclr_curve_chart *c, const nnclr_curve_run *runs,
                      int count) {
    nnclr_chart_line lines[2 * NNCLR_PAGE_RUNS];
    nnclr_chart_curve curves[2 * NNCLR_PAGE_RUNS];
    char class[2 * NNCLR_PAGE_RUNS][24];
    const int used = nnclr_chart_curves(c, runs, count, curves);
    const bool several = runs[0].name != NULL;
    if (used == 0)
        return;
    nnclr_markup_printf(m, "<figure><h3>%s</h3><figcaption>", c->title);
    for (int l = 0; l < used; l++) {
        const nnclr_chart_curve *curve = &curves[l];
        if (several)
            snprintf(class[l], sizeof *class, "run%d%s", curve->run,
                     curve->second ? " second" : "");
        else
            snprintf(class[l], sizeof *class, curve->second ? "second" : "first");
        lines[l] = (nnclr_chart_line){
            .x = curve->history->step,
            .value = curve->history->value[curve->curve],
            .sparse = curve->sparse,
            .count = curve->history->count,
            .name = curve->name,
            .class = class[l],
        };
        if (!several || l == 0 || curve->run != curves[l - 1].run) /* once for its colour */
            put_key(m, curve, class[l], !several && l == 0 && nnclr_curves_at_chance(curves, used));
    }
    nnclr_markup_add(m, "</figcaption>");
    nnclr_chart_lines(m, c->title, lines, used, c->from_zero);
    nnclr_markup_printf(m, "<figcaption>%s", c->about);
    if (several && c->second >= 0)
        nnclr_markup_printf(m, " Dashed: %s.", c->second_key);
    nnclr_markup_add(m, "</figcaption></figure>\n");
}

void page_curves(nnclr_markup *m, const nnclr_curve_run *runs, int count) {
    nnclr_markup_add(m, "<div class=\"charts\">\n");
    for (int i = 0; i < NNCLR_CURVE_CHARTS; i++)
        put_chart(m, &nnclr_curve_charts[i], runs, count);
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
    nnclr_curve_run shown[NNCLR_PAGE_RUNS];
    for (int i = 0; i < count; i++)
        shown[i] = (nnclr_curve_run){runs[i].path, &runs[i].history};
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
