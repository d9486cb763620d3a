#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/available_memory.h"
#include "base/files.h"
#include "base/memory.h"
#include "io/frame_window.h"
#include "io/shard_parts.h"

/* A part of a file, placed in the set's numbering. */
typedef struct placed_part {
    const nnclr_shard_file *file;
    const nnclr_shard_part *part;
    size_t first_record;
    size_t first_frame; /* in the cache */
    int64_t *labels;    /* owned: the set's label of each of the part's */
} placed_part;

typedef struct named_class {
    const char *name;
    int64_t label;
} named_class;

struct nnclr_shard_set {
    nnclr_shard_file *files;
    size_t file_count;
    placed_part *places;
    size_t place_count, record_count, frame_count;
    const char **classes; /* in the order of the labels; the names are the parts' */
    named_class *by_name; /* the same, sorted */
    size_t class_count;

    /* Frames are put in while they fit, and stay: an epoch visits all of them in a new order, so
     * that no choice of what to drop would do better. A thread that finds its slot taken when it
     * comes with the same frame drops its own copy: nobody ever waits. */
    _Atomic(unsigned char *) *cache;
    _Atomic uint64_t cache_limit; /* lowered when memory runs short */
    _Atomic uint64_t cache_used, frames_read;
    nnclr_frame_window *window; /* in place of the cache; NULL: the cache is used */
};

/* ---- opening ---- */

/* Compares names, and what begins with one. */
static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool open_files(nnclr_shard_set *set, nnclr_input *inputs, size_t count, nnclr_error *e) {
    set->files = nnclr_alloc_zero(count, sizeof *set->files, e);
    if (!set->files)
        return false;
    for (; set->file_count < count; set->file_count++)
        if (!nnclr_shard_file_open(&inputs[set->file_count], &set->files[set->file_count], e))
            return false;
    return true;
}

static bool make_places(nnclr_shard_set *set, nnclr_error *e) {
    size_t count = 0;
    for (size_t f = 0; f < set->file_count; f++)
        count += set->files[f].part_count;
    set->places = nnclr_alloc_zero(count, sizeof *set->places, e);
    if (!set->places)
        return false;
    for (size_t f = 0; f < set->file_count; f++) {
        const nnclr_shard_file *file = &set->files[f];
        for (size_t p = 0; p < file->part_count; p++) {
            set->places[set->place_count++] = (placed_part){.file = file,
                                                            .part = &file->parts[p],
                                                            .first_record = set->record_count,
                                                            .first_frame = set->frame_count};
            set->record_count += file->parts[p].index.count;
            set->frame_count += file->parts[p].table.count;
        }
    }
    return set->record_count > 0 ||
           nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: holds no record", set->files[0].input.name);
}

/* The part whose classes begin with those of every other part, in their order; NULL: there is none.
 */
static const nnclr_shard_part *find_widest(const nnclr_shard_set *set) {
    const nnclr_shard_part *widest = set->places[0].part;
    for (size_t i = 1; i < set->place_count; i++)
        if (set->places[i].part->class_count > widest->class_count)
            widest = set->places[i].part;
    for (size_t i = 0; i < set->place_count; i++)
        for (size_t c = 0; c < set->places[i].part->class_count; c++)
            if (strcmp(set->places[i].part->classes[c], widest->classes[c]) != 0)
                return NULL;
    return widest;
}

/* Sorts the names of all parts, and drops what occurs twice. */
static void sort_classes(nnclr_shard_set *set) {
    size_t count = 0;
    for (size_t i = 0; i < set->place_count; i++)
        for (size_t c = 0; c < set->places[i].part->class_count; c++)
            set->classes[count++] = set->places[i].part->classes[c];
    qsort(set->classes, count, sizeof *set->classes, by_text);
    for (size_t c = 0; c < count; c++)
        if (c == 0 || strcmp(set->classes[c], set->classes[set->class_count - 1]) != 0)
            set->classes[set->class_count++] = set->classes[c];
}

/* If one part has all classes, its labels stay: a label that is a number is that number. */
static bool unite_classes(nnclr_shard_set *set, nnclr_error *e) {
    size_t count = 0;
    const nnclr_shard_part *widest = find_widest(set);
    for (size_t i = 0; i < set->place_count; i++)
        count += set->places[i].part->class_count;
    set->classes = nnclr_alloc(count, sizeof *set->classes, e);
    set->by_name = nnclr_alloc(count, sizeof *set->by_name, e);
    if (!set->classes || !set->by_name)
        return false;
    if (!widest)
        sort_classes(set);
    for (; widest && set->class_count < widest->class_count; set->class_count++)
        set->classes[set->class_count] = widest->classes[set->class_count];
    for (size_t c = 0; c < set->class_count; c++)
        set->by_name[c] = (named_class){set->classes[c], (int64_t)c};
    qsort(set->by_name, set->class_count, sizeof *set->by_name, by_text);
    return true;
}

