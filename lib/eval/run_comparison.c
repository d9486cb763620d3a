#include "eval/run_comparison.h"

#include <string.h>

#include "base/files.h"
#include "base/memory.h"

enum { LARGEST = 64 << 20 }; /* bytes of a run.json */

/* Everything in run.json that is a setting, on one level. */
static nnclr_json *read_settings(const char *path, nnclr_error *e) {
    static const char *const keys[] = {"program", "engine",      "precision",
                                       "records", "total_steps", "init"};
    nnclr_buffer text = {0};
    nnclr_json *settings = NULL, *told = NULL, *config = NULL;
    bool ok = nnclr_file_read(path, LARGEST, &text, e) &&
              (told = nnclr_json_parse((char *)text.data, text.size, path, e)) != NULL;
    if (ok && (!nnclr_json_is_object(told) ||
               !nnclr_json_is_object(config = nnclr_json_get(told, "config"))))
        ok = nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: does not describe a run", path);
    if (ok)
        settings = nnclr_json_take(told, "config");
    for (size_t i = 0; ok && i < sizeof keys / sizeof *keys; i++)
        if (nnclr_json_get(told, keys[i]))
            ok = nnclr_json_put(settings, keys[i], nnclr_json_take(told, keys[i]), e);
    nnclr_json_free(told);
    nnclr_buffer_free(&text);
    return nnclr_json_if(ok, settings);
}

static bool read_run(const char *path, nnclr_compared_run *run, nnclr_json **settings,
                     nnclr_error *e) {
    nnclr_buffer file = {0};
    run->path = path;
    bool ok = (run->differs = nnclr_json_object(e)) != NULL &&
              nnclr_buffer_printf(&file, e, "%s/run.json", path) &&
              (*settings = read_settings((char *)file.data, e)) != NULL;
    file.size = 0;
    ok = ok && nnclr_buffer_printf(&file, e, "%s/metrics.jsonl", path) &&
         nnclr_history_read((char *)file.data, &run->history, e);
    nnclr_buffer_free(&file);
    return ok;
}

/* The names of all members, each once, NUL-terminated, back to back. */
static bool list_names(nnclr_json *const *settings, int count, nnclr_buffer *names,
                       nnclr_error *e) {
    for (int i = 0; i < count; i++) {
        void *iterator = NULL;
        const char *name;
        while (nnclr_json_each(settings[i], &iterator, &name)) {
            bool known = false;
            for (int before = 0; before < i; before++)
                known = known || nnclr_json_get(settings[before], name);
            if (!known && !nnclr_buffer_append(names, name, strlen(name) + 1, e))
                return false;
        }
    }
    return true;
}

/* Moves a setting to `differs` of all runs if it is not the same in all. */
static bool compare(const char *name, nnclr_json **settings, nnclr_compared_run *runs, int count,
                    nnclr_error *e) {
    nnclr_buffer first = {0}, other = {0};
    bool ok = true, same = true;
    for (int i = 0; ok && i < count; i++) {
        const nnclr_json *value = nnclr_json_get(settings[i], name);
        nnclr_buffer *text = i ? &other : &first;
        text->size = 0;
        ok = value ? nnclr_json_print(value, false, text, e) : nnclr_buffer_append(text, "", 0, e);
        same = same && ok && (i == 0 || strcmp((char *)first.data, (char *)other.data) == 0);
    }
    for (int i = 0; ok && !same && i < count; i++) {
        nnclr_json *value = nnclr_json_take(settings[i], name);
        ok = value ? nnclr_json_put(runs[i].differs, name, value, e)
                   : nnclr_json_put_null(runs[i].differs, name, e);
    }
    nnclr_buffer_free(&other);
    nnclr_buffer_free(&first);
    return ok;
}

bool nnclr_runs_read(const char *const *paths, int count, nnclr_compared_run *runs,
                     nnclr_error *e) {
    nnclr_buffer names = {0};
    nnclr_json **settings = nnclr_alloc_zero((size_t)count, sizeof(nnclr_json *), e);
    bool ok = settings != NULL;
    memset(runs, 0, (size_t)count * sizeof *runs);
    for (int i = 0; ok && i < count; i++)
        ok = read_run(paths[i], &runs[i], &settings[i], e);
    ok = ok && list_names(settings, count, &names, e);
    for (size_t at = 0; ok && at < names.size; at += strlen((char *)names.data + at) + 1)
        ok = compare((char *)names.data + at, settings, runs, count, e);
    for (int i = 0; settings && i < count; i++)
        nnclr_json_free(settings[i]);
    nnclr_free(settings);
    nnclr_buffer_free(&names);
    return ok;
}

void nnclr_runs_free(nnclr_compared_run *runs, int count) {
    for (int i = 0; i < count; i++)
        nnclr_json_free(runs[i].differs);
    memset(runs, 0, (size_t)count * sizeof *runs);
}
