#include "train/run_description.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/files.h"
#include "base/memory.h"
#include "train/schedule.h"

enum { LARGEST = 16 << 20 }; /* bytes of a run.json */

static const char *absolute_path(const char *path, char **made) {
    bool standard = nnclr_is_standard(path); /* standard input, whatever files there are */
    *made = standard ? NULL : realpath(path, NULL);
    return *made ? *made : path;
}

static bool put_path(nnclr_json *object, const char *key, const char *path, nnclr_error *e) {
    char *made;
    bool ok = nnclr_json_put_string(object, key, absolute_path(path, &made), e);
    free(made);
    return ok;
}

static nnclr_json *paths_to_json(const char *const *paths, size_t count, nnclr_error *e) {
    nnclr_json *array = nnclr_json_array(e);
    bool ok = array != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        char *made;
        ok = nnclr_json_push_string(array, absolute_path(paths[i], &made), e);
        free(made);
    }
    return nnclr_json_if(ok, array);
}

/* Puts a value that may be NULL because making it failed. */
static bool put_made(nnclr_json *object, const char *key, nnclr_json *value, nnclr_error *e) {
    return value && nnclr_json_put(object, key, value, e);
}

static bool put_host(nnclr_json *object, const nnclr_engine *engine, int threads, nnclr_error *e) {
    struct utsname host;
    nnclr_json *json = nnclr_json_object(e);
    if (json &&
        (uname(&host) != 0 || (nnclr_json_put_string(json, "name", host.nodename, e) &&
                               nnclr_json_put_string(json, "system", host.sysname, e) &&
                               nnclr_json_put_string(json, "machine", host.machine, e))) &&
        (!engine->vectors || nnclr_json_put_string(json, "vectors", engine->vectors, e)) &&
        nnclr_json_put_int(json, "threads", threads, e))
        return nnclr_json_put(object, "host", json, e);
    nnclr_json_free(json);
    return false;
}

static bool put_ranks(nnclr_json *object, const char *const *hosts, int ranks, nnclr_error *e) {
    nnclr_json *array = nnclr_json_array(e);
    bool ok = array != NULL;
    for (int i = 0; ok && i < ranks; i++)
        ok = nnclr_json_push_string(array, hosts[i], e);
    return put_made(object, "ranks", nnclr_json_if(ok, array), e);
}

static const char *files_key(bool views) {
    return views ? "views" : "shards";
}

static nnclr_json *read_description(const char *folder, nnclr_buffer *path, nnclr_error *e) {
    nnclr_buffer text = {0};
    nnclr_json *json = NULL;
    if (nnclr_buffer_printf(path, e, "%s/run.json", folder) &&
        nnclr_file_read((const char *)path->data, LARGEST, &text, e))
        json = nnclr_json_parse((const char *)text.data, text.size, (const char *)path->data, e);
    nnclr_buffer_free(&text);
    return json;
}

/* Where the weights came from, or what they are tested on: a resumed run takes it from its older
 * description. */
static bool put_kept(nnclr_json *object, const char *key, const nnclr_run *run, bool resumed,
                     nnclr_error *e) {
    if (!resumed || nnclr_json_get(object, key))
        return true;
    nnclr_buffer path = {0};
    nnclr_error ignored = NNCLR_NO_ERROR;
    nnclr_json *older = read_description(nnclr_run_folder(run), &path, &ignored);
    nnclr_json *kept = nnclr_json_is_object(older) ? nnclr_json_take(older, key) : NULL;
    nnclr_json_free(older);
    nnclr_buffer_free(&path);
    return !kept || nnclr_json_put(object, key, kept, e);
}

