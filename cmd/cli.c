#include "cmd/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/threads.h"
#include "cmd/cli_internal.h"

/* ---- messages ---- */

/* One line on stderr. Bytes that would steer a terminal may come from a hostile file name. */
__attribute__((format(printf, 2, 0))) static void say(nnclr_cli *cli, const char *format,
                                                      va_list arguments) {
    char text[2048];
    vsnprintf(text, sizeof text, format, arguments);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    nnclr_cli_clear_progress(cli);
    fprintf(stderr, "%s: %s\n", cli->program->name, text);
}

void nnclr_cli_error(nnclr_cli *cli, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(cli, format, arguments);
    va_end(arguments);
}

void nnclr_cli_note(nnclr_cli *cli, const char *format, ...) {
    if (cli->verbosity < 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    say(cli, format, arguments);
    va_end(arguments);
}

void nnclr_cli_detail(nnclr_cli *cli, const char *format, ...) {
    if (cli->verbosity < 1)
        return;
    va_list arguments;
    va_start(arguments, format);
    say(cli, format, arguments);
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
    nnclr_cli_clear_progress(cli);
    if (e->code == NNCLR_ERROR_CLOSED)
        nnclr_cli_die_of(SIGPIPE);
    nnclr_cli_error(cli, "%s", e->message);
    exit(e->code == NNCLR_ERROR_USAGE ? NNCLR_EXIT_USAGE : NNCLR_EXIT_FAILED);
}

_Noreturn void nnclr_cli_usage(nnclr_cli *cli, const char *format, ...) {
    char text[1500];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    nnclr_cli_error(cli, "%s (try %s --help)", text, cli->program->name);
    exit(NNCLR_EXIT_USAGE);
}

_Noreturn void nnclr_cli_die_of_stdout(nnclr_cli *cli) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_fail_errno(&e, "standard output");
    nnclr_cli_die(cli, &e);
}

_Noreturn void nnclr_cli_end(nnclr_cli *cli, int code) {
    nnclr_cli_progress_end(cli);
    errno = EIO; /* for an error of an earlier write, whose reason is lost */
    if (fflush(stdout) != 0 || ferror(stdout) || fclose(stdout) != 0)
        nnclr_cli_die_of_stdout(cli);
    exit(code);
}

void nnclr_cli_refuse_terminal(nnclr_cli *cli, const char *what) {
    if (isatty(STDOUT_FILENO))
        nnclr_cli_usage(
            cli, "%s is binary and standard output is a terminal: give -o FILE, or a pipe", what);
}

/* ---- signals ---- */

volatile sig_atomic_t nnclr_cli_usr1, nnclr_cli_stop;

static void on_signal(int number) {
    if (number == SIGUSR1)
        nnclr_cli_usr1 = 1;
    else
        nnclr_cli_stop = number;
}

void nnclr_cli_catch(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_flags |= (int)SA_RESETHAND; /* the second one ends the process */
    sigaction(SIGINT, &action, NULL);
}

/* ---- options: finding and setting ---- */

enum { COMMON_HELP, COMMON_VERSION, COMMON_QUIET, COMMON_VERBOSE, COMMON_THREADS, COMMON_COUNT };

typedef struct common_values {
    bool help, version, quiet, verbose;
    int64_t threads;
} common_values;

static void common_options(common_values *values, nnclr_option options[COMMON_COUNT]) {
    static const nnclr_option table[COMMON_COUNT] = {
        [COMMON_HELP] = {"help", 'h', NNCLR_OPTION_FLAG, .help = "show this and exit"},
        [COMMON_VERSION] = {"version", 'V', NNCLR_OPTION_FLAG, .help = "show the version and exit"},
        [COMMON_QUIET] = {"quiet", 'q', NNCLR_OPTION_FLAG, .help = "only errors on stderr"},
        [COMMON_VERBOSE] = {"verbose", 'v', NNCLR_OPTION_FLAG, .help = "say more on stderr"},
        [COMMON_THREADS] = {"threads", 'j', NNCLR_OPTION_INT, .argument = "N", .low = 1,
                            .high = 4096, .help = "threads; results do not depend on it"},
    };
    memcpy(options, table, sizeof table);
    options[COMMON_HELP].target = &values->help;
    options[COMMON_VERSION].target = &values->version;
    options[COMMON_QUIET].target = &values->quiet;
    options[COMMON_VERBOSE].target = &values->verbose;
    options[COMMON_THREADS].target = &values->threads;
}

