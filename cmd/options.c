/* The words of a command line: which option each is, what value it has, and what is wrong with it.
 */
#include <stdio.h>
#include <string.h>

#include "base/numbers.h"
#include "cmd/cli_internal.h"
#include "train/config_text.h"

/* ---- names ---- */

static bool takes_value(const nnclr_option *option) {
    return option->type != NNCLR_OPTION_FLAG;
}

/* An option that a user may be told to use. */
static bool is_offered(const nnclr_option *option) {
    return option->type != NNCLR_OPTION_GROUP && option->type != NNCLR_OPTION_RENAMED;
}

static const nnclr_option *option_at(const nnclr_words *w, size_t i) {
    return i < w->option_count ? &w->options[i] : &nnclr_common_options[i - w->option_count];
}

static size_t all_options(const nnclr_words *w) {
    return w->option_count + NNCLR_COMMON_OPTIONS;
}

static const nnclr_option *find_letter(const nnclr_words *w, char letter) {
    for (size_t i = 0; i < all_options(w); i++)
        if (option_at(w, i)->letter == letter)
            return option_at(w, i);
    return NULL;
}

static const nnclr_option *find_name(const nnclr_words *w, const char *name, size_t size,
                                     bool renamed) {
    for (size_t i = 0; i < all_options(w); i++) {
        const nnclr_option *option = option_at(w, i);
        if ((renamed ? option->type == NNCLR_OPTION_RENAMED : is_offered(option)) &&
            strlen(option->name) == size && memcmp(option->name, name, size) == 0)
            return option;
    }
    return NULL;
}

/* The only option that begins so; NULL: none, or several, whose number is *count. */
static const nnclr_option *find_beginning(const nnclr_words *w, const char *name, size_t size,
                                          int *count) {
    const nnclr_option *found = NULL;
    *count = 0;
    for (size_t i = 0; i < all_options(w); i++) {
        const nnclr_option *option = option_at(w, i);
        if (!is_offered(option) || strncmp(option->name, name, size) != 0)
            continue;
        found = option;
        ++*count;
    }
    return *count == 1 ? found : NULL;
}

static bool is_choice(const nnclr_option *option, const char *text) {
    for (int i = 0; option->choices[i]; i++)
        if (strcmp(option->choices[i], text) == 0)
            return true;
    return false;
}

/* ---- what may have been meant ---- */

enum { NAME_MOST = 40 };

/* How many letters to insert, drop, replace or swap with their neighbour to get from a to b. */
static int distance(const char *a, int a_size, const char *b, int b_size) {
    int row[3][NAME_MOST + 1]; /* of the last letters of a */
    for (int j = 0; j <= b_size; j++)
        row[0][j] = j;
    for (int i = 1; i <= a_size; i++) {
        int *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= b_size; j++) {
            now[j] = nnclr_min(last[j - 1] + (a[i - 1] != b[j - 1]),
                               nnclr_min(last[j] + 1, now[j - 1] + 1));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = nnclr_min(now[j], before[j - 2] + 1);
        }
    }
    return row[a_size % 3][b_size];
}

/* The option nearest to a mistyped name; NULL: none is near. */
static const nnclr_option *find_nearest(const nnclr_words *w, const char *name, size_t size) {
    const nnclr_option *nearest = NULL;
    if (size > NAME_MOST)
        return NULL;
    int best = (int)(size + 1) / 3;
    for (size_t i = 0; i < all_options(w); i++) {
        const nnclr_option *option = option_at(w, i);
        const size_t length = is_offered(option) ? strlen(option->name) : 0;
        if (length == 0 || length > NAME_MOST)
            continue;
        /* --batch-size for --batch */
        const bool longer =
            size > length && name[length] == '-' && memcmp(name, option->name, length) == 0;
        const int far = longer ? 1 : distance(name, (int)size, option->name, (int)length);
        if (far < best || (far == best && !nearest)) {
            best = far;
            nearest = option;
        }
    }
    return nearest;
}

