#include "eval/chart.h"

#include <math.h>
#include <stdio.h>

#include "base/numbers.h"
#include "eval/chart_parts.h"

enum { WIDTH = 360, HEIGHT = 190, LEFT = 44, RIGHT = 12, TOP = 10, BOTTOM = 24, TICKS = 4 };

double chart_drawable(double x) {
    return fabs(x) < 1e-300 ? 0 : fabs(x) <= 1e300 ? x : NAN;
}

void chart_widen(chart_range *r, double x) {
    x = chart_drawable(x);
    if (isnan(x))
        return;
    r->low = fmin(r->low, x);
    r->high = fmax(r->high, x);
}

/* The smallest of 1, 2, 5 times a power of ten that is not below `size`. */
static double nice(double size) {
    double power = pow(10, floor(log10(size)));
    for (int i = 0; i < 3; i++) {
        static const double factors[] = {1, 2, 5};
        if (factors[i] * power >= size * (1 - 1e-9))
            return factors[i] * power;
    }
    return 10 * power;
}

chart_axis chart_make_axis(double low, double high, bool whole) {
    if (!(high > low)) {
        double half = fabs(low) > 0 ? fabs(low) / 2 : 0.5;
        high = low + half;
        low -= low == 0 ? 0 : half;
    }
    chart_axis a = {.low = low, .high = high, .step = nice((high - low) / TICKS)};
    if (whole)
        return a;
    a.low = floor(low / a.step + 1e-9) * a.step;
    a.high = ceil(high / a.step - 1e-9) * a.step;
    return a;
}

static double place_x(const chart_axis *a, double value) {
    return LEFT + (value - a->low) / (a->high - a->low) * (WIDTH - LEFT - RIGHT);
}

static double place_y(const chart_axis *a, double value) {
    return HEIGHT - BOTTOM - (value - a->low) / (a->high - a->low) * (HEIGHT - TOP - BOTTOM);
}

static void begin(nnclr_markup *m, const char *label) {
    nnclr_markup_printf(m, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    nnclr_markup_text(m, label);
    nnclr_markup_add(m, "\">");
}

/* Tick number t (from 0) of an axis; false: there are no more. */
static bool tick(const chart_axis *a, int t, double *value) {
    *value = (ceil(a->low / a->step - 1e-9) + t) * a->step + 0.0; /* no -0 */
    return t <= 2 * TICKS && *value <= a->high + 1e-9 * a->step;
}

static void draw_y(nnclr_markup *m, const chart_axis *a) {
    double value;
    for (int t = 0; tick(a, t, &value); t++) {
        double y = place_y(a, value);
        nnclr_markup_printf(m,
                            "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" "
                            "text-anchor=\"end\">%.4g</text>",
                            LEFT, y, WIDTH - RIGHT, LEFT - 6, y + 4, value);
    }
}

static void draw_x(nnclr_markup *m, const chart_axis *a) {
    double value;
    for (int t = 0; tick(a, t, &value); t++)
        nnclr_markup_printf(m, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.6g</text>",
                            place_x(a, value), HEIGHT - 6, value);
}

static void draw_line(nnclr_markup *m, const chart_axis *across, const chart_axis *up,
                      const nnclr_chart_line *line) {
    char pen = 'M';
    nnclr_markup_printf(m, "<path class=\"%s\" d=\"", line->class);
    for (int i = 0; i < line->count; i++) {
        const double value = chart_drawable(line->value[i]), at = chart_drawable(line->x[i]);
        if (isnan(value) || isnan(at)) {
            pen = line->sparse ? pen : 'M';
            continue;
        }
        nnclr_markup_printf(m, "%c%.1f %.1f", pen, place_x(across, at), place_y(up, value));
        pen = 'L';
    }
    nnclr_markup_add(m, "\"/>");
}

bool nnclr_chart_lines(nnclr_markup *m, const char *label, const nnclr_chart_line *lines,
                       int line_count, bool from_zero) {
    chart_range values = CHART_NO_RANGE, places = values;
    for (int l = 0; l < line_count; l++)
        for (int i = 0; i < lines[l].count; i++) {
            chart_widen(&places, lines[l].x[i]);
            chart_widen(&values, lines[l].value[i]);
        }
    if (values.low > values.high || places.low > places.high)
        return false;
    const chart_axis up =
        chart_make_axis(from_zero ? fmin(values.low, 0) : values.low, values.high, false);
    const chart_axis across = chart_make_axis(places.low, places.high, true);
    begin(m, label);
    draw_y(m, &up);
    draw_x(m, &across);
    for (int l = line_count - 1; l >= 0; l--)
        draw_line(m, &across, &up, &lines[l]);
    nnclr_markup_add(m, "</svg>");
    return true;
}

void nnclr_chart_bars(nnclr_markup *m, const char *label, const int64_t *bar, int count,
                      int64_t width) {
    int64_t most = 1;
    for (int i = 0; i < count; i++)
        most = nnclr_max(bar[i], most);
    const chart_axis up = chart_make_axis(0, (double)most, false);
    const double each = (double)(WIDTH - LEFT - RIGHT) / count;
    begin(m, label);
    draw_y(m, &up);
    for (int i = 0; i < count; i++) {
        double top = place_y(&up, (double)bar[i]);
        nnclr_markup_printf(m,
                            "<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                            "height=\"%.1f\"><title>%lld to %lld steps: %lld rows</title></rect>",
                            LEFT + i * each + 1, top, each - 2, HEIGHT - BOTTOM - top,
                            (long long)(i * width), (long long)((i + 1) * width - 1),
                            (long long)bar[i]);
        if (count <= 8 || i % 2 == 0)
            nnclr_markup_printf(m, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%lld</text>",
                                LEFT + (i + 0.5) * each, HEIGHT - 6, (long long)(i * width));
    }
    nnclr_markup_add(m, "</svg>");
}
