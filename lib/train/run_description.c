#include "train/run_description.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/files.h"
#include "base/memory.h"
#include "train/schedule.h"

enum { LARGEST = 16 << 20 }; /* bytes of a run.json */

static bool push_path(nnclr_json *array, const char *path, nnclr_error *e) {
    char *absolute = realpath(path, NULL); /* "-" stays what it is */
    bool ok = nnclr_json_push_string(array, absolute ? absolute : path, e);
    free(absolute);
    return ok;
}

static nnclr_json *paths_to_json(const nnclr_run_description *d, nnclr_error *e) {
    nnclr_json *array = nnclr_json_array(e);
    for (size_t i = 0; array && i < d->shard_count; i++)
        if (!push_path(array, d->shards[i], e)) {
            nnclr_json_free(array);
            return NULL;
        }
    return array;
}

/* Puts a value that may be NULL because making it failed. */
static bool put_made(nnclr_json *object, const char *key, nnclr_json *value, nnclr_error *e) {
    return value && nnclr_json_put(object, key, value, e);
}

static bool put_host(nnclr_json *object, int threads, nnclr_error *e) {
    struct utsname host;
    nnclr_json *json = nnclr_json_object(e);
    if (json &&
        (uname(&host) != 0 || (nnclr_json_put_string(json, "name", host.nodename, e) &&
                               nnclr_json_put_string(json, "system", host.sysname, e) &&
                               nnclr_json_put_string(json, "machine", host.machine, e))) &&
        nnclr_json_put_int(json, "threads", threads, e))
        return nnclr_json_put(object, "host", json, e);
    nnclr_json_free(json);
    return false;
}

bool nnclr_run_describe(nnclr_run *run, const nnclr_run_description *d, nnclr_error *e) {
    nnclr_plan plan;
    nnclr_buffer text = {0};
    nnclr_json *object = nnclr_json_object(e);
    const nnclr_engine_table *table = d->engine->table;
    int64_t records = (int64_t)nnclr_shard_set_count(d->set);
    bool ok = object && nnclr_plan_make(d->config, records, &plan, e) &&
              nnclr_json_put_string(object, "program", d->program, e) &&
              nnclr_json_put_string(object, "engine", table->name, e) &&
              nnclr_json_put_string(object, "precision", table->precision, e) &&
              nnclr_json_put_int(object, "records", records, e) &&
              nnclr_json_put_int(object, "steps_per_epoch", plan.steps_per_epoch, e) &&
              nnclr_json_put_int(object, "total_steps", plan.total, e) &&
              nnclr_json_put_real(object, "peak_lr", plan.peak, e) &&
              put_made(object, "config", nnclr_config_to_json(d->config, e), e) &&
              put_made(object, "data", nnclr_shard_set_identity(d->set, e), e) &&
              put_made(object, "shards", paths_to_json(d, e), e) &&
              put_host(object, d->threads, e) && nnclr_json_print(object, true, &text, e) &&
              nnclr_buffer_append(&text, "\n", 1, e) &&
              nnclr_run_write_description(run, (const char *)text.data, text.size, e);
    nnclr_buffer_free(&text);
    nnclr_json_free(object);
    return ok;
}

/* The strings of the array behind their pointers, in one block. */
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

char **nnclr_run_shards(const char *folder, nnclr_error *e) {
    char **shards = NULL;
    nnclr_buffer path = {0}, text = {0};
    nnclr_json *json = NULL;
    if (!nnclr_buffer_printf(&path, e, "%s/run.json", folder) ||
        !nnclr_file_read((const char *)path.data, LARGEST, &text, e) ||
        !(json = nnclr_json_parse((const char *)text.data, text.size, (const char *)path.data, e)))
        goto exit;
    const nnclr_json *array = nnclr_json_get(json, "shards");
    bool usable = nnclr_json_is_array(array) && nnclr_json_count(array) > 0;
    for (size_t i = 0; usable && i < nnclr_json_count(array); i++) {
        const char *name = nnclr_json_string(nnclr_json_at(array, i));
        usable = name && strcmp(name, "-") != 0;
    }
    if (usable)
        shards = copy_strings(array, e);
    else
        nnclr_fail(e, NNCLR_ERROR_USAGE,
                   "%s does not say where the shards are: name them behind -o %s",
                   (const char *)path.data, folder);

exit:
    nnclr_json_free(json);
    nnclr_buffer_free(&text);
    nnclr_buffer_free(&path);
    return shards;
}

static bool get_part(const nnclr_json *identity, size_t i, const char *key, int64_t *out) {
    nnclr_error ignored = NNCLR_NO_ERROR;
    return nnclr_json_get_int(nnclr_json_at(identity, i), key, 0, UINT32_MAX, out, &ignored);
}

static bool compare_data(const nnclr_json *then, const nnclr_json *now, nnclr_error *e) {
    size_t count = nnclr_json_is_array(then) ? nnclr_json_count(then) : 0;
    if (count != nnclr_json_count(now))
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "the run was started with %zu shards, not %zu: name the same ones", count,
                          nnclr_json_count(now));
    for (size_t i = 0; i < count; i++) {
        int64_t records[2], crc[2];
        if (!get_part(then, i, "records", &records[0]) || !get_part(then, i, "crc32", &crc[0]) ||
            !get_part(now, i, "records", &records[1]) || !get_part(now, i, "crc32", &crc[1]))
            return nnclr_fail(e, NNCLR_ERROR_INPUT,
                              "the checkpoint does not say which data it was trained on");
        if (records[0] != records[1] || crc[0] != crc[1])
            return nnclr_fail(e, NNCLR_ERROR_USAGE,
                              "shard %zu is not the one that the run was started with (%lld "
                              "pictures, index checksum %08llx; then %lld, %08llx)",
                              i + 1, (long long)records[1], (unsigned long long)crc[1],
                              (long long)records[0], (unsigned long long)crc[0]);
    }
    return true;
}

bool nnclr_run_check_data(const nnclr_json *identity, const nnclr_shard_set *set, nnclr_error *e) {
    nnclr_json *now = nnclr_shard_set_identity(set, e);
    bool ok = now && compare_data(identity, now, e);
    nnclr_json_free(now);
    return ok;
}
