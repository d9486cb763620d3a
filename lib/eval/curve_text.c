#include "eval/curve_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "eval/chart_parts.h"
#include "eval/neighbour_text.h"

enum {
    LEAST_WIDTH = 38, /* columns of a chart, the numbers of its axis included */
    MOST_WIDTH = 100,
    GAP = 2,
    LABEL = 10, /* characters of a number on the y axis */
    LEAST_HEIGHT = 3,
    MOST_HEIGHT = 8, /* lines of a plot */
    USUAL_HEIGHT = 5,
    AROUND = 3, /* lines of a chart that are not its plot: title, key, x axis */
    DOTS_ACROSS = 2,
    DOTS_UP = 4, /* of a character */
};

/* So many runs can be told apart; more begin again. */
static const char *const colors[] = {"\x1b[36m", "\x1b[33m", "\x1b[35m", "\x1b[32m",
                                     "\x1b[34m", "\x1b[31m", "\x1b[96m", "\x1b[93m"};
enum { COLORS = sizeof colors / sizeof *colors };
#define RED  "\x1b[31m"
#define BOLD "\x1b[1m"

typedef struct plot {
    int width, height; /* characters */
    chart_axis across, up;
    unsigned char dots[MOST_HEIGHT][MOST_WIDTH], color[MOST_HEIGHT][MOST_WIDTH];
} plot;

/* Curves that have one chart, and how it looks. */
typedef struct text_chart {
    const nnclr_curve_chart *chart;
    nnclr_chart_curve *curves;
    int count;
    plot plot;
    char high[LABEL + 8], low[LABEL + 8];
    int label; /* columns of the longer one */
} text_chart;

static const char *color_of(const nnclr_chart_curve *curve, bool several) {
    return colors[(several ? curve->run : (int)curve->second) % COLORS];
}

/* ---- dots ---- */

/* The dot at x, y (from the lower left); one that is there already keeps its colour. */
static void put_dot(plot *p, int x, int y, int color) {
    /* Bits of U+2800 for the dots of a character, from its lowest row. */
    static const unsigned char bits[DOTS_UP][DOTS_ACROSS] = {
        {0x40, 0x80}, {0x04, 0x20}, {0x02, 0x10}, {0x01, 0x08}};
    const int line = p->height - 1 - y / DOTS_UP, column = x / DOTS_ACROSS;
    if (p->dots[line][column] == 0)
        p->color[line][column] = (unsigned char)color;
    p->dots[line][column] |= bits[y % DOTS_UP][x % DOTS_ACROSS];
}

static double place(const chart_axis *axis, double value, int dots) {
    return (value - axis->low) / (axis->high - axis->low) * (dots - 1);
}

static void put_line(plot *p, const nnclr_chart_curve *curve, bool dashed, int color) {
    const nnclr_history *h = curve->history;
    double x0 = 0, y0 = 0;
    bool drawing = false;
    for (int i = 0; i < h->count; i++) {
        const double value = chart_drawable(h->value[curve->curve][i]),
                     at = chart_drawable(h->step[i]);
        if (isnan(value) || isnan(at)) {
            drawing = drawing && curve->sparse;
            continue;
        }
        const double x1 = place(&p->across, at, DOTS_ACROSS * p->width);
        const double y1 = place(&p->up, value, DOTS_UP * p->height);
        const int steps = drawing ? (int)ceil(fmax(fabs(x1 - x0), fabs(y1 - y0))) : 0;
        for (int s = steps > 0; s <= steps; s++) {
            const double part = steps ? (double)s / steps : 1;
            const int x = (int)lround(drawing ? x0 + part * (x1 - x0) : x1);
            const int y = (int)lround(drawing ? y0 + part * (y1 - y0) : y1);
            if (!dashed || x % 4 < 2)
                put_dot(p, x, y, color);
        }
        x0 = x1;
        y0 = y1;
        drawing = true;
    }
}

/* ---- a chart ---- */

static void draw(text_chart *c, int width, int height, bool several) {
    chart_range values = CHART_NO_RANGE, places = CHART_NO_RANGE;
    for (int l = 0; l < c->count; l++)
        for (int i = 0; i < c->curves[l].history->count; i++) {
            chart_widen(&values, c->curves[l].history->value[c->curves[l].curve][i]);
            chart_widen(&places, c->curves[l].history->step[i]);
        }
    plot *p = &c->plot;
    memset(p, 0, sizeof *p);
    p->up =
        chart_make_axis(c->chart->from_zero ? fmin(values.low, 0) : values.low, values.high, false);
    p->across = chart_make_axis(places.low, places.high, true);
    snprintf(c->high, sizeof c->high, "%.4g", p->up.high);
    snprintf(c->low, sizeof c->low, "%.4g", p->up.low);
    c->label = (int)nnclr_max(strlen(c->high), strlen(c->low));
    p->width = width - c->label - 1;
    p->height = height;
    for (int l = 0; l < c->count; l++)
        put_line(p, &c->curves[l], several && c->curves[l].second,
                 several ? c->curves[l].run % COLORS : (int)c->curves[l].second);
}

