#include "train/run_writer.h"

#include <stdio.h>

#include "base/files.h"

/* ---- what went wrong ---- */

/* Reports a failure that training survives. */
static void report_failure(nnclr_run_writer *w, const char *consequence,
                           const nnclr_error *failure) {
    char text[sizeof failure->message + 200];
    w->failure = *failure;
    snprintf(text, sizeof text, "%s; %s", failure->message, consequence);
    if (w->on_message)
        w->on_message(w->context, text);
}

/* Lines of the metrics are missing, or may be: said once. */
static void report_lines(nnclr_run_writer *w, const char *consequence, const nnclr_error *failure) {
    if (!w->metrics_failed)
        report_failure(w, consequence, failure);
    w->metrics_failed = true;
}

/* ---- lines ---- */

/* Puts w->line into the metrics, if it could be printed. */
static void put_line(nnclr_run_writer *w, bool printed, nnclr_error *failure) {
    if (!printed ||
        !nnclr_run_metrics_line(w->run, (const char *)w->line.data, w->line.size, failure))
        report_lines(w, "training continues, but lines of the metrics will be missing", failure);
}

void nnclr_run_writer_line(nnclr_run_writer *w, nnclr_metrics_line *line) {
    if (!w)
        return;
    nnclr_error failure = NNCLR_NO_ERROR;
    const double now = nnclr_now();
    line->images_per_s =
        (double)(line->step - w->logged_step) * w->state.info->config.batch / (now - w->logged);
    w->logged = now;
    w->logged_step = line->step;
    put_line(w, nnclr_metrics_print(line, &w->line, &failure), &failure);
}

bool nnclr_run_writer_has_probe(const nnclr_run_writer *w, const nnclr_probe_kind *kind,
                                int64_t step) {
    return w && nnclr_run_metrics_has(w->run, step, kind->top1);
}

void nnclr_run_writer_probe(nnclr_run_writer *w, const nnclr_probe_kind *kind,
                            const nnclr_probe_line *line, const nnclr_error *failure,
                            double seconds) {
    if (!w)
        return;
    nnclr_error why = *failure;
    put_line(w, why.code == NNCLR_OK && nnclr_probe_print(kind, line, &w->line, &why), &why);
    w->logged += seconds;
}

/* The lines up to the checkpoint's step reach the disk before it does. */
static void sync_metrics(nnclr_run_writer *w) {
    nnclr_error failure = NNCLR_NO_ERROR;
    if (!nnclr_run_metrics_sync(w->run, &failure))
        report_lines(w, "training continues, but lines of the metrics may be missing", &failure);
}

/* ---- checkpoints ---- */

static bool save(nnclr_run_writer *w, nnclr_error *e) {
    const nnclr_run_state *s = &w->state;
    w->saved = nnclr_now();
    if (!nnclr_checkpoint_write(nnclr_run_checkpoint_path(w->run), w->program, s->info,
                                s->parameters, s->support, e))
        return false;
    w->saved_step = s->info->step;
    return true;
}

/* What --keep asks for besides the checkpoint; a failure here leaves the run no less complete. */
static void keep_older(nnclr_run_writer *w) {
    nnclr_error failure = NNCLR_NO_ERROR;
    w->keep_failed = !nnclr_run_keep(w->run, w->saved_step, w->keep, &failure);
    if (w->keep_failed)
        report_failure(w, "the checkpoint is written, but not all that --keep asks for are kept",
                       &failure);
}

bool nnclr_run_writer_is_due(const nnclr_run_writer *w) {
    return w && ((w->save_steps > 0 && w->state.info->step % w->save_steps == 0) ||
                 (w->save_seconds > 0 && nnclr_now() - w->saved >= w->save_seconds));
}

bool nnclr_run_writer_save(nnclr_run_writer *w, bool last, nnclr_error *e) {
    if (!w)
        return true;
    nnclr_error failure = NNCLR_NO_ERROR;
    sync_metrics(w);
    w->save_failed = !save(w, &failure);
    if (failure.code == NNCLR_ERROR_NUMERIC)
        return nnclr_fail(
            e, NNCLR_ERROR_NUMERIC,
            "the weights after step %lld are not finite, or far too large (%s): start "
            "again with a lower --lr (now %g) or a longer --warmup; the checkpoint of "
            "step %lld is kept",
            (long long)w->state.info->step, failure.message, w->state.info->config.lr,
            (long long)w->saved_step);
    if (!w->save_failed)
        keep_older(w);
    else if (last)
        w->failure = failure;
    else
        report_failure(w, "training continues, and will try again when the next checkpoint is due",
                       &failure);
    return true;
}

void nnclr_run_writer_rescue(nnclr_run_writer *w, nnclr_error *e) {
    if (!w)
        return;
    const nnclr_error why = *e;
    nnclr_error failure = NNCLR_NO_ERROR;
    bool saved = w->saved_step == w->state.info->step;
    if (!saved) {
        sync_metrics(w);
        saved = save(w, &failure);
        if (saved)
            keep_older(w);
    }
    if (saved)
        nnclr_fail(e, why.code,
                   "%s; the checkpoint of step %lld is written: once that is fixed, --resume "
                   "continues from it",
                   why.message, (long long)w->saved_step);
    else
        nnclr_fail(e, why.code, "%s; nor can a checkpoint be written: %s", why.message,
                   failure.message);
}

/* ---- the run ---- */

bool nnclr_run_writer_begin(nnclr_run_writer *w, const nnclr_run_state *state, bool resumed,
                            nnclr_error *e) {
    if (!w)
        return true;
    const int64_t step = state->info->step;
    w->state = *state;
    w->saved = w->logged = nnclr_now();
    w->saved_step = resumed ? step : -1;
    w->logged_step = step;
    if (!nnclr_run_metrics_open(w->run, w->saved_step, e))
        return false;
    if (!resumed && (!save(w, e) || !nnclr_run_begin(w->run, e))) {
        const nnclr_error why = *e;
        return nnclr_fail(e, why.code,
                          "%s; nothing is trained yet: fix that, or give another RUN with -o",
                          why.message);
    }
    keep_older(w); /* also when resuming: the run may have been killed before this was done */
    return true;
}

bool nnclr_run_writer_finish(const nnclr_run_writer *w, nnclr_error *e) {
    return !w || w->save_failed || nnclr_run_mark_done(w->run, e);
}

void nnclr_run_writer_free(nnclr_run_writer *w) {
    nnclr_buffer_free(&w->line);
}
