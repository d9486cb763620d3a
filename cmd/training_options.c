#include "cmd/training_options.h"

#include "cmd/augment_options.h"

training_settings training_defaults(void) {
    return (training_settings){.engine = NNCLR_ENGINE_AUTO,
                               .precision = NNCLR_PRECISION_AUTO,
                               .keep = 1,
                               .cache = (int64_t)1 << 30,
                               .save_every = {600, NNCLR_SECONDS}};
}

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

void training_take_warmup(nnclr_config *config, const nnclr_duration *warmup) {
    if (warmup->unit == NNCLR_STEPS)
        config->warmup_steps = (int64_t)warmup->count;
    else
        config->warmup_epochs = warmup->count;
}

/* ---- checks ---- */

void training_check_folder(nnclr_cli *cli, const training_settings *s) {
    if (!s->folder && !s->dry_run)
        nnclr_cli_usage(cli, "no run: give -o RUN, the folder to write to");
    if (nnclr_is_standard(s->folder))
        nnclr_cli_usage(cli, "a run is a folder and cannot go to standard output: give -o RUN");
}

void training_check_resume(nnclr_cli *cli, const char *const *allowed) {
    for (size_t i = 0; i < cli->program->option_count; i++) {
        const nnclr_option *option = &cli->program->options[i];
        if (cli->given[i] && option_find(allowed, option->name) < 0)
            nnclr_cli_usage(cli,
                            "--%s cannot be given with --resume: the checkpoint's configuration "
                            "applies; leave it out",
                            option->name);
    }
}
