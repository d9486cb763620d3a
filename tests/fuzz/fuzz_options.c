/* The command line of nnclr-pretrain, which has most options: words are separated by newlines. The
 * program prints and ends if it does not like them; here both are caught. */
#include <setjmp.h>
#include <string.h>

#include "base/memory.h"
#include "cmd/pretrain_options.h"
#include "tests/fuzz/support.h"

enum { WORDS_MOST = 64 };

static jmp_buf ended;
static bool running;
static int code;

/* The linker puts these in the place of exit (--wrap). */
_Noreturn void __real_exit(int status);
_Noreturn void __wrap_exit(int status);
_Noreturn void __wrap_exit(int status) {
    if (!running)
        __real_exit(status);
    code = status;
    longjmp(ended, 1);
}

/* The bytes as argv; the words stay in `text`. */
static int split(char *text, char **argv) {
    int argc = 0;
    argv[argc++] = (char *)"nnclr-pretrain";
    while (text && argc < WORDS_MOST) {
        argv[argc++] = text;
        text = strchr(text, '\n');
        if (text)
            *text++ = '\0';
    }
    argv[argc] = NULL;
    return argc;
}

/* A configuration that the options make can be written to a checkpoint and read from it. */
static void check_config(const nnclr_config *config) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_config again;
    if (!nnclr_config_check(config, &e)) {
        FUZZ_REQUIRE(e.code == NNCLR_ERROR_USAGE && e.message[0] != '\0');
        return;
    }
    nnclr_json *json = nnclr_config_to_json(config, &e);
    FUZZ_OK(json && nnclr_config_from_json(json, &again, &e), &e);
    nnclr_json_free(json);
}

static pretrain_settings settings;
static nnclr_cli cli;

/* As the program's main does; may end by exit. */
static void parse(int argc, char **argv) {
    static nnclr_option options[PRETRAIN_OPTIONS_MOST];
    static nnclr_program program;
    const size_t count = pretrain_options(&settings, options);
    settings = pretrain_defaults(&(nnclr_command_line){options, count, argc, argv});
    program = (nnclr_program){.name = "nnclr-pretrain",
                              .summary = "",
                              .usage = "",
                              .options = options,
                              .option_count = count};
    nnclr_cli_begin(&cli, &program, argc, argv);
    pretrain_finish(&cli, &settings);
}

/* Ended by itself: help or version on standard output, or one line on standard error. */
static void check_end(const char *out, const char *message) {
    static const char start[] = "nnclr-pretrain: ";
    if (code == NNCLR_EXIT_DONE) {
        FUZZ_REQUIRE(out[0] != '\0' && message[0] == '\0');
        return;
    }
    FUZZ_REQUIRE(code == NNCLR_EXIT_USAGE && out[0] == '\0');
    const char *newline = strchr(message, '\n');
    FUZZ_REQUIRE(strncmp(message, start, sizeof start - 1) == 0 && newline && newline[1] == '\0');
}

static void run(int argc, char **argv) {
    FILE *const output = stdout, *const error = stderr;
    char *out = NULL, *message = NULL;
    size_t out_size, message_size;
    cli = (nnclr_cli){0};
    FILE *out_stream = open_memstream(&out, &out_size);
    FILE *error_stream = open_memstream(&message, &message_size);
    FUZZ_REQUIRE(out_stream && error_stream);
    stdout = out_stream;
    stderr = error_stream;
    running = true;
    bool end = setjmp(ended) != 0;
    if (!end)
        parse(argc, argv);
    running = false;
    stdout = output;
    stderr = error;
    if (!end || code != NNCLR_EXIT_DONE) /* otherwise the program has closed it */
        fclose(out_stream);
    fclose(error_stream);
    if (end)
        check_end(out, message);
    else if (!settings.run.resume)
        check_config(&settings.run.config);
    nnclr_free(cli.given);
    nnclr_free(cli.operands);
    free(out);
    free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *argv[WORDS_MOST + 1];
    char *text = malloc(size + 1);
    FUZZ_REQUIRE(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    int argc = split(text, argv);
    run(argc, argv);
    free(text);
    return 0;
}
