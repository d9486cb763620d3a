/* Parts of a shard file, whoever fills them: shard_reader.c from an index, shard_scan.c without. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/strings.h"
#include "io/shard_parts.h"

static void free_part(nnclr_shard_part *part) {
    for (size_t i = 0; i < part->class_count; i++)
        nnclr_free(part->classes[i]);
    nnclr_free(part->classes);
    nnclr_index_free(&part->index);
    nnclr_seek_table_free(&part->table);
}

nnclr_shard_part *nnclr_shard_file_add(nnclr_shard_file *file, nnclr_error *e) {
    if (!nnclr_reserve(&file->parts, &file->part_capacity, file->part_count + 1,
                       sizeof *file->parts, e))
        return NULL;
    nnclr_shard_part *part = &file->parts[file->part_count++];
    *part = (nnclr_shard_part){.index_crc = 0};
    return part;
}

void nnclr_shard_file_clear(nnclr_shard_file *file) {
    for (size_t i = 0; i < file->part_count; i++)
        free_part(&file->parts[i]);
    file->part_count = 0;
}

void nnclr_shard_file_close(nnclr_shard_file *file) {
    nnclr_shard_file_clear(file);
    nnclr_free(file->parts);
    nnclr_input_close(&file->input);
    *file = (nnclr_shard_file){.input = file->input};
}

/* ---- what the first and the last member say ---- */

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool nnclr_shard_check_classes(char *const *classes, size_t count, nnclr_error *e) {
    const char **sorted = nnclr_alloc(count, sizeof *sorted, e);
    if (!sorted)
        return false;
    for (size_t i = 0; i < count; i++)
        sorted[i] = classes[i];
    qsort(sorted, count, sizeof *sorted, by_text);
    bool ok = true;
    for (size_t i = 1; i < count && ok; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            ok = nnclr_fail(e, NNCLR_ERROR_INPUT, "class \"%.200s\" occurs twice", sorted[i]);
    nnclr_free(sorted);
    return ok;
}

static bool parse_classes(const nnclr_json *array, nnclr_shard_part *part, nnclr_error *e) {
    if (!nnclr_json_is_array(array))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "\"classes\" is missing");
    size_t count = nnclr_json_count(array);
    part->classes = nnclr_alloc(count, sizeof *part->classes, e);
    if (!part->classes)
        return false;
    while (part->class_count < count) {
        const char *name = nnclr_json_string(nnclr_json_at(array, part->class_count));
        if (!name)
            return nnclr_fail(e, NNCLR_ERROR_INPUT,
                              "\"classes\" holds something that is not a string");
        part->classes[part->class_count] = nnclr_strdup(name, e);
        if (!part->classes[part->class_count])
            return false;
        part->class_count++;
    }
    return nnclr_shard_check_classes(part->classes, count, e);
}

bool nnclr_shard_parse_first(const char *text, size_t size, nnclr_shard_part *part,
                             nnclr_error *e) {
    int64_t format;
    nnclr_json *root = nnclr_json_parse(text, size, NNCLR_SHARD_FIRST, e);
    if (!root)
        return false;
    bool ok = nnclr_json_get_int(root, "format", 1, INT64_MAX, &format, e);
    if (ok && format > NNCLR_SHARD_FORMAT)
        ok = nnclr_fail(e, NNCLR_ERROR_INPUT,
                        "is of format %lld, written by a newer program; this one reads format %d",
                        (long long)format, (int)NNCLR_SHARD_FORMAT);
    ok = ok && parse_classes(nnclr_json_get(root, "classes"), part, e);
    nnclr_json_free(root);
    return ok;
}

bool nnclr_shard_parse_last(const char *text, size_t size, int64_t *records, nnclr_error *e) {
    nnclr_json *root = nnclr_json_parse(text, size, NNCLR_SHARD_LAST, e);
    bool ok = root && nnclr_json_get_int(root, "records", 0, NNCLR_SHARD_MAX_RECORDS, records, e);
    nnclr_json_free(root);
    return ok;
}

bool nnclr_shard_check(nnclr_shard_part *part, nnclr_error *e) {
    for (size_t i = 0; i < part->index.count; i++) {
        const nnclr_index_entry *entry = &part->index.entries[i];
        if (entry->label >= (int64_t)part->class_count)
            return nnclr_fail(e, NNCLR_ERROR_INPUT, "record %lld has label %lld of %zu classes",
                              (long long)entry->number, (long long)entry->label, part->class_count);
        if (entry->frame >= part->table.count ||
            part->table.frames[entry->frame].decompressed > NNCLR_FRAME_LIMIT ||
            entry->offset + entry->length > part->table.frames[entry->frame].decompressed)
            return nnclr_fail(e, NNCLR_ERROR_INPUT, "record %lld lies outside of its frame",
                              (long long)entry->number);
    }
    return nnclr_index_sort(&part->index, e);
}
