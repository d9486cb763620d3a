/* Before anything is read or written: standard input is read once, no output may be an input, and
 * no two outputs the same file. */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"
#include "cmd/cli_internal.h"
#include "io/run_folder.h"

static const char *target_of(const nnclr_option *option) {
    return *(const char *const *)option->target;
}

/* The file that an option writes; NULL: not given, or standard output. */
static const char *output_of(const nnclr_option *option) {
    const char *path = option->makes & ~(unsigned)NNCLR_MAKES_RUN ? target_of(option) : NULL;
    return path && !nnclr_is_standard(path) ? path : NULL;
}

static bool names_input(const char *path, const nnclr_file_id *id) {
    nnclr_file_id own;
    struct stat status;
    if (nnclr_is_standard(path)) {
        if (fstat(STDIN_FILENO, &status) != 0)
            return false;
        own = nnclr_file_id_of(&status);
        return nnclr_file_same(&own, id);
    }
    if (nnclr_file_identify(path, &own) && nnclr_file_same(&own, id))
        return true;
    nnclr_buffer name = {0};
    nnclr_error unused = NNCLR_NO_ERROR;
    bool same = nnclr_run_resolve(path, &name, &unused) &&
                nnclr_file_identify((const char *)name.data, &own) && nnclr_file_same(&own, id);
    nnclr_buffer_free(&name);
    return same;
}

/* The input that is this file; NULL: none. */
static const char *find_input(const nnclr_cli *cli, const nnclr_file_id *id) {
    for (int i = 0; i < cli->operand_count; i++)
        if (names_input(cli->operands[i], id))
            return cli->operands[i];
    for (size_t i = 0; i < cli->program->option_count; i++) {
        const nnclr_option *option = &cli->program->options[i];
        const char *path = option->type == NNCLR_OPTION_INPUT ? target_of(option) : NULL;
        if (path && names_input(path, id))
            return path;
    }
    return NULL;
}

static void check_stdout(nnclr_cli *cli) {
    struct stat status;
    if (fstat(STDOUT_FILENO, &status) != 0 || !S_ISREG(status.st_mode))
        return;
    const nnclr_file_id id = nnclr_file_id_of(&status);
    const char *input = find_input(cli, &id);
    if (input)
        nnclr_cli_usage(cli, "%s is an input, and standard output goes to it",
                        nnclr_input_name(input));
    for (size_t i = 0; i < cli->program->option_count; i++) {
        const nnclr_option *option = &cli->program->options[i];
        const char *path = output_of(option);
        nnclr_file_id other;
        if (path && nnclr_file_identify(path, &other) && nnclr_file_same(&id, &other))
            nnclr_cli_usage(cli, "--%s and standard output would both write %s", option->name,
                            path);
    }
}

/* Folders that are read are not walked here: whoever does that compares with these. */
static void remember(nnclr_cli *cli, const nnclr_file_id *output) {
    nnclr_error e = NNCLR_NO_ERROR;
    if (!nnclr_reserve(&cli->outputs, &cli->output_capacity, cli->output_count + 1, sizeof *output,
                       &e))
        nnclr_cli_die(cli, &e);
    cli->outputs[cli->output_count++] = *output;
}

static void check_output(nnclr_cli *cli, const char *path) {
    nnclr_file_id id;
    const bool known = nnclr_file_identify(path, &id);
    const char *input = known ? find_input(cli, &id) : NULL;
    if (known && id.name[0] == '\0')
        remember(cli, &id);
    if (input)
        nnclr_cli_usage(cli, "%s is an input, and would be overwritten%s%s: give another name",
                        nnclr_input_name(input), strcmp(input, path) == 0 ? "" : " as ",
                        strcmp(input, path) == 0 ? "" : path);
}

/* A file of any number may be there without any of a smaller one. */
void nnclr_cli_check_numbered(nnclr_cli *cli, const char *prefix) {
    const char *slash = strrchr(prefix, '/'), *base = slash ? slash + 1 : prefix;
    const size_t folder = (size_t)(base - prefix);
    const size_t size = strlen(base) - strlen(nnclr_output_ending(prefix));
    nnclr_buffer path = {0};
    nnclr_error e = NNCLR_NO_ERROR;
    if (!nnclr_buffer_printf(&path, &e, "%.*s.", (int)folder, prefix))
        nnclr_cli_die(cli, &e);
    DIR *names = opendir((const char *)path.data); /* NULL: nothing is there to be written over */
    for (const struct dirent *name; names && (name = readdir(names));) {
        if (strncmp(name->d_name, base, size) != 0 || name->d_name[size] != '-' ||
            !isdigit((unsigned char)name->d_name[size + 1]))
            continue;
        path.size = folder;
        if (!nnclr_buffer_printf(&path, &e, "%s", name->d_name))
            nnclr_cli_die(cli, &e);
        check_output(cli, (const char *)path.data);
    }
    if (names)
        closedir(names);
    nnclr_buffer_free(&path);
}

static void check_pair(nnclr_cli *cli, const nnclr_option *a, const nnclr_option *b) {
    const char *first = output_of(a), *second = output_of(b);
    nnclr_file_id one, other;
    if (first && second && nnclr_file_identify(first, &one) &&
        nnclr_file_identify(second, &other) && nnclr_file_same(&one, &other))
        nnclr_cli_usage(cli, "--%s and --%s would both write %s: give two names", a->name, b->name,
                        second);
}

typedef struct run_check {
    nnclr_cli *cli;
    const char *folder;
} run_check;

static void check_run_file(void *context, const char *path) {
    const run_check *c = context;
    nnclr_file_id id;
    const char *input = nnclr_file_identify(path, &id) ? find_input(c->cli, &id) : NULL;
    if (input)
        nnclr_cli_usage(c->cli, "%s is an input, and is a file of the RUN %s: give another -o RUN",
                        input, c->folder);
}

static void check_run(nnclr_cli *cli, const char *folder) {
    run_check check = {cli, folder};
    check_run_file(&check, folder); /* a RUN as the checkpoint to start from */
    nnclr_run_each_file(folder, check_run_file, &check);
}

static void check_stdin(nnclr_cli *cli) {
    int readers = 0;
    for (int i = 0; i < cli->operand_count; i++)
        readers += nnclr_is_standard(cli->operands[i]);
    for (size_t i = 0; i < cli->program->option_count; i++) {
        const nnclr_option *option = &cli->program->options[i];
        readers += option->type == NNCLR_OPTION_INPUT && nnclr_is_standard(target_of(option));
    }
    if (readers > 1)
        nnclr_cli_usage(cli, "standard input can be given only once");
    if (readers > 0 && cli->ranks.ranks > 1) /* mpirun gives its own to rank 0 */
        nnclr_cli_usage(cli, "standard input reaches only one of %d ranks: name a file instead",
                        cli->ranks.ranks);
}

void nnclr_cli_check_files(nnclr_cli *cli) {
    const nnclr_option *options = cli->program->options;
    check_stdin(cli);
    check_stdout(cli);
    for (size_t i = 0; i < cli->program->option_count; i++) {
        const char *file = output_of(&options[i]);
        if (file)
            check_output(cli, file);
        for (size_t j = 0; file && j < i; j++)
            check_pair(cli, &options[j], &options[i]);
        if (options[i].makes & NNCLR_MAKES_RUN && target_of(&options[i]))
            check_run(cli, target_of(&options[i]));
    }
}