static bool map_labels(const nnclr_shard_set *set, placed_part *place, nnclr_error *e) {
    place->labels = nnclr_alloc(place->part->class_count, sizeof *place->labels, e);
    if (!place->labels)
        return false;
    for (size_t c = 0; c < place->part->class_count; c++)
        place->labels[c] = nnclr_shard_set_find_class(set, place->part->classes[c]);
    return true;
}

static nnclr_shard_set *open_set(nnclr_input *inputs, size_t count, uint64_t cache_bytes,
                                 nnclr_error *e) {
    if (count == 0) {
        nnclr_fail(e, NNCLR_ERROR_USAGE, "no shard is given");
        return NULL;
    }
    nnclr_shard_set *set = nnclr_alloc_zero(1, sizeof *set, e);
    if (!set)
        return NULL;
    if (!open_files(set, inputs, count, e) || !make_places(set, e) || !unite_classes(set, e))
        goto fail;
    for (size_t i = 0; i < set->place_count; i++)
        if (!map_labels(set, &set->places[i], e))
            goto fail;
    set->cache = nnclr_alloc_zero(set->frame_count, sizeof *set->cache, e);
    set->cache_limit = cache_bytes;
    if (set->cache)
        return set;
fail:
    nnclr_shard_set_close(set);
    return NULL;
}

nnclr_shard_set *nnclr_shard_set_open_inputs(nnclr_input *inputs, size_t count,
                                             uint64_t cache_bytes, nnclr_error *e) {
    nnclr_shard_set *set = open_set(inputs, count, cache_bytes, e);
    for (size_t i = 0; i < count; i++)
        nnclr_input_close(&inputs[i]);
    return set;
}

nnclr_shard_set *nnclr_shard_set_open(const char *const *paths, size_t count, uint64_t cache_bytes,
                                      nnclr_error *e) {
    nnclr_input *inputs = nnclr_alloc_zero(count, sizeof *inputs, e);
    bool ok = inputs && nnclr_input_check(paths, count, e);
    size_t opened = 0;
    for (; ok && opened < count; opened += ok)
        ok = nnclr_input_open(paths[opened], &inputs[opened], e);
    for (size_t i = 0; !ok && i < opened; i++)
        nnclr_input_close(&inputs[i]);
    nnclr_shard_set *set = ok ? nnclr_shard_set_open_inputs(inputs, count, cache_bytes, e) : NULL;
    nnclr_free(inputs);
    return set;
}

void nnclr_shard_set_close(nnclr_shard_set *set) {
    if (!set)
        return;
    for (size_t i = 0; set->cache && i < set->frame_count; i++)
        nnclr_free(atomic_load(&set->cache[i]));
    nnclr_free(set->cache);
    nnclr_frame_window_free(set->window);
    for (size_t i = 0; i < set->place_count; i++)
        nnclr_free(set->places[i].labels);
    nnclr_free(set->places);
    nnclr_free(set->classes);
    nnclr_free(set->by_name);
    for (size_t f = 0; f < set->file_count; f++)
        nnclr_shard_file_close(&set->files[f]);
    nnclr_free(set->files);
    nnclr_free(set);
}

/* ---- what is in it ---- */

size_t nnclr_shard_set_count(const nnclr_shard_set *set) {
    return set->record_count;
}
size_t nnclr_shard_set_class_count(const nnclr_shard_set *set) {
    return set->class_count;
}

const char *nnclr_shard_set_class(const nnclr_shard_set *set, size_t label) {
    return set->classes[label];
}

int64_t nnclr_shard_set_find_class(const nnclr_shard_set *set, const char *name) {
    const named_class wanted = {.name = name};
    const named_class *found =
        bsearch(&wanted, set->by_name, set->class_count, sizeof *set->by_name, by_text);
    return found ? found->label : -1;
}

/* Where record i of the set is; *entry is its row in the part's index. */
static const placed_part *locate(const nnclr_shard_set *set, size_t i,
                                 const nnclr_index_entry **entry) {
    size_t low = 0, high = set->place_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (set->places[middle].first_record <= i)
            low = middle;
        else
            high = middle;
    }
    *entry = &set->places[low].part->index.entries[i - set->places[low].first_record];
    return &set->places[low];
}

static const char *name_of(const placed_part *place, const nnclr_index_entry *entry) {
    return (const char *)place->part->index.names.data + entry->name;
}