/* "--size, --seed or 3 others" */
static void list_candidates(const nnclr_words *w, const char *name, size_t size, int count,
                            char *text, size_t room) {
    enum { SHOWN = 3 };
    int listed = 0;
    size_t used = 0;
    text[0] = '\0';
    const int named = count <= SHOWN + 1 ? count : SHOWN;
    for (size_t i = 0; i < all_options(w) && listed < named && used < room; i++) {
        const nnclr_option *option = option_at(w, i);
        if (!is_offered(option) || strncmp(option->name, name, size) != 0)
            continue;
        listed++;
        used += (size_t)snprintf(text + used, room - used, "%s--%s",
                                 listed == 1       ? ""
                                 : listed == count ? " or "
                                                   : ", ",
                                 option->name);
    }
    if (named < count && used < room)
        snprintf(text + used, room - used, " or %d others", count - named);
}

/* ---- walking ---- */

static void show_name(nnclr_words *w, const char *name, size_t size) {
    snprintf(w->shown, sizeof w->shown, "--%.*s", (int)nnclr_min(size, 150), name);
}

static nnclr_word wrong(nnclr_words *w, const char *why) {
    snprintf(w->fault, sizeof w->fault, "%s: %s", w->shown, why);
    return NNCLR_WORD_WRONG;
}

static nnclr_word without_value(nnclr_words *w) {
    char why[200];
    snprintf(why, sizeof why, "needs a value%s%s", w->option->argument ? ": " : "",
             w->option->argument ? w->option->argument : "");
    return wrong(w, why);
}

static nnclr_word unknown(nnclr_words *w, const char *name, size_t size) {
    char why[200] = "no such option";
    const nnclr_option *nearest = find_nearest(w, name, size);
    if (nearest)
        snprintf(why, sizeof why, "no such option; did you mean --%s?", nearest->name);
    return wrong(w, why);
}

/* The option that has or had this name, or the only one that begins so; NULL: see *result. */
static const nnclr_option *find_long(nnclr_words *w, const char *name, size_t size,
                                     nnclr_word *result) {
    const nnclr_option *option = find_name(w, name, size, false),
                       *old = find_name(w, name, size, true);
    if (!option && old)
        option = find_name(w, old->help, strlen(old->help), false);
    int count = 0;
    if (!option && size > 0)
        option = find_beginning(w, name, size, &count);
    if (option) {
        if (!old)
            show_name(w, option->name, strlen(option->name));
        w->old = old;
        return option;
    }
    char candidates[200], why[300];
    if (count > 1) {
        list_candidates(w, name, size, count, candidates, sizeof candidates);
        snprintf(why, sizeof why, "is ambiguous: it may be %s", candidates);
    }
    *result = count > 1 ? wrong(w, why) : unknown(w, name, size);
    return NULL;
}

/* Some values of an option may by now belong to another one. */
static void settle_renamed(nnclr_words *w) {
    if (w->old && w->old->choices && !is_choice(w->old, w->value))
        w->old = NULL;
    else if (w->old)
        w->option = find_name(w, w->old->help, strlen(w->old->help), false);
}

static nnclr_word next_long(nnclr_words *w, char *word) {
    char *name = word + 2, *equals = strchr(name, '=');
    const size_t size = equals ? (size_t)(equals - name) : strlen(name);
    nnclr_word result = NNCLR_WORD_OPTION;
    show_name(w, name, size);
    w->option = find_long(w, name, size, &result);
    if (!w->option)
        return result;
    if (equals && !takes_value(w->option))
        return wrong(w, "takes no value");
    w->value = equals ? equals + 1 : NULL;
    if (!equals && takes_value(w->option)) {
        if (w->next >= w->argc)
            return without_value(w);
        w->value = w->argv[w->next++];
    }
    settle_renamed(w);
    return NNCLR_WORD_OPTION;
}

/* "-qj2": letters in a row, the last of them with its value attached or in the next word. */
static nnclr_word next_letter(nnclr_words *w) {
    const char *at = w->letters++;
    snprintf(w->shown, sizeof w->shown, "-%c", *at);
    w->option = find_letter(w, *at);
    if (!*w->letters)
        w->letters = NULL;
    if (!w->option) {
        const char *word = w->argv[w->next - 1] + 1; /* a dash may be missing */
        int count = 0;
        const nnclr_option *meant = find_beginning(w, word, strcspn(word, "="), &count);
        char why[200];
        snprintf(why, sizeof why, "no such option; did you mean --%s?", meant ? meant->name : "");
        return wrong(w, meant && word[1] ? why : "no such option");
    }
    if (!takes_value(w->option))
        return NNCLR_WORD_OPTION;
    w->value = w->letters;
    w->letters = NULL;
    if (!w->value) {
        if (w->next >= w->argc)
            return without_value(w);
        w->value = w->argv[w->next++];
    }
    return NNCLR_WORD_OPTION;
}

