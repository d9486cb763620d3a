#include "train/config_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/strings.h"

enum { LONGEST_NUMBER = 40 };

/* Copies the part before the next comma (or the end) and moves past it; false: it is too long, or
 * there is none. *text is NULL after the last part. */
static bool next_part(const char **text, char part[LONGEST_NUMBER]) {
    if (!*text)
        return false;
    const char *comma = strchr(*text, ',');
    size_t size = comma ? (size_t)(comma - *text) : strlen(*text);
    if (size >= LONGEST_NUMBER)
        return false;
    memcpy(part, *text, size);
    part[size] = '\0';
    *text = comma ? comma + 1 : NULL;
    return true;
}

bool nnclr_parse_reals(const char *text, double *out, int count, double low, double high,
                       nnclr_error *e) {
    const char *rest = text;
    char part[LONGEST_NUMBER];
    bool ok = true;
    for (int i = 0; ok && i < count; i++)
        ok = next_part(&rest, part) && nnclr_parse_real(part, low, high, &out[i]);
    return (ok && !rest) ||
           nnclr_fail(e, NNCLR_ERROR_USAGE,
                      "needs %d numbers from %g to %g, separated by commas, not \"%s\"", count, low,
                      high, text);
}

void nnclr_print_reals(const double *values, int count, char *text, size_t size) {
    size_t used = 0;
    for (int i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%.6g", i ? "," : "", values[i]);
}

bool nnclr_parse_layers(const char *text, nnclr_layers *out, nnclr_error *e) {
    const char *rest = text;
    char part[LONGEST_NUMBER];
    nnclr_layers layers = {0};
    bool ok = true;
    if (strcmp(text, "none") == 0)
        rest = NULL;
    while (ok && rest) {
        int64_t width;
        ok = layers.count < NNCLR_MLP_LAYERS && next_part(&rest, part) &&
             nnclr_parse_int(part, 1, NNCLR_MLP_WIDEST, &width);
        if (ok)
            layers.width[layers.count++] = (int)width;
    }
    if (ok)
        *out = layers;
    return ok ||
           nnclr_fail(
               e, NNCLR_ERROR_USAGE,
               "needs at most %d widths from 1 to %d, separated by commas, or none, not \"%s\"",
               NNCLR_MLP_LAYERS, NNCLR_MLP_WIDEST, text);
}

void nnclr_print_layers(const nnclr_layers *layers, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "%s", layers->count ? "" : "none");
    for (int i = 0; i < layers->count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%d", i ? "," : "", layers->width[i]);
}

bool nnclr_parse_duration(const char *text, nnclr_duration *out, nnclr_error *e) {
    static const struct {
        const char *suffix;
        double factor;
        nnclr_unit unit;
    } units[] = {
        {"s", 1, NNCLR_SECONDS},    {"m", 60, NNCLR_SECONDS}, {"h", 3600, NNCLR_SECONDS},
        {"steps", 1, NNCLR_STEPS},  {"step", 1, NNCLR_STEPS}, {"epochs", 1, NNCLR_EPOCHS},
        {"epoch", 1, NNCLR_EPOCHS},
    };
    size_t digits = strspn(text, "0123456789.");
    char number[LONGEST_NUMBER];
    double count;
    if (digits < sizeof number) {
        memcpy(number, text, digits);
        number[digits] = '\0';
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            if (strcmp(text + digits, units[i].suffix) != 0 ||
                !nnclr_parse_real(number, 0, 1e12, &count) || !(count > 0) ||
                (units[i].unit == NNCLR_STEPS && count != floor(count)))
                continue;
            *out = (nnclr_duration){count * units[i].factor, units[i].unit};
            return true;
        }
    }
    return nnclr_fail(e, NNCLR_ERROR_USAGE,
                      "needs a time such as 90s, 10m, 2h, or 500steps or 1epoch, not \"%s\"", text);
}

void nnclr_print_duration(const nnclr_duration *duration, char *text, size_t size) {
    double count = duration->count;
    switch (duration->unit) {
    case NNCLR_SECONDS:
        snprintf(text, size, "%.6g%s", count < 60 ? count : count / 60, count < 60 ? "s" : "m");
        break;
    case NNCLR_STEPS:
        snprintf(text, size, "%.0fstep%s", count, count > 1 ? "s" : "");
        break;
    case NNCLR_EPOCHS:
        snprintf(text, size, "%.6gepoch%s", count, count > 1 ? "s" : "");
        break;
    }
}

/* A share of the run, or a duration other than by the clock. */
static bool parse_over(const char *text, nnclr_course *out) {
    nnclr_error ignored = NNCLR_NO_ERROR;
    nnclr_duration duration;
    out->unit = NNCLR_OVER_RUN;
    if (nnclr_parse_real(text, 1e-9, 1, &out->over))
        return true;
    if (!nnclr_parse_duration(text, &duration, &ignored) || duration.unit == NNCLR_SECONDS)
        return false;
    out->unit = duration.unit == NNCLR_STEPS ? NNCLR_OVER_STEPS : NNCLR_OVER_EPOCHS;
    out->over = duration.count;
    return true;
}

bool nnclr_parse_course(const char *text, nnclr_course *out, nnclr_error *e) {
    const char *rest = text;
    char part[LONGEST_NUMBER];
    nnclr_course course = {0};
    bool ok = next_part(&rest, part) && nnclr_parse_real(part, 0, 1, &course.share[0]);
    course.share[1] = course.share[0];
    if (ok && rest)
        ok = next_part(&rest, part) && nnclr_parse_real(part, 0, 1, &course.share[1]);
    if (ok && rest)
        ok = next_part(&rest, part) && parse_over(part, &course);
    if (ok && !rest)
        *out = course;
    return (ok && !rest) ||
           nnclr_fail(e, NNCLR_ERROR_USAGE,
                      "needs a share from 0 to 1, or two and how long it takes from one to the "
                      "other, such as 1,0.5 or 1,0.5,0.3 or 1,0.5,20epochs, not \"%s\"",
                      text);
}

void nnclr_print_course(const nnclr_course *course, char *text, size_t size) {
    static const char *const units[] = {
        [NNCLR_OVER_RUN] = "", [NNCLR_OVER_EPOCHS] = "epochs", [NNCLR_OVER_STEPS] = "steps"};
    if (course->share[0] == course->share[1])
        snprintf(text, size, "%.6g", course->share[0]);
    else if (course->over == 0)
        snprintf(text, size, "%.6g,%.6g", course->share[0], course->share[1]);
    else
        snprintf(text, size, "%.6g,%.6g,%.6g%s", course->share[0], course->share[1], course->over,
                 units[course->unit]);
}
