#include "eval/metrics_history.h"

#include <math.h>

#include "base/numbers.h"

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

double nnclr_curve_value(const nnclr_json *line, nnclr_curve curve) {
    double value;
    const nnclr_json *member = nnclr_json_get(line, nnclr_curve_keys[curve]);
    return member && nnclr_json_real(member, &value) && isfinite(value) ? value : NAN;
}

static void add_line(nnclr_history_sums *p, const nnclr_json *line, double step) {
    const bool probe = nnclr_json_get(line, nnclr_curve_keys[NNCLR_CURVE_PROBE]) ||
                       nnclr_json_get(line, nnclr_curve_keys[NNCLR_CURVE_TEST]);
    *(probe ? &p->probed : &p->step) += step;
    ++*(probe ? &p->probes : &p->lines);
    for (int c = 0; c < NNCLR_CURVES; c++) {
        const double value = nnclr_curve_value(line, (nnclr_curve)c);
        if (!isnan(value)) {
            p->value[c] += value;
            p->known[c]++;
        }
    }
}

static void take_in(nnclr_history_sums *p, const nnclr_history_sums *next) {
    p->step += next->step;
    p->probed += next->probed;
    p->lines += next->lines;
    p->probes += next->probes;
    for (int c = 0; c < NNCLR_CURVES; c++) {
        p->value[c] += next->value[c];
        p->known[c] += next->known[c];
    }
}

/* The point's means. */
static void refresh(nnclr_history *h, int i) {
    const nnclr_history_sums *p = &h->sums[i];
    h->step[i] = p->lines ? p->step / (double)p->lines : p->probed / (double)p->probes;
    for (int c = 0; c < NNCLR_CURVES; c++) {
        const double mean = p->known[c] ? p->value[c] / (double)p->known[c] : NAN;
        h->value[c][i] = isfinite(mean) ? mean : NAN;
    }
}

static void halve(nnclr_history *h) {
    h->count /= 2;
    h->each *= 2;
    for (int i = 0; i < h->count; i++) {
        h->sums[i] = h->sums[2 * i];
        take_in(&h->sums[i], &h->sums[2 * i + 1]);
        refresh(h, i);
    }
}

void nnclr_history_add(nnclr_history *h, const nnclr_json *line, double step) {
    h->each = nnclr_max(h->each, 1);
    if (h->count == 0 || h->sums[h->count - 1].lines == h->each) {
        if (h->count == NNCLR_HISTORY_POINTS)
            halve(h);
        h->sums[h->count++] = (nnclr_history_sums){0};
    }
    add_line(&h->sums[h->count - 1], line, step);
    refresh(h, h->count - 1);
    h->last_step = step;
}

bool nnclr_history_catch_up(nnclr_history *h, nnclr_metrics_reader *from, nnclr_error *e) {
    nnclr_json *line;
    double step;
    bool ok;
    while ((ok = nnclr_metrics_next(from, &line, &step, e)) && line) {
        nnclr_history_add(h, line, step);
        nnclr_json_free(line);
    }
    h->lines = nnclr_metrics_lines(from);
    h->damaged = nnclr_metrics_damaged(from);
    return ok;
}

bool nnclr_history_read(const char *path, nnclr_history *out, nnclr_error *e) {
    nnclr_metrics_reader *reader = nnclr_metrics_open(path, e);
    *out = (nnclr_history){0};
    const bool ok = reader && nnclr_history_catch_up(out, reader, e);
    nnclr_metrics_close(reader);
    return ok;
}

double nnclr_history_last(const nnclr_history *h, nnclr_curve curve) {
    int i = h->count;
    while (i > 0 && !isfinite(h->value[curve][i - 1]))
        i--;
    return i > 0 ? h->value[curve][i - 1] : NAN;
}