nnclr_word nnclr_words_next(nnclr_words *w) {
    w->option = w->old = NULL;
    w->value = NULL;
    if (w->letters)
        return next_letter(w);
    if (w->next >= w->argc)
        return NNCLR_WORD_NONE;
    char *word = w->argv[w->next++];
    if (w->operands_only || word[0] != '-' || word[1] == '\0') {
        w->value = word;
        return NNCLR_WORD_OPERAND;
    }
    if (strcmp(word, "--") == 0) {
        w->operands_only = true;
        return nnclr_words_next(w);
    }
    if (word[1] == '-')
        return next_long(w, word);
    w->letters = word + 1;
    return next_letter(w);
}

const char *nnclr_cli_peek(const nnclr_command_line *line, const char *name) {
    nnclr_words w = nnclr_words_of(line->options, line->option_count, line->argc, line->argv);
    const char *value = NULL;
    for (nnclr_word word; (word = nnclr_words_next(&w)) != NNCLR_WORD_NONE;)
        if (word == NNCLR_WORD_OPTION && strcmp(w.option->name, name) == 0)
            value = w.value;
    return value;
}

nnclr_words nnclr_words_of(const nnclr_option *options, size_t option_count, int argc,
                           char **argv) {
    return (nnclr_words){
        .options = options, .option_count = option_count, .argc = argc, .next = 1, .argv = argv};
}

/* ---- setting ---- */

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

/* The target becomes none of the numbers or all. */
static void set_numbers(nnclr_cli *cli, const nnclr_option *option, const char *shown,
                        const char *value) {
    double numbers[NNCLR_OPTION_NUMBERS];
    nnclr_error e = NNCLR_NO_ERROR;
    if (!nnclr_parse_reals(value, numbers, option->count, option->low, option->high, &e))
        nnclr_cli_usage(cli, "%s: %s", shown, e.message);
    for (int i = 0; i < option->count; i++)
        if (option->type == NNCLR_OPTION_FLOAT)
            ((float *)option->target)[i] = (float)numbers[i];
        else
            ((double *)option->target)[i] = numbers[i];
}

void nnclr_option_set(nnclr_cli *cli, const nnclr_option *option, const char *shown,
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
    case NNCLR_OPTION_FLOAT:
        if (option->count > 1)
            set_numbers(cli, option, shown, value);
        else
            good = nnclr_parse_real(value, low, high, option->target);
        snprintf(wanted, sizeof wanted, "a number%s", range);
        break;
    case NNCLR_OPTION_BYTES:
        good = nnclr_parse_bytes(value, whole(low), whole(high), option->target);
        snprintf(wanted, sizeof wanted, "a number of bytes%s, such as 512K, 20M or 2G", range);
        break;
    case NNCLR_OPTION_TEXT:
    case NNCLR_OPTION_INPUT:
        good = value[0] != '\0'; /* "" may be a script's unset variable */
        *(const char **)option->target = value;
        snprintf(wanted, sizeof wanted, "%s", option->argument ? option->argument : "a text");
        if (good && option->makes)
            nnclr_check_ending(cli, option->makes, shown, value);
        break;
    case NNCLR_OPTION_CHOICE:
        good = choose(option, value);
        nnclr_option_join(option, ", ", " or ", wanted, sizeof wanted);
        break;
    case NNCLR_OPTION_CUSTOM:
        if (!option->parse(value, option->target, &e))
            nnclr_cli_usage(cli, "%s: %s", shown, e.message);
        break;
    case NNCLR_OPTION_RENAMED:
    case NNCLR_OPTION_GROUP:
        break;
    }
    if (!good)
        nnclr_cli_usage(cli, "%s: needs %s, not \"%s\"", shown, wanted, value);
}