/* The last numbers, in the colours of their curves, padded to the chart's width. */
static bool put_key(nnclr_buffer *out, const text_chart *c, int width, bool several,
                    nnclr_error *e) {
    const bool chance = !several && nnclr_curves_at_chance(c->curves, c->count);
    bool ok = true;
    int left = width;
    for (int l = 0; ok && l < c->count && left > 0; l++) {
        char text[80];
        if (several && l > 0 && c->curves[l].run == c->curves[l - 1].run)
            continue;
        int used = several ? snprintf(text, sizeof text, "%.3g ", c->curves[l].last)
                           : snprintf(text, sizeof text, "%s %.3g  ", c->curves[l].name,
                                      c->curves[l].last);
        used = nnclr_min(used, left);
        ok = nnclr_put_padded(text, chance && l == 0 ? RED : color_of(&c->curves[l], several), used,
                              out, e);
        left -= used;
    }
    char dashed[80] = "";
    if (several && c->chart->second >= 0)
        snprintf(dashed, sizeof dashed, " dashed: %s", c->chart->second_key);
    return ok && nnclr_put_padded(dashed, "", left, out, e);
}

static bool put_dots(nnclr_buffer *out, const plot *p, int line, nnclr_error *e) {
    const char *color = NULL;
    bool ok = true;
    for (int x = 0; ok && x < p->width; x++) {
        const unsigned char dots = p->dots[line][x];
        const char *wanted = dots ? colors[p->color[line][x]] : color;
        if (wanted != color)
            ok = nnclr_buffer_printf(out, e, "%s", wanted);
        color = wanted;
        const char braille[] = {(char)0xE2, (char)(0xA0 | dots >> 6), (char)(0x80 | (dots & 63))};
        ok = ok && nnclr_buffer_append(out, dots ? braille : " ", dots ? sizeof braille : 1, e);
    }
    return ok && (!color || nnclr_buffer_append(out, "\x1b[0m", 4, e));
}

static bool put_x_axis(nnclr_buffer *out, const text_chart *c, nnclr_error *e) {
    char low[32], high[32];
    snprintf(low, sizeof low, "%.6g", c->plot.across.low);
    snprintf(high, sizeof high, "%.6g", c->plot.across.high);
    return nnclr_buffer_printf(out, e, "%*s%s%*s", c->label + 1, "", low,
                               c->plot.width - (int)strlen(low), high);
}

static bool put_chart_line(nnclr_buffer *out, const text_chart *c, int line, int width,
                           bool several, nnclr_error *e) {
    const int at = line - 2;
    if (line == 0)
        return nnclr_put_padded(c->chart->title, BOLD, width, out, e);
    if (line == 1)
        return put_key(out, c, width, several, e);
    if (at == c->plot.height)
        return put_x_axis(out, c, e);
    return nnclr_buffer_printf(out, e, "%*s ", c->label,
                               at == 0                    ? c->high
                               : at == c->plot.height - 1 ? c->low
                                                          : "") &&
           put_dots(out, &c->plot, at, e);
}

/* ---- all of them ---- */

static bool put_names(nnclr_buffer *out, const nnclr_curve_run *runs, int count, int columns,
                      nnclr_error *e) {
    bool ok = true;
    for (int i = 0; ok && i < count; i++) {
        ok = nnclr_put_padded(runs[i].name, colors[i % COLORS], columns, out, e) &&
             nnclr_buffer_append(out, "\n", 1, e);
    }
    return ok;
}

/* Charts side by side. */
static bool put_row(nnclr_buffer *out, const text_chart *charts, int count, int width, bool several,
                    nnclr_error *e) {
    bool ok = true;
    for (int line = 0; ok && line < charts->plot.height + AROUND; line++) {
        for (int c = 0; ok && c < count; c++)
            ok = (c == 0 || nnclr_buffer_printf(out, e, "%*s", GAP, "")) &&
                 put_chart_line(out, &charts[c], line, width, several, e);
        ok = ok && nnclr_buffer_append(out, "\n", 1, e);
    }
    return ok;
}

bool nnclr_curves_text(const nnclr_curve_run *runs, int count, int columns, int lines,
                       nnclr_buffer *out, nnclr_error *e) {
    const bool several = runs[0].name != NULL;
    const int beside = nnclr_clamp((columns + GAP) / (LEAST_WIDTH + GAP), 1, NNCLR_CURVE_CHARTS);
    const int width = nnclr_clamp((columns + GAP) / beside - GAP, LEAST_WIDTH, MOST_WIDTH);
    int used = 0, height = USUAL_HEIGHT;
    nnclr_chart_curve *curves =
        nnclr_alloc(2 * (size_t)count * NNCLR_CURVE_CHARTS, sizeof *curves, e);
    text_chart *charts = nnclr_alloc(NNCLR_CURVE_CHARTS, sizeof *charts, e);
    bool ok = curves && charts;
    for (int i = 0; ok && i < NNCLR_CURVE_CHARTS; i++) {
        charts[used] =
            (text_chart){.chart = &nnclr_curve_charts[i], .curves = curves + 2 * count * i};
        charts[used].count =
            nnclr_chart_curves(charts[used].chart, runs, count, charts[used].curves);
        used += charts[used].count > 0;
    }
    if (lines > 0 && used > 0) {
        const int room = several ? lines - count : lines, rows = (int)nnclr_pieces(used, beside);
        height = nnclr_clamp(room / rows - AROUND, LEAST_HEIGHT, MOST_HEIGHT);
        used = nnclr_min(used, nnclr_max(room / (height + AROUND), 1) * beside);
    }
    for (int i = 0; ok && i < used; i++)
        draw(&charts[i], width, height, several);
    ok = ok && (!several || put_names(out, runs, count, columns, e));
    for (int i = 0; ok && i < used; i += beside)
        ok = put_row(out, charts + i, nnclr_min(used - i, beside), width, several, e);
    nnclr_free(charts);
    nnclr_free(curves);
    return ok;
}
