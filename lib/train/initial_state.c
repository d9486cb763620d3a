#include "train/initial_state.h"

#include <string.h>

#include "train/checkpoint.h"
#include "train/checkpoint_layout.h"

#define BACKBONE "backbone."

typedef struct source {
    nnclr_tensor_reader *reader;
    nnclr_layout layout; /* of the run */
    bool bare;           /* the backbone's names come without "backbone." */
} source;

static bool starts_with(const char *name, const char *start) {
    return strncmp(name, start, strlen(start)) == 0;
}

/* How the file would call it. */
static const char *name_of(const source *from, const nnclr_layout_entry *entry) {
    bool cut = from->bare && starts_with(entry->name, BACKBONE);
    return entry->name + (cut ? strlen(BACKBONE) : 0);
}

static bool has_any(const nnclr_tensor_reader *reader, const char *start) {
    for (size_t i = 0; i < nnclr_tensor_reader_count(reader); i++)
        if (starts_with(nnclr_tensor_reader_info(reader, i)->name, start))
            return true;
    return false;
}

/* A tensor of the file whose name starts so, and which the run's network does not have; NULL: there
 * is none. */
static const char *find_stranger(const source *from, const char *start) {
    for (size_t i = 0; i < nnclr_tensor_reader_count(from->reader); i++) {
        const char *name = nnclr_tensor_reader_info(from->reader, i)->name;
        bool known = !starts_with(name, start);
        for (size_t j = 0; j < from->layout.count && !known; j++)
            known = strcmp(name_of(from, &from->layout.entries[j]), name) == 0;
        if (!known)
            return name;
    }
    return NULL;
}

/* The first entry of the part that the file does not have so; NULL: all are there. Counters of
 * batches influence nothing, and may be missing. */
static const nnclr_layout_entry *find_misfit(const source *from, const char *part) {
    for (size_t i = 0; i < from->layout.count; i++) {
        const nnclr_layout_entry *entry = &from->layout.entries[i];
        if (!starts_with(entry->name, part))
            continue;
        const nnclr_tensor_info *info =
            nnclr_tensor_reader_find(from->reader, name_of(from, entry));
        bool optional = entry->slot == NNCLR_SLOT_BATCHES;
        if (info ? !nnclr_layout_fits(entry, info) : !optional)
            return entry;
    }
    return NULL;
}

static bool load_part(const source *from, const char *part, nnclr_parameters *p, nnclr_error *e) {
    for (size_t i = 0; i < from->layout.count; i++) {
        const nnclr_layout_entry *entry = &from->layout.entries[i];
        const nnclr_tensor_info *info =
            starts_with(entry->name, part)
                ? nnclr_tensor_reader_find(from->reader, name_of(from, entry))
                : NULL;
        if (info && !nnclr_checkpoint_load_entry(from->reader, info, entry, p, e))
            return false;
    }
    return true;
}

static bool load_backbone(const source *from, nnclr_parameters *p, nnclr_error *e) {
    const nnclr_layout_entry *misfit = find_misfit(from, BACKBONE);
    const char *stranger = find_stranger(from, from->bare ? "layer" : BACKBONE);
    if (!misfit && !stranger)
        return load_part(from, BACKBONE, p, e);
    return nnclr_fail(e, NNCLR_ERROR_USAGE,
                      "%s: its backbone is not that of this run (%s %s): give the --arch, --width "
                      "and --stem that it has",
                      nnclr_tensor_reader_path(from->reader),
                      misfit ? "no fitting tensor" : "one too many,",
                      misfit ? name_of(from, misfit) : stranger);
}

static bool load_head(const source *from, const char *part, nnclr_parameters *p, nnclr_taken *taken,
                      nnclr_error *e) {
    bool wanted = false;
    for (size_t i = 0; i < from->layout.count; i++)
        wanted = wanted || starts_with(from->layout.entries[i].name, part);
    *taken = !wanted                                                ? NNCLR_UNWANTED
             : !has_any(from->reader, part)                         ? NNCLR_ABSENT
             : find_misfit(from, part) || find_stranger(from, part) ? NNCLR_MISFIT
                                                                    : NNCLR_TAKEN;
    return *taken != NNCLR_TAKEN || load_part(from, part, p, e);
}

/* Whether the file tells its data, and these are others. */
static bool of_other_data(const nnclr_tensor_reader *reader, const nnclr_json *identity,
                          bool *other, nnclr_error *e) {
    const char *told = nnclr_tensor_reader_metadata(reader, "nnclr.data");
    nnclr_buffer ours = {0};
    bool ok = nnclr_json_print(identity, false, &ours, e);
    *other = ok && told && strcmp(told, (const char *)ours.data) != 0;
    nnclr_buffer_free(&ours);
    return ok;
}

static bool load_queue(const source *from, const nnclr_json *identity, nnclr_support_set *s,
                       nnclr_initial_state *state, nnclr_error *e) {
    static const char part[] = "queue.";
    state->queue = !s                             ? NNCLR_UNWANTED
                   : !has_any(from->reader, part) ? NNCLR_ABSENT
                   : find_misfit(from, part)      ? NNCLR_MISFIT
                                                  : NNCLR_TAKEN;
    if (state->queue != NNCLR_TAKEN)
        return true;
    if (!nnclr_checkpoint_load_support_set(from->reader, NULL, s, e) ||
        !of_other_data(from->reader, identity, &state->strange_rows, e))
        return false;
    for (int row = 0; row < s->m; row++) {
        if (state->strange_rows)
            s->record[row] = s->label[row] = -1;
        s->step[row] = s->record[row] < 0 ? -1 : 0;
    }
    return true;
}

nnclr_tensor_reader *nnclr_initial_state_open(const char *path, nnclr_error *e) {
    nnclr_tensor_reader *reader = nnclr_tensor_reader_open(path, e);
    if (!reader || !nnclr_tensor_reader_metadata(reader, "nnclr.kind") ||
        nnclr_tensor_reader_expect(reader, "checkpoint", e))
        return reader;
    nnclr_tensor_reader_close(reader);
    return NULL;
}

bool nnclr_initial_state_load(nnclr_tensor_reader *reader, const nnclr_json *identity,
                              nnclr_parameters *p, nnclr_support_set *s, nnclr_initial_state *state,
                              nnclr_error *e) {
    source from = {.reader = reader, .bare = !has_any(reader, BACKBONE)};
    *state = (nnclr_initial_state){0};
    bool ok = nnclr_layout_make(p->net, p->engine->table->real, false, s, &from.layout, e) &&
              load_backbone(&from, p, e) &&
              load_head(&from, "projector.", p, &state->projector, e) &&
              load_head(&from, "predictor.", p, &state->predictor, e) &&
              load_queue(&from, identity, s, state, e) && p->engine->table->sync(p->engine, e);
    nnclr_layout_free(&from.layout);
    return ok;
}
