#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cmd/cli_internal.h"

struct nnclr_table {
    nnclr_cli *cli;
    const char *const *columns;
    int count, column;
    bool json;
    uint64_t rows;
    nnclr_json *object;  /* the row under construction */
    nnclr_buffer buffer; /* the row under construction, or one cell of it */
};

/* A table is written row by row, and every caller would do the same about a failure. */
static void table_check(nnclr_table *table, bool good, const nnclr_error *e) {
    if (!good)
        nnclr_cli_die(table->cli, e);
}

nnclr_table *nnclr_table_begin(nnclr_cli *cli, bool json, const char *const *columns, int count) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_table *table = nnclr_alloc_zero(1, sizeof *table, &e);
    if (!table)
        nnclr_cli_die(cli, &e);
    *table = (nnclr_table){.cli = cli, .columns = columns, .count = count, .json = json};
    nnclr_cli_progress_end(cli);
    if (json)
        putchar('[');
    else
        for (int i = 0; i < count; i++)
            printf("%s%c", columns[i], i + 1 < count ? '\t' : '\n');
    return table;
}

/* The place for the next cell, in JSON an object in `object`, otherwise after a tab in `buffer`. */
static const char *next_cell(nnclr_table *table, nnclr_error *e) {
    if (table->json && !table->object)
        table_check(table, (table->object = nnclr_json_object(e)) != NULL, e);
    if (!table->json && table->column > 0)
        table_check(table, nnclr_buffer_append(&table->buffer, "\t", 1, e), e);
    return table->columns[table->column++];
}

void nnclr_table_text(nnclr_table *table, const char *text) {
    nnclr_error e = NNCLR_NO_ERROR;
    const char *key = next_cell(table, &e);
    bool good = true;
    if (table->json)
        good = text ? nnclr_json_put_string(table->object, key, text, &e)
                    : nnclr_json_put_null(table->object, key, &e);
    else if (text)
        good = nnclr_escape(&table->buffer, text, strlen(text), &e);
    table_check(table, good, &e);
}

void nnclr_table_int(nnclr_table *table, int64_t value) {
    nnclr_error e = NNCLR_NO_ERROR;
    const char *key = next_cell(table, &e);
    bool good = table->json ? nnclr_json_put_int(table->object, key, value, &e)
                            : nnclr_buffer_printf(&table->buffer, &e, "%lld", (long long)value);
    table_check(table, good, &e);
}

void nnclr_table_real(nnclr_table *table, double value, int digits) {
    nnclr_error e = NNCLR_NO_ERROR;
    const char *key = next_cell(table, &e);
    bool good = true;
    if (table->json)
        good = nnclr_json_put_real(table->object, key, value, &e);
    else if (isfinite(value))
        good = nnclr_buffer_printf(&table->buffer, &e, "%.*f", digits, value);
    table_check(table, good, &e);
}

static bool append_value(nnclr_buffer *out, const nnclr_json *value, nnclr_error *e) {
    const char *text = nnclr_json_string(value);
    char number[NNCLR_REAL_TEXT];
    int64_t whole;
    double real;
    bool yes, ok = true;
    if (text)
        return nnclr_escape(out, text, strlen(text), e);
    if (nnclr_json_bool(value, &yes))
        return nnclr_buffer_printf(out, e, "%s", yes ? "yes" : "no");
    if (nnclr_json_int(value, INT64_MIN, INT64_MAX, &whole))
        return nnclr_buffer_printf(out, e, "%lld", (long long)whole);
    if (nnclr_json_real(value, &real)) {
        nnclr_print_shortest(real, number);
        return nnclr_buffer_printf(out, e, "%s", number);
    }
    for (size_t i = 0; ok && i < nnclr_json_count(value); i++)
        ok = (i == 0 || nnclr_buffer_append(out, ",", 1, e)) &&
             append_value(out, nnclr_json_at(value, i), e);
    return ok;
}

void nnclr_table_settings(nnclr_table *table, nnclr_json *settings) {
    nnclr_error e = NNCLR_NO_ERROR;
    const char *name = next_cell(table, &e), *key, *space = "";
    if (table->json) {
        table_check(table, nnclr_json_put(table->object, name, settings, &e), &e);
        return;
    }
    void *iterator = NULL;
    for (const nnclr_json *value; (value = nnclr_json_each(settings, &iterator, &key)) != NULL;
         space = " ")
        table_check(table,
                    nnclr_buffer_printf(&table->buffer, &e, "%s%s=", space, key) &&
                        append_value(&table->buffer, value, &e),
                    &e);
    nnclr_json_free(settings);
}

void nnclr_table_row_end(nnclr_table *table) {
    nnclr_error e = NNCLR_NO_ERROR;
    const char *lead = "";
    if (table->json) {
        table_check(table, nnclr_json_print(table->object, false, &table->buffer, &e), &e);
        nnclr_json_free(table->object);
        table->object = NULL;
        lead = table->rows > 0 ? ",\n " : "";
    }
    fputs(lead, stdout);
    if (table->buffer.size > 0)
        fwrite(table->buffer.data, 1, table->buffer.size, stdout);
    if (!table->json)
        putchar('\n');
    if (ferror(stdout))
        nnclr_cli_die_of_stdout(table->cli);
    table->buffer.size = 0;
    table->column = 0;
    table->rows++;
}

void nnclr_table_flush(nnclr_table *table) {
    if (fflush(stdout) != 0)
        nnclr_cli_die_of_stdout(table->cli);
}

void nnclr_table_end(nnclr_table *table) {
    if (table->json)
        fputs("]\n", stdout);
    nnclr_table_flush(table);
    nnclr_buffer_free(&table->buffer);
    nnclr_free(table);
}

/* ---- tables of the library, and several in a row ---- */

/* Ends the field that *text points at, and moves past it; returns the field. */
static char *take_field(char **text, const char *ends) {
    char *field = *text;
    size_t length = strcspn(field, ends);
    *text += length;
    if (**text)
        *(*text)++ = '\0';
    return field;
}

static void put_field(nnclr_table *table, const char *field) {
    int64_t number;
    if (nnclr_parse_int(field, INT64_MIN, INT64_MAX, &number))
        nnclr_table_int(table, number);
    else
        nnclr_table_text(table, field[0] ? field : NULL);
}

void nnclr_table_print(nnclr_cli *cli, bool json, const nnclr_buffer *tsv) {
    enum { MOST = 16 };
    nnclr_error e = NNCLR_NO_ERROR;
    const char *columns[MOST];
    int count = 0;
    char *text = nnclr_strdup((const char *)tsv->data, &e), *next = text;
    if (!text)
        nnclr_cli_die(cli, &e);
    for (char *header = take_field(&next, "\n"); *header && count < MOST; count++)
        columns[count] = take_field(&header, "\t");
    nnclr_table *table = nnclr_table_begin(cli, json, columns, count);
    while (*next) {
        char *line = take_field(&next, "\n");
        for (int i = 0; i < count; i++)
            put_field(table, take_field(&line, "\t"));
        nnclr_table_row_end(table);
    }
    nnclr_table_end(table);
    nnclr_free(text);
}

void nnclr_table_section(nnclr_cli *cli, bool json, const char *name) {
    bool first = cli->sections++ == 0;
    if (json && name)
        printf("%s\"%s\": ", first ? "{" : ",", name);
    else if (json)
        puts("}");
    else if (name && !first)
        putchar('\n');
}
