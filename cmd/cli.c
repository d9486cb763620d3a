#include "cmd/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/strings.h"
#include "base/threads.h"
#include "cmd/cli_internal.h"
#include "cmd/option_table.h"

volatile sig_atomic_t nnclr_cli_usr1, nnclr_cli_stop;

/* ---- messages ---- */

/* One line on stderr, however long. A file's name may hold bytes that would control a terminal. */
__attribute__((format(printf, 3, 0))) static void say(nnclr_cli *cli, bool hint, const char *format,
                                                      va_list arguments) {
    if (cli->silent)
        return;
    nnclr_error e = NNCLR_NO_ERROR, unshown = NNCLR_NO_ERROR;
    nnclr_buffer whole = {0}, shown = {0};
    char *text =
        nnclr_buffer_vprintf(&whole, &e, format, arguments) ? (char *)whole.data : e.message;
    if (!nnclr_make_printable(&shown, text, strlen(text), &unshown)) /* out of memory */
        for (char *c = text; *c; c++)
            if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
                *c = '?';
    nnclr_cli_clear_progress(cli);
    fprintf(stderr, "%s: %s", cli->program->name,
            unshown.code == NNCLR_OK ? (const char *)shown.data : text);
    if (hint)
        fprintf(stderr, " (try %s --help)", cli->program->name);
    fputc('\n', stderr);
    nnclr_buffer_free(&shown);
    nnclr_buffer_free(&whole);
}

void nnclr_cli_error(nnclr_cli *cli, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(cli, false, format, arguments);
    va_end(arguments);
}

void nnclr_cli_note(nnclr_cli *cli, const char *format, ...) {
    if (cli->verbosity < 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    say(cli, false, format, arguments);
    va_end(arguments);
}

void nnclr_cli_detail(nnclr_cli *cli, const char *format, ...) {
    if (cli->verbosity < 1)
        return;
    va_list arguments;
    va_start(arguments, format);
    say(cli, false, format, arguments);
    va_end(arguments);
}

/* ---- ways to end ---- */

_Noreturn void nnclr_cli_die_of(int signal_number) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, signal_number);
    sigaction(signal_number, &action, NULL);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    raise(signal_number);
    _exit(128 + signal_number);
}

_Noreturn void nnclr_cli_die(nnclr_cli *cli, const nnclr_error *e) {
    const bool alone = cli->launch.ranks == 1;
    nnclr_error why = *e;
    nnclr_cli_clear_progress(cli);
    if (alone && why.code == NNCLR_ERROR_CLOSED)
        nnclr_cli_die_of(SIGPIPE);
    if (alone && why.code == NNCLR_ERROR_STOPPED && nnclr_cli_stop)
        nnclr_cli_die_of(nnclr_cli_stop);
    nnclr_cli_settle(cli, &why);
    nnclr_cli_error(cli, "%s", why.message);
    nnclr_cli_exit(cli, why.code == NNCLR_ERROR_USAGE ? NNCLR_EXIT_USAGE : NNCLR_EXIT_FAILED, true);
}

_Noreturn void nnclr_cli_usage(nnclr_cli *cli, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (cli->launch.ranks > 1) {
        nnclr_error e = {.code = NNCLR_ERROR_USAGE};
        vsnprintf(e.message, sizeof e.message, format, arguments);
        nnclr_cli_die(cli, &e);
    }
    say(cli, true, format, arguments);
    va_end(arguments);
    exit(NNCLR_EXIT_USAGE);
}

_Noreturn void nnclr_cli_die_of_stdout(nnclr_cli *cli) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_fail_errno(&e, "standard output");
    nnclr_cli_die(cli, &e);
}

_Noreturn void nnclr_cli_end(nnclr_cli *cli, int code) {
    nnclr_cli_progress_end(cli);
    errno = EIO; /* for an earlier write that failed, whose reason is lost */
    if (fflush(stdout) != 0 || ferror(stdout) || fclose(stdout) != 0)
        nnclr_cli_die_of_stdout(cli);
    nnclr_cli_exit(cli, code == NNCLR_EXIT_DONE && cli->skipped ? NNCLR_EXIT_SKIPPED : code, false);
}

void nnclr_cli_refuse_terminal(nnclr_cli *cli, const char *what) {
    if (isatty(STDOUT_FILENO))
        nnclr_cli_usage(
            cli, "%s is binary and standard output is a terminal: give -o FILE, or a pipe", what);
}

/* ---- signals ---- */

static char interrupt_answer[200];
static size_t interrupt_answer_size; /* 0: none */

static void on_signal(int number) {
    const int kept = errno;
    if (number == SIGUSR1)
        nnclr_cli_usr1 = 1;
    else
        nnclr_cli_stop = number;
    if (number == SIGINT && interrupt_answer_size > 0 &&
        write(STDERR_FILENO, interrupt_answer, interrupt_answer_size) < 0)
        interrupt_answer_size = 0; /* nobody is there to read it */
    errno = kept;
}

/* On a terminal the answer replaces the progress line and the ^C after it. */
static void prepare_answer(const nnclr_cli *cli, const char *answer) {
    const char *clear = nnclr_cli_shows_progress() ? NNCLR_CLEAR_LINE : "";
    interrupt_answer_size = 0;
    if (!answer || cli->verbosity < 0 || cli->silent)
        return;
    snprintf(interrupt_answer, sizeof interrupt_answer, "%s%s: %s\n", clear, cli->program->name,
             answer);
    interrupt_answer_size = strlen(interrupt_answer);
}

