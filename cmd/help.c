/* The text of --help. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cli_internal.h"
#include "train/config_text.h"

enum { HELP_WIDTH = 80, HELP_INDENT = 27 };

void nnclr_option_bounds(const nnclr_option *option, double *low, double *high) {
    bool any = option->low == 0 && option->high == 0;
    *low = any ? -INFINITY : option->low;
    *high = any ? INFINITY : option->high;
}

void nnclr_option_join(const nnclr_option *option, const char *between, const char *last,
                       char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (const char *const *c = option->choices; *c && used < size; c++) {
        const char *glue = c == option->choices ? "" : c[1] ? between : last;
        used += (size_t)snprintf(text + used, size - used, "%s%s", glue, *c);
    }
}

static void show_numbers(const nnclr_option *option, char *text, size_t size) {
    double numbers[NNCLR_OPTION_NUMBERS];
    for (int i = 0; i < option->count; i++) {
        numbers[i] = option->type == NNCLR_OPTION_FLOAT ? (double)((const float *)option->target)[i]
                                                        : ((const double *)option->target)[i];
        if (!(numbers[i] >= option->low && numbers[i] <= option->high))
            return;
    }
    nnclr_print_reals(numbers, option->count, text, size);
}

static void show_default(const nnclr_option *option, char *text, size_t size) {
    double low, high;
    nnclr_option_bounds(option, &low, &high);
    text[0] = '\0';
    if (option->type == NNCLR_OPTION_INT || option->type == NNCLR_OPTION_BYTES) {
        int64_t value = *(const int64_t *)option->target;
        static const char suffix[] = "KMGT";
        int power = -1;
        while (option->type == NNCLR_OPTION_BYTES && value && value % 1024 == 0 && power < 3) {
            value /= 1024;
            power++;
        }
        double given = (double)*(const int64_t *)option->target;
        if (given >= low && given <= high)
            snprintf(text, size, "%lld%.*s", (long long)value, power >= 0,
                     &suffix[power >= 0 ? power : 0]);
    } else if ((option->type == NNCLR_OPTION_REAL || option->type == NNCLR_OPTION_FLOAT) &&
               option->count > 1) {
        show_numbers(option, text, size);
    } else if (option->type == NNCLR_OPTION_REAL) {
        double value = *(const double *)option->target;
        if (value >= low && value <= high)
            snprintf(text, size, "%.10g", value);
    } else if ((option->type == NNCLR_OPTION_TEXT || option->type == NNCLR_OPTION_INPUT) &&
               *(const char *const *)option->target) {
        snprintf(text, size, "%s", *(const char *const *)option->target);
    } else if (option->type == NNCLR_OPTION_CHOICE && *(const int *)option->target >= 0) {
        snprintf(text, size, "%s", option->choices[*(const int *)option->target]);
    } else if (option->type == NNCLR_OPTION_CUSTOM && option->show) {
        option->show(option->target, text, size);
    }
}

/* Prints `text` from column `at` on, broken at blanks, further lines indented. */
static void print_wrapped(const char *text, int at, int indent) {
    while (*text) {
        int length = (int)strcspn(text, " \n");
        if (at > indent && at + 1 + length > HELP_WIDTH) {
            printf("\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            putchar(' ');
            at++;
        }
        printf("%.*s", length, text);
        at += length;
        text += length;
        if (*text == '\n') {
            printf("\n%*s", text[1] == '\n' || !text[1] ? 0 : indent, "");
            at = indent;
        }
        text += *text != '\0';
    }
    putchar('\n');
}

static void print_option(const nnclr_option *option) {
    char left[300], argument[200] = "", standard[200], text[1500];
    if (option->argument)
        snprintf(argument, sizeof argument, " %s", option->argument);
    else if (option->type == NNCLR_OPTION_CHOICE) {
        argument[0] = ' ';
        nnclr_option_join(option, "|", "|", argument + 1, sizeof argument - 1);
    }
    if (option->letter)
        snprintf(left, sizeof left, "  -%c, --%s%s", option->letter, option->name, argument);
    else
        snprintf(left, sizeof left, "      --%s%s", option->name, argument);
    show_default(option, standard, sizeof standard);
    if (standard[0])
        snprintf(text, sizeof text, "%s (default: %s)", option->help, standard);
    else
        snprintf(text, sizeof text, "%s", option->help);
    int width = (int)strlen(left);
    if (width + 2 > HELP_INDENT)
        printf("%s\n%*s", left, HELP_INDENT, "");
    else
        printf("%-*s", HELP_INDENT, left);
    print_wrapped(text, HELP_INDENT, HELP_INDENT);
}

void nnclr_cli_print_help(const nnclr_program *program) {
    const char *line = program->usage;
    for (const char *lead = "Usage:"; line; lead = "      ") {
        int length = (int)strcspn(line, "\n");
        printf("%s %s ", lead, program->name);
        char text[600];
        snprintf(text, sizeof text, "%.*s", length, line);
        int indent = 8 + (int)strlen(program->name);
        print_wrapped(text, indent, indent);
        line = line[length] ? line + length + 1 : NULL;
    }
    putchar('\n');
    print_wrapped(program->summary, 0, 0);
    if (program->option_count > 0 && program->options[0].type != NNCLR_OPTION_GROUP)
        puts("\nOptions:");
    for (size_t i = 0; i < program->option_count; i++) {
        const nnclr_option *option = &program->options[i];
        if (option->type == NNCLR_OPTION_GROUP)
            printf("\n%s:\n", option->help);
        else if (option->type != NNCLR_OPTION_RENAMED)
            print_option(option);
    }
    puts("\nAll programs:");
    for (size_t i = 0; i < NNCLR_COMMON_OPTIONS; i++)
        print_option(&nnclr_common_options[i]);
    if (program->notes) {
        putchar('\n');
        print_wrapped(program->notes, 0, 0);
    }
}