static bool takes_value(const nnclr_option *option) {
    return option->type != NNCLR_OPTION_FLAG;
}

/* INT and BYTES bounds as integers: a double cannot hold INT64_MAX. */
static int64_t whole(double bound) {
    return bound >= 9.2e18 ? INT64_MAX : bound <= -9.2e18 ? INT64_MIN : (int64_t)bound;
}

/* " from 1 to 9", " of at least 1", "". */
static void describe_range(const nnclr_option *option, char *text, size_t size) {
    double low, high;
    nnclr_option_bounds(option, &low, &high);
    text[0] = '\0';
    if (high < 1e15 && low > -1e15)
        snprintf(text, size, " from %.15g to %.15g", low, high);
    else if (low > -1e15)
        snprintf(text, size, " of at least %.15g", low);
    else if (high < 1e15)
        snprintf(text, size, " of at most %.15g", high);
}

static bool choose(const nnclr_option *option, const char *text) {
    for (int i = 0; option->choices[i]; i++)
        if (strcmp(option->choices[i], text) == 0) {
            *(int *)option->target = i;
            return true;
        }
    return false;
}

/* `shown` is the option as the user wrote it, "--size" or "-o". */
static void set_option(nnclr_cli *cli, const nnclr_option *option, const char *shown,
                       const char *value) {
    char wanted[400] = "", range[100];
    nnclr_error e = NNCLR_NO_ERROR;
    double low, high;
    bool good = true;
    nnclr_option_bounds(option, &low, &high);
    describe_range(option, range, sizeof range);
    switch (option->type) {
    case NNCLR_OPTION_FLAG:
        *(bool *)option->target = true;
        break;
    case NNCLR_OPTION_INT:
        good = nnclr_parse_int(value, whole(low), whole(high), option->target);
        snprintf(wanted, sizeof wanted, "a whole number%s", range);
        break;
    case NNCLR_OPTION_REAL:
        good = nnclr_parse_real(value, low, high, option->target);
        snprintf(wanted, sizeof wanted, "a number%s", range);
        break;
    case NNCLR_OPTION_BYTES:
        good = nnclr_parse_bytes(value, whole(low), whole(high), option->target);
        snprintf(wanted, sizeof wanted, "a number of bytes%s, such as 512K, 20M or 2G", range);
        break;
    case NNCLR_OPTION_TEXT:
        good = value[0] != '\0'; /* a script's variable that was not set */
        *(const char **)option->target = value;
        snprintf(wanted, sizeof wanted, "%s", option->argument ? option->argument : "a text");
        break;
    case NNCLR_OPTION_CHOICE:
        good = choose(option, value);
        nnclr_option_join(option, ", ", " or ", wanted, sizeof wanted);
        break;
    case NNCLR_OPTION_CUSTOM:
        if (!option->parse(value, option->target, &e))
            nnclr_cli_usage(cli, "%s: %s", shown, e.message);
        break;
    case NNCLR_OPTION_ABSENT:
        nnclr_cli_usage(cli, "%s: %s", shown, option->help);
    case NNCLR_OPTION_GROUP:
        break;
    }
    if (!good)
        nnclr_cli_usage(cli, "%s: needs %s, not \"%s\"", shown, wanted, value);
}

/* ---- options: walking through argv ---- */

typedef struct parser {
    nnclr_cli *cli;
    const nnclr_option *common;
    int argc, next;
    char **argv;
} parser;

/* The option with this name (`size` bytes) or, where the name is empty, this letter. */
static const nnclr_option *find_option(const parser *p, const char *name, size_t size,
                                       char letter) {
    const nnclr_program *program = p->cli->program;
    for (size_t i = 0; i < program->option_count + COMMON_COUNT; i++) {
        const nnclr_option *option = i < program->option_count
                                         ? &program->options[i]
                                         : &p->common[i - program->option_count];
        if (option->type == NNCLR_OPTION_GROUP)
            continue;
        bool found = size > 0
                         ? strlen(option->name) == size && memcmp(option->name, name, size) == 0
                         : option->letter && option->letter == letter;
        if (found) {
            if (i < program->option_count)
                p->cli->given[i] = true;
            return option;
        }
    }
    return NULL;
}

static const char *next_value(parser *p, const nnclr_option *option, const char *shown) {
    if (p->next >= p->argc)
        nnclr_cli_usage(p->cli, "%s: needs a value%s%s", shown, option->argument ? ": " : "",
                        option->argument ? option->argument : "");
    return p->argv[p->next++];
}