bool nnclr_run_describe(nnclr_run *run, const nnclr_run_description *d, nnclr_error *e) {
    nnclr_plan plan;
    nnclr_buffer text = {0};
    nnclr_json *object = nnclr_json_object(e);
    const nnclr_engine_table *table = d->engine->table;
    int64_t records = (int64_t)nnclr_training_data_count(d->data);
    bool ok = object && nnclr_plan_make(d->config, records, &plan, e) &&
              nnclr_json_put_string(object, "program", d->program, e) &&
              nnclr_json_put_string(object, "engine", table->name, e) &&
              nnclr_json_put_string(object, "precision", table->precision, e) &&
              nnclr_json_put_int(object, "records", records, e) &&
              nnclr_json_put_int(object, "steps_per_epoch", plan.steps_per_epoch, e) &&
              nnclr_json_put_int(object, "total_steps", plan.total, e) &&
              nnclr_json_put_real(object, "peak_lr", plan.peak, e) &&
              put_made(object, "config", nnclr_config_to_json(d->config, e), e) &&
              put_made(object, "data", nnclr_training_data_identity(d->data, e), e) &&
              put_made(object, files_key(d->data->views != NULL),
                       paths_to_json(d->files, d->file_count, e), e) &&
              (!d->init || put_path(object, "init", d->init, e)) &&
              (!d->prefix || nnclr_json_put_string(object, "prefix", d->prefix, e)) &&
              (!d->test || put_path(object, "test", d->test, e)) &&
              put_kept(object, "init", run, d->resumed, e) &&
              put_kept(object, "prefix", run, d->resumed, e) &&
              put_kept(object, "test", run, d->resumed, e) &&
              put_host(object, d->engine, d->threads, e) &&
              (!d->hosts || put_ranks(object, d->hosts, d->ranks, e)) &&
              nnclr_json_print(object, true, &text, e) && nnclr_buffer_append(&text, "\n", 1, e) &&
              nnclr_run_write_description(run, (const char *)text.data, text.size, e);
    nnclr_buffer_free(&text);
    nnclr_json_free(object);
    return ok;
}

/* The strings of the array after pointers to them, in one block. */
static char **copy_strings(const nnclr_json *array, nnclr_error *e) {
    size_t count = nnclr_json_count(array), bytes = (count + 1) * sizeof(char *);
    for (size_t i = 0; i < count; i++)
        bytes += strlen(nnclr_json_string(nnclr_json_at(array, i))) + 1;
    char **strings = nnclr_alloc(bytes, 1, e);
    if (!strings)
        return NULL;
    char *next = (char *)(strings + count + 1);
    for (size_t i = 0; i < count; i++) {
        strings[i] = next;
        next = stpcpy(next, nnclr_json_string(nnclr_json_at(array, i))) + 1;
    }
    strings[count] = NULL;
    return strings;
}

char **nnclr_run_files(const char *folder, bool views, nnclr_error *e) {
    char **files = NULL;
    nnclr_buffer path = {0};
    nnclr_json *json = read_description(folder, &path, e);
    if (!json)
        goto exit;
    const nnclr_json *array = nnclr_json_get(json, files_key(views));
    bool usable = nnclr_json_is_array(array) && nnclr_json_count(array) > 0;
    for (size_t i = 0; usable && i < nnclr_json_count(array); i++) {
        const char *name = nnclr_json_string(nnclr_json_at(array, i));
        usable = name && !nnclr_is_standard(name);
    }
    if (usable)
        files = copy_strings(array, e);
    else
        nnclr_fail(e, NNCLR_ERROR_USAGE, "%s does not say where the %s: name %s after -o %s",
                   (const char *)path.data, views ? "file of views is" : "shards are",
                   views ? "it" : "them", folder);

exit:
    nnclr_json_free(json);
    nnclr_buffer_free(&path);
    return files;
}

char *nnclr_run_test(const char *folder, nnclr_error *e) {
    nnclr_buffer path = {0};
    nnclr_json *json = read_description(folder, &path, e);
    const char *name =
        nnclr_json_is_object(json) ? nnclr_json_string(nnclr_json_get(json, "test")) : NULL;
    char *copy = name && !nnclr_is_standard(name) ? nnclr_strdup(name, e) : NULL;
    nnclr_json_free(json);
    nnclr_buffer_free(&path);
    return copy;
}
