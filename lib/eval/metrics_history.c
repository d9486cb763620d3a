#include "eval/metrics_history.h"

#include <math.h>
#include <string.h>

#include "base/files.h"
#include "base/numbers.h"
#include "io/json.h"
#include "train/schedule.h"

static const size_t most_bytes = (size_t)1 << 30;

const char *const nnclr_curve_keys[NNCLR_CURVES] = {[NNCLR_CURVE_LOSS] = "loss",
                                                    [NNCLR_CURVE_ACC] = "nn_acc",
                                                    [NNCLR_CURVE_CHANCE] = "nn_chance",
                                                    [NNCLR_CURVE_AGREE] = "nn_agree",
                                                    [NNCLR_CURVE_AGE] = "nn_age",
                                                    [NNCLR_CURVE_SELF] = "nn_self",
                                                    [NNCLR_CURVE_PRESENT] = "self_present",
                                                    [NNCLR_CURVE_INITIAL] = "nn_initial",
                                                    [NNCLR_CURVE_Z_RANK] = "z_rank",
                                                    [NNCLR_CURVE_H_RANK] = "h_rank",
                                                    [NNCLR_CURVE_PROBE] = "probe_top1",
                                                    [NNCLR_CURVE_TEST] = "test_top1"};

/* Sums of a point's lines. Those of a probe, which have nothing else, go with the steps around
 * them, so that curves have no gaps there. */
typedef struct point {
    double step, value[NNCLR_CURVES];
    int lines, known[NNCLR_CURVES];
    double probed;
    int probes;
} point;

/* The line's step; false: it has none, and is not a line of a run. */
static bool step_of(const nnclr_json *line, double *step) {
    nnclr_error ignored = NNCLR_NO_ERROR;
    return nnclr_json_is_object(line) && nnclr_json_get_real(line, "step", step, &ignored) &&
           *step >= 0 && *step <= (double)NNCLR_MOST_STEPS;
}

static void add_line(const nnclr_json *line, double step, point *p) {
    const bool probe = nnclr_json_get(line, nnclr_curve_keys[NNCLR_CURVE_PROBE]) ||
                       nnclr_json_get(line, nnclr_curve_keys[NNCLR_CURVE_TEST]);
    *(probe ? &p->probed : &p->step) += step;
    ++*(probe ? &p->probes : &p->lines);
    for (int c = 0; c < NNCLR_CURVES; c++) {
        double value;
        const nnclr_json *member = nnclr_json_get(line, nnclr_curve_keys[c]);
        if (member && nnclr_json_real(member, &value) && isfinite(value)) {
            p->value[c] += value;
            p->known[c]++;
        }
    }
}

static void finish_point(nnclr_history *out, point *p) {
    out->step[out->count] = p->lines ? p->step / p->lines : p->probed / p->probes;
    for (int c = 0; c < NNCLR_CURVES; c++) {
        const double mean = p->known[c] ? p->value[c] / p->known[c] : NAN;
        out->value[c][out->count] = isfinite(mean) ? mean : NAN;
    }
    out->count++;
    *p = (point){0};
}

bool nnclr_history_read(const char *path, nnclr_history *out, nnclr_error *e) {
    nnclr_buffer text = {0};
    point p = {0};
    *out = (nnclr_history){0};
    bool ok = nnclr_file_read(path, most_bytes, &text, e);
    const char *at = (const char *)text.data, *end = at ? at + text.size : NULL;
    for (size_t i = 0; ok && i < text.size; i++)
        out->lines += text.data[i] == '\n';
    const int64_t each = nnclr_pieces(out->lines, NNCLR_HISTORY_POINTS);
    for (int64_t line = 1; ok && line <= out->lines; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        nnclr_error damage = NNCLR_NO_ERROR;
        nnclr_json *object = nnclr_json_parse(at, (size_t)(newline - at), "this line", &damage);
        double step;
        if (step_of(object, &step)) {
            add_line(object, step, &p);
            out->last_step = step;
        } else if (damage.code == NNCLR_ERROR_MEMORY) {
            *e = damage;
            ok = false;
        } else {
            out->damaged++;
        }
        nnclr_json_free(object);
        at = newline + 1;
        if (p.lines == each || (line == out->lines && p.lines + p.probes > 0))
            finish_point(out, &p);
    }
    nnclr_buffer_free(&text);
    return ok;
}

double nnclr_history_last(const nnclr_history *h, nnclr_curve curve) {
    int i = h->count;
    while (i > 0 && !isfinite(h->value[curve][i - 1]))
        i--;
    return i > 0 ? h->value[curve][i - 1] : NAN;
}
