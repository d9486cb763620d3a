#include "cmd/training.h"

#include <signal.h>

#include "cmd/augment_options.h"
#include "cmd/engine_options.h"

/* ---- values of options ---- */

bool training_parse_duration(const char *text, void *target, nnclr_error *e) {
    return nnclr_parse_duration(text, target, e);
}

bool training_parse_time(const char *text, void *target, nnclr_error *e) {
    nnclr_duration time;
    if (nnclr_parse_duration(text, &time, e) && time.unit == NNCLR_SECONDS) {
        *(nnclr_duration *)target = time;
        return true;
    }
    return nnclr_fail(e, NNCLR_ERROR_USAGE, "needs a time such as 90s, 10m or 2h, not \"%s\"",
                      text);
}

bool training_parse_warmup(const char *text, void *target, nnclr_error *e) {
    static const double most_epochs = 1e9;
    nnclr_duration *warmup = target;
    if (nnclr_parse_real(text, 0, most_epochs, &warmup->count)) {
        warmup->unit = NNCLR_EPOCHS;
        return true;
    }
    nnclr_error ignored = NNCLR_NO_ERROR;
    if (nnclr_parse_duration(text, warmup, &ignored) &&
        (warmup->unit == NNCLR_STEPS ||
         (warmup->unit == NNCLR_EPOCHS && warmup->count <= most_epochs)))
        return true;
    return nnclr_fail(e, NNCLR_ERROR_USAGE,
                      "needs a number of epochs, or steps such as 500steps, not \"%s\"", text);
}

void training_show_duration(const void *target, char *text, size_t size) {
    const nnclr_duration *duration = target;
    if (duration->count > 0)
        nnclr_print_duration(duration, text, size);
    else if (size)
        text[0] = '\0';
}

/* ---- a run ---- */

static bool open_engine(const nnclr_cli *cli, int choice, int precision, nnclr_pool **pool,
                        nnclr_engine *engine, nnclr_error *e) {
    *pool = nnclr_pool_create(cli->threads, e);
    return *pool && nnclr_engine_open(engine, (nnclr_engine_choice)choice,
                                      (nnclr_precision)precision, *pool, e);
}

bool training_open_engine(const nnclr_cli *cli, int choice, int precision, nnclr_pool **pool,
                          nnclr_engine *engine, nnclr_error *e) {
    return engine_asked_for(open_engine(cli, choice, precision, pool, engine, e), e);
}

bool training_reopen_engine(const nnclr_cli *cli, const nnclr_checkpoint_info *info,
                            nnclr_pool **pool, nnclr_engine *engine, nnclr_error *e) {
    int choice = option_find(engine_names, info->engine);
    int precision = option_find(precision_names, info->precision);
    if (choice >= 0 && precision >= 0)
        return open_engine(cli, choice, precision, pool, engine, e);
    return nnclr_fail(
        e, NNCLR_ERROR_MISSING,
        "the run was made with engine %s at precision %s, which this program does not "
        "have",
        info->engine, info->precision);
}

nnclr_request training_should_stop(void *unused) {
    (void)unused;
    if (nnclr_cli_stop)
        return NNCLR_STOP_NOW;
    if (!nnclr_cli_usr1)
        return NNCLR_GO_ON;
    nnclr_cli_usr1 = 0;
    return NNCLR_SAVE_NOW;
}

bool training_is_told_to_stop(void *unused) {
    (void)unused;
    return nnclr_cli_stop != 0;
}

void training_save_every(const nnclr_duration *every, const nnclr_plan *plan,
                         nnclr_trainer_options *options) {
    double count = every->count;
    if (every->unit == NNCLR_SECONDS) {
        options->save_seconds = count;
        return;
    }
    if (every->unit == NNCLR_EPOCHS)
        count *= (double)plan->steps_per_epoch;
    options->save_steps = count < 1 ? 1 : (int64_t)(count + 0.5);
}

int training_conclude(nnclr_cli *cli, const char *folder, const nnclr_trainer_result *result) {
    if (result->save_failed || result->metrics_failed || result->keep_failed) {
        nnclr_cli_error(cli, "%s; %s", result->failure.message,
                        result->save_failed ? "the run is not complete: make room and give --resume"
                        : result->metrics_failed
                            ? "the checkpoint is complete, lines of the metrics are missing"
                            : "the checkpoint is complete, not all of --keep is kept");
        return NNCLR_EXIT_FAILED;
    }
    if (result->finished) {
        nnclr_cli_note(cli, "%s: done, %lld steps", folder, (long long)result->step);
        return NNCLR_EXIT_DONE;
    }
    nnclr_cli_note(cli, "%s: stopped after step %lld of %lld; go on with --resume -o %s", folder,
                   (long long)result->step, (long long)result->total, folder);
    return NNCLR_EXIT_STOPPED;
}

_Noreturn void training_end_finished(nnclr_cli *cli, const char *folder, int64_t steps) {
    nnclr_cli_note(cli, "%s: this run is finished (%lld steps)", folder, (long long)steps);
    nnclr_cli_end(cli, NNCLR_EXIT_DONE);
}

_Noreturn void training_end(nnclr_cli *cli, int code) {
    if (code == NNCLR_EXIT_STOPPED && nnclr_cli_stop == SIGINT)
        nnclr_cli_die_of(SIGINT);
    nnclr_cli_end(cli, code);
}