nnclr_record nnclr_shard_set_record(const nnclr_shard_set *set, size_t i) {
    const nnclr_index_entry *entry;
    const placed_part *place = locate(set, i, &entry);
    return (nnclr_record){
        .name = name_of(place, entry),
        .label = entry->label < 0 ? -1 : place->labels[entry->label],
        .width = entry->width,
        .height = entry->height,
        .codec = entry->codec,
        .size = (size_t)entry->length,
        .crc32 = entry->crc32,
    };
}

int64_t *nnclr_shard_set_labels(const nnclr_shard_set *set, nnclr_error *e) {
    int64_t *label = nnclr_alloc(set->record_count, sizeof *label, e);
    for (size_t i = 0; label && i < set->record_count; i++)
        label[i] = nnclr_shard_set_record(set, i).label;
    return label;
}

bool nnclr_shard_set_map_labels(const nnclr_shard_set *set, const char *path,
                                const nnclr_shard_set *as, const char *of, nnclr_code code,
                                int64_t *label, nnclr_error *e) {
    for (size_t i = 0; i < set->record_count; i++) {
        if (label[i] < 0)
            continue;
        const char *name = set->classes[label[i]];
        label[i] = nnclr_shard_set_find_class(as, name);
        if (label[i] < 0)
            return nnclr_fail(e, code, "%s: the class \"%s\" is not among the %zu of %s", path,
                              name, as->class_count, of);
    }
    return true;
}

size_t nnclr_shard_set_frame_count(const nnclr_shard_set *set) {
    return set->frame_count;
}

size_t nnclr_shard_set_frame(const nnclr_shard_set *set, size_t i) {
    const nnclr_index_entry *entry;
    const placed_part *place = locate(set, i, &entry);
    return place->first_frame + entry->frame;
}

bool nnclr_shard_set_pin(nnclr_shard_set *set, nnclr_error *e) {
    if (set->window)
        return true;
    uint32_t *records = nnclr_alloc_zero(set->frame_count, sizeof *records, e);
    if (!records)
        return false;
    for (size_t i = 0; i < set->record_count; i++)
        records[nnclr_shard_set_frame(set, i)]++;
    set->window = nnclr_frame_window_create(records, set->frame_count, e);
    nnclr_free(records);
    return set->window != NULL;
}

size_t nnclr_shard_set_frames_held(const nnclr_shard_set *set) {
    return set->window ? nnclr_frame_window_held(set->window) : 0;
}

nnclr_json *nnclr_shard_set_identity(const nnclr_shard_set *set, nnclr_error *e) {
    nnclr_json *array = nnclr_json_array(e);
    bool ok = array != NULL;
    for (size_t i = 0; ok && i < set->place_count; i++) {
        const nnclr_shard_part *part = set->places[i].part;
        nnclr_json *one = nnclr_json_object(e);
        ok = nnclr_json_push(array, one, e) &&
             nnclr_json_put_int(one, "records", (int64_t)part->index.count, e) &&
             nnclr_json_put_int(one, "crc32", part->index_crc, e);
    }
    return nnclr_json_if(ok, array);
}

uint64_t nnclr_shard_set_bytes(const nnclr_shard_set *set) {
    uint64_t sum = 0;
    for (size_t i = 0; i < set->place_count; i++) {
        const nnclr_seek_table *table = &set->places[i].part->table;
        for (size_t frame = 0; !set->places[i].file->plain && frame < table->count; frame++)
            sum += table->frames[frame].decompressed;
    }
    return sum;
}

uint64_t nnclr_shard_set_frames_read(const nnclr_shard_set *set) {
    return atomic_load(&set->frames_read);
}

/* ---- reading ---- */

/* A process that takes memory that is not there is killed. So each time the cache has grown by
 * GROWTH, what is left for everything else is looked at; if that is less than LEFT, the cache stays
 * as it is. */
enum { GROWTH = 16 << 20, LEFT = 256 << 20 };

static bool may_grow(nnclr_shard_set *set, uint64_t used, uint64_t size) {
    uint64_t limit = atomic_load(&set->cache_limit);
    if (size > limit || used > limit - size)
        return false;
    if (used / GROWTH == (used + size) / GROWTH || nnclr_memory_available() >= LEFT)
        return true;
    atomic_store(&set->cache_limit, used);
    return false;
}

/* Keeps a frame's content, which is then the cache's; false: there is no room, or it is there. */
static bool keep(nnclr_shard_set *set, size_t slot, unsigned char *content, uint64_t size) {
    uint64_t used = atomic_load(&set->cache_used);
    do {
        if (!may_grow(set, used, size))
            return false;
    } while (!atomic_compare_exchange_weak(&set->cache_used, &used, used + size));
    unsigned char *empty = NULL;
    if (atomic_compare_exchange_strong(&set->cache[slot], &empty, content))
        return true;
    atomic_fetch_sub(&set->cache_used, size);
    return false;
}