void nnclr_cli_catch(const nnclr_cli *cli, const char *answer) {
    prepare_answer(cli, answer);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* nohup ignores it, and must be obeyed. */
    struct sigaction inherited;
    if (sigaction(SIGHUP, NULL, &inherited) == 0 && inherited.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
    action.sa_flags |= (int)SA_RESETHAND; /* the second one ends the process */
    sigaction(SIGINT, &action, NULL);
}

void nnclr_cli_release(void) {
    static const int caught[] = {SIGUSR1, SIGTERM, SIGHUP, SIGINT};
    struct sigaction now;
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
        if (sigaction(caught[i], NULL, &now) == 0 && now.sa_handler == on_signal)
            signal(caught[i], SIG_DFL);
    if (nnclr_cli_stop)
        nnclr_cli_die_of(nnclr_cli_stop);
}

/* ---- options ---- */

static struct {
    bool help, version, quiet, verbose;
    int64_t threads;
    bool threads_given;
} common;

const nnclr_option nnclr_common_options[NNCLR_COMMON_OPTIONS] = {
    SHORT('h', FLAG, "help", &common.help, "show this help and exit"),
    SHORT('V', FLAG, "version", &common.version, "show the version and exit"),
    SHORT('q', FLAG, "quiet", &common.quiet, "print only errors on stderr"),
    SHORT('v', FLAG, "verbose", &common.verbose, "print more on stderr"),
    SHORT('j', INTEGER, "threads", &common.threads, "N",
          "number of threads; results do not depend on it", 1, 4096),
};

/* The old name of an option works for a while, and says so. */
static void tell_renamed(nnclr_cli *cli, const nnclr_option *old, const char *value) {
    if (old->choices)
        nnclr_cli_note(cli, "--%s %s is deprecated: it is called --%s %s now", old->name, value,
                       old->help, value);
    else
        nnclr_cli_note(cli, "--%s is deprecated: it is called --%s now", old->name, old->help);
}

static void take_option(nnclr_cli *cli, const nnclr_words *w) {
    nnclr_option_set(cli, w->option, w->shown, w->value);
    common.threads_given |= w->option->target == &common.threads;
    for (size_t i = 0; i < cli->program->option_count; i++)
        if (&cli->program->options[i] == w->option)
            cli->given[i] = true;
}

/* False if the words ask for help or the version instead of a run. */
static bool take_words(nnclr_cli *cli, nnclr_words *w) {
    for (nnclr_word word; (word = nnclr_words_next(w)) != NNCLR_WORD_NONE;) {
        if (word == NNCLR_WORD_WRONG)
            nnclr_cli_usage(cli, "%s", w->fault);
        if (word == NNCLR_WORD_OPTION)
            take_option(cli, w);
        else if (w->value[0] == '\0')
            nnclr_cli_usage(cli, "an argument is empty: it must be the name of a file");
        else
            cli->operands[cli->operand_count++] = w->value;
        if (common.help || common.version)
            return false;
    }
    return true;
}

/* ---- begin ---- */

/* If a standard descriptor is closed, the first file opened would get its number, and messages
 * would land in that file. The stand-ins fail when they are used. */
static void hold_standard_descriptors(void) {
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            _exit(NNCLR_EXIT_FAILED);
}

/* A set of shards holds a descriptor for each of them. The soft limit is low for the sake of
 * programs that call select. */
static void allow_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)!setrlimit(RLIMIT_NOFILE, &limit); /* without it, opening says what is missing */
}

void nnclr_cli_begin(nnclr_cli *cli, const nnclr_program *program, int argc, char **argv) {
    hold_standard_descriptors();
    allow_descriptors();
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL); /* write reports EPIPE instead; nnclr_cli_die re-raises */
    sigaction(SIGXFSZ, &ignore, NULL); /* and EFBIG, if ulimit -f limits the size of files */
    *cli = (nnclr_cli){.program = program};
    nnclr_cli_read_launch(cli);

    nnclr_error e = NNCLR_NO_ERROR;
    cli->given = nnclr_alloc_zero(program->option_count + 1, sizeof *cli->given, &e);
    cli->operands = nnclr_alloc_zero((size_t)argc + 1, sizeof *cli->operands, &e);
    if (!cli->given || !cli->operands)
        nnclr_cli_die(cli, &e);

    common.threads = nnclr_cpu_count();
    nnclr_words words = nnclr_words_of(program->options, program->option_count, argc, argv);
    if (!take_words(cli, &words)) {
        if (cli->silent)
            nnclr_cli_end(cli, NNCLR_EXIT_DONE);
        if (common.help)
            nnclr_cli_print_help(program);
        else
            printf("%s %s\n", program->name, NNCLR_VERSION);
        nnclr_cli_end(cli, NNCLR_EXIT_DONE);
    }
    cli->verbosity = common.quiet ? -1 : common.verbose ? 1 : 0;
    nnclr_cli_connect(cli);
    cli->threads = common.threads_given ? (int)common.threads : nnclr_cpu_count();
    nnclr_cli_check_files(cli);
    words = nnclr_words_of(program->options, program->option_count, argc, argv);
    while (nnclr_words_next(&words) != NNCLR_WORD_NONE)
        if (words.old)
            tell_renamed(cli, words.old, words.value);
}

bool nnclr_cli_given(const nnclr_cli *cli, const char *option) {
    for (size_t i = 0; i < cli->program->option_count; i++) {
        const nnclr_option *known = &cli->program->options[i];
        if (known->type != NNCLR_OPTION_GROUP && known->type != NNCLR_OPTION_RENAMED &&
            strcmp(known->name, option) == 0)
            return cli->given[i];
    }
    return false;
}