static void parse_long(parser *p, const char *word) {
    const char *name = word + 2, *equals = strchr(name, '=');
    size_t size = equals ? (size_t)(equals - name) : strlen(name);
    const nnclr_option *option = size ? find_option(p, name, size, 0) : NULL;
    char shown[200];
    snprintf(shown, sizeof shown, "--%.*s", (int)(size < 150 ? size : 150), name);
    if (!option)
        nnclr_cli_usage(p->cli, "%s: no such option", shown);
    if (option->type == NNCLR_OPTION_ABSENT)
        set_option(p->cli, option, shown, NULL);
    if (equals && !takes_value(option))
        nnclr_cli_usage(p->cli, "%s: takes no value", shown);
    const char *value = equals                ? equals + 1
                        : takes_value(option) ? next_value(p, option, shown)
                                              : NULL;
    set_option(p->cli, option, shown, value);
}

/* "-qj2": letters in a row, the last of them with its value attached or in the next word. */
static void parse_letters(parser *p, const char *word) {
    for (const char *c = word + 1; *c; c++) {
        const char shown[] = {'-', *c, '\0'};
        const nnclr_option *option = find_option(p, "", 0, *c);
        if (!option)
            nnclr_cli_usage(p->cli, "%s: no such option", shown);
        if (!takes_value(option)) {
            set_option(p->cli, option, shown, NULL);
            continue;
        }
        set_option(p->cli, option, shown, c[1] ? c + 1 : next_value(p, option, shown));
        return;
    }
}

/* ---- begin ---- */

/* A closed standard descriptor would be given to the first file that is opened, and messages would
 * land in it. The stand-ins fail when they are used. */
static void hold_standard_descriptors(void) {
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            _exit(NNCLR_EXIT_FAILED);
}

void nnclr_cli_begin(nnclr_cli *cli, const nnclr_program *program, int argc, char **argv) {
    hold_standard_descriptors();
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL); /* write reports EPIPE instead; nnclr_cli_die re-raises */
    sigaction(SIGXFSZ, &ignore, NULL); /* and EFBIG, where ulimit -f bounds the size of files */
    *cli = (nnclr_cli){.program = program};

    nnclr_error e = NNCLR_NO_ERROR;
    cli->given = nnclr_alloc_zero(program->option_count + 1, sizeof *cli->given, &e);
    cli->operands = nnclr_alloc_zero((size_t)argc + 1, sizeof *cli->operands, &e);
    if (!cli->given || !cli->operands)
        nnclr_cli_die(cli, &e);

    common_values values = {.threads = nnclr_cpu_count()};
    nnclr_option common[COMMON_COUNT];
    common_options(&values, common);
    parser p = {cli, common, argc, 1, argv};
    bool options_over = false;
    while (p.next < argc) {
        char *word = argv[p.next++];
        if (word[0] == '\0')
            nnclr_cli_usage(cli, "an argument is empty: a file's name is needed there");
        if (options_over || word[0] != '-' || word[1] == '\0')
            cli->operands[cli->operand_count++] = word;
        else if (strcmp(word, "--") == 0)
            options_over = true;
        else if (word[1] == '-')
            parse_long(&p, word);
        else
            parse_letters(&p, word);
        if (values.help || values.version)
            break;
    }
    if (values.help)
        nnclr_cli_print_help(program, common, COMMON_COUNT);
    if (values.version)
        printf("%s %s\n", program->name, NNCLR_VERSION);
    if (values.help || values.version)
        nnclr_cli_end(cli, NNCLR_EXIT_DONE);
    cli->verbosity = values.quiet ? -1 : values.verbose ? 1 : 0;
    cli->threads = (int)values.threads;
}

bool nnclr_cli_given(const nnclr_cli *cli, const char *option) {
    for (size_t i = 0; i < cli->program->option_count; i++) {
        const nnclr_option *known = &cli->program->options[i];
        if (known->type != NNCLR_OPTION_GROUP && strcmp(known->name, option) == 0)
            return cli->given[i];
    }
    return false;
}

const char *nnclr_cli_peek(int argc, char **argv, const char *name) {
    const char *value = NULL;
    size_t size = strlen(name);
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], "--", 2) != 0 || strncmp(argv[i] + 2, name, size) != 0)
            continue;
        if (argv[i][2 + size] == '=')
            value = argv[i] + 3 + size;
        else if (argv[i][2 + size] == '\0' && i + 1 < argc)
            value = argv[++i];
    }
    return value;
}