/* The content of a frame from its file; NULL on failure. */
static unsigned char *load_frame(nnclr_shard_set *set, const placed_part *place, size_t frame,
                                 nnclr_error *e) {
    const nnclr_seek_table *table = &place->part->table;
    const nnclr_input *input = &place->file->input;
    unsigned char *content = nnclr_alloc(table->frames[frame].decompressed, 1, e);
    if (!content)
        return NULL;
    if (nnclr_seek_table_load(table, frame, input->fd, input->name, content, e)) {
        atomic_fetch_add(&set->frames_read, 1);
        return content;
    }
    nnclr_free(content);
    return NULL;
}

static bool read_through_window(nnclr_shard_set *set, const placed_part *place,
                                const nnclr_index_entry *entry, uint32_t epoch, nnclr_buffer *out,
                                nnclr_error *e) {
    size_t slot = place->first_frame + entry->frame;
    const unsigned char *content = nnclr_frame_window_get(set->window, slot, epoch);
    if (!content) {
        unsigned char *loaded = load_frame(set, place, entry->frame, e);
        if (!loaded)
            return false;
        content = nnclr_frame_window_put(set->window, slot, loaded);
    }
    bool ok = nnclr_buffer_append(out, content + entry->offset, (size_t)entry->length, e);
    nnclr_frame_window_done(set->window, slot, epoch);
    return ok;
}

void nnclr_shard_set_pass_in_epoch(nnclr_shard_set *set, size_t i, uint32_t epoch) {
    if (set->window)
        nnclr_frame_window_pass(set->window, nnclr_shard_set_frame(set, i), epoch);
}

static bool read_from_frame(nnclr_shard_set *set, const placed_part *place,
                            const nnclr_index_entry *entry, nnclr_buffer *out, nnclr_error *e) {
    size_t slot = place->first_frame + entry->frame;
    unsigned char *content = atomic_load(&set->cache[slot]);
    if (content)
        return nnclr_buffer_append(out, content + entry->offset, (size_t)entry->length, e);

    content = load_frame(set, place, entry->frame, e);
    if (!content)
        return false;
    bool ok = nnclr_buffer_append(out, content + entry->offset, (size_t)entry->length, e);
    if (!ok || !keep(set, slot, content, place->part->table.frames[entry->frame].decompressed))
        nnclr_free(content);
    return ok;
}

static bool read_plain(const placed_part *place, const nnclr_index_entry *entry, nnclr_buffer *out,
                       nnclr_error *e) {
    const nnclr_input *input = &place->file->input;
    uint64_t offset = place->part->table.frames[entry->frame].offset + entry->offset;
    if (!nnclr_buffer_reserve(out, (size_t)entry->length, e) ||
        !nnclr_read_at(input->fd, out->data, (size_t)entry->length, offset, input->name, e))
        return false;
    out->size = (size_t)entry->length;
    out->data[out->size] = 0;
    return true;
}

bool nnclr_shard_set_read(nnclr_shard_set *set, size_t i, nnclr_buffer *out, nnclr_error *e) {
    return nnclr_shard_set_read_in_epoch(set, i, 0, out, e);
}

bool nnclr_shard_set_read_in_epoch(nnclr_shard_set *set, size_t i, uint32_t epoch,
                                   nnclr_buffer *out, nnclr_error *e) {
    const nnclr_index_entry *entry;
    const placed_part *place = locate(set, i, &entry);
    out->size = 0;
    bool ok = place->file->plain ? read_plain(place, entry, out, e)
              : set->window      ? read_through_window(set, place, entry, epoch, out, e)
                                 : read_from_frame(set, place, entry, out, e);
    if (!ok)
        return false;
    return nnclr_crc32(0, out->data, out->size) == entry->crc32 ||
           nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: record %" PRId32 " has a wrong checksum",
                      place->file->input.name, entry->number);
}

/* ---- as metadata of what is made from it ---- */

nnclr_json *nnclr_shard_set_metadata(const nnclr_shard_set *set, const nnclr_json *config,
                                     nnclr_error *e) {
    nnclr_json *metadata = nnclr_json_object(e);
    nnclr_json *data = metadata ? nnclr_shard_set_identity(set, e) : NULL;
    const bool ok =
        data &&
        nnclr_json_put_texts(metadata, "nnclr.classes", set->classes, set->class_count, e) &&
        nnclr_json_put_text(metadata, "nnclr.data", data, e) &&
        nnclr_json_put_text(metadata, "nnclr.config", config, e);
    nnclr_json_free(data);
    return nnclr_json_if(ok, metadata);
}
