#include "train/initial_state.h"

#include <string.h>

#include "train/checkpoint.h"
#include "train/checkpoint_layout.h"
#include "train/resnet_weights.h"

enum { ANY_SIZE = 64 }; /* of pictures: no weight depends on it */

typedef struct source {
    nnclr_tensor_reader *reader;
    const char *prefix;  /* asked for; NULL: none */
    nnclr_layout layout; /* of the run */
} source;

static bool starts_with(const char *name, const char *start) {
    return strncmp(name, start, strlen(start)) == 0;
}

static bool has_any(const nnclr_tensor_reader *reader, const char *start) {
    for (size_t i = 0; i < nnclr_tensor_reader_count(reader); i++)
        if (starts_with(nnclr_tensor_reader_info(reader, i)->name, start))
            return true;
    return false;
}

/* A tensor of the file whose name starts so and that the run's network does not have; NULL: there
 * is none. */
static const char *find_foreign(const source *from, const char *start) {
    for (size_t i = 0; i < nnclr_tensor_reader_count(from->reader); i++) {
        const char *name = nnclr_tensor_reader_info(from->reader, i)->name;
        bool known = !starts_with(name, start);
        for (size_t j = 0; j < from->layout.count && !known; j++)
            known = strcmp(from->layout.entries[j].name, name) == 0;
        if (!known)
            return name;
    }
    return NULL;
}

/* The first entry of the part that the file does not have in this shape; NULL: all are there. Batch
 * counters influence nothing, and may be missing. */
static const nnclr_layout_entry *find_misfit(const source *from, const char *part) {
    for (size_t i = 0; i < from->layout.count; i++) {
        const nnclr_layout_entry *entry = &from->layout.entries[i];
        if (!starts_with(entry->name, part))
            continue;
        const nnclr_tensor_info *info = nnclr_tensor_reader_find(from->reader, entry->name);
        bool optional = entry->slot == NNCLR_SLOT_BATCHES;
        if (info ? !nnclr_layout_fits(entry, info) : !optional)
            return entry;
    }
    return NULL;
}

static bool load_part(const source *from, const char *part, nnclr_parameters *p, nnclr_error *e) {
    for (size_t i = 0; i < from->layout.count; i++) {
        const nnclr_layout_entry *entry = &from->layout.entries[i];
        const nnclr_tensor_info *info = starts_with(entry->name, part)
                                            ? nnclr_tensor_reader_find(from->reader, entry->name)
                                            : NULL;
        if (info && !nnclr_checkpoint_load_entry(from->reader, info, entry, p, e))
            return false;
    }
    return true;
}

/* The backbone that the file holds completely; a file without one is refused. */
static bool recognise(const source *from, const nnclr_weight_names *names, nnclr_model_spec *model,
                      nnclr_error *e) {
    *model = (nnclr_model_spec){.size = ANY_SIZE};
    nnclr_network *net =
        nnclr_weights_recognise(from->reader, names, model, e) ? nnclr_model_build(model, e) : NULL;
    bool ok = net && nnclr_weights_check(from->reader, names, net, e);
    nnclr_network_free(net);
    return ok;
}

static bool load_backbone(const source *from, nnclr_parameters *p, nnclr_error *e) {
    nnclr_weight_names names;
    nnclr_model_spec is;
    nnclr_error misfit = NNCLR_NO_ERROR;
    if (!nnclr_weight_names_find(from->reader, from->prefix, &names, e))
        return false;
    if (nnclr_weights_check(from->reader, &names, p->net, &misfit))
        return nnclr_weights_load(from->reader, &names, p, e);
    if (misfit.code != NNCLR_ERROR_INPUT) {
        *e = misfit;
        return false;
    }
    return recognise(from, &names, &is, e) &&
           nnclr_fail(e, NNCLR_ERROR_USAGE,
                      "%s; its backbone is not that of this run: give --arch %s --width %g --stem "
                      "%s",
                      misfit.message, nnclr_arch_names[is.arch], is.width,
                      nnclr_stem_names[is.stem]);
}

static bool load_head(const source *from, const char *part, nnclr_parameters *p, nnclr_taken *taken,
                      nnclr_error *e) {
    bool wanted = false;
    for (size_t i = 0; i < from->layout.count; i++)
        wanted = wanted || starts_with(from->layout.entries[i].name, part);
    *taken = !wanted                                               ? NNCLR_UNWANTED
             : !has_any(from->reader, part)                        ? NNCLR_ABSENT
             : find_misfit(from, part) || find_foreign(from, part) ? NNCLR_MISFIT
                                                                   : NNCLR_TAKEN;
    return *taken != NNCLR_TAKEN || load_part(from, part, p, e);
}

/* Whether the file names its data, and they are not the run's. */
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
        !of_other_data(from->reader, identity, &state->foreign_rows, e))
        return false;
    nnclr_support_set_renew(s, state->foreign_rows);
    return true;
}

nnclr_tensor_reader *nnclr_initial_state_open(const char *path, const char *prefix,
                                              nnclr_error *e) {
    nnclr_weight_names names;
    nnclr_tensor_reader *reader = nnclr_tensor_reader_open(path, e);
    if (!reader)
        return NULL;
    const bool own = nnclr_tensor_reader_metadata(reader, "nnclr.kind") != NULL;
    if ((!own || nnclr_tensor_reader_expect(reader, "checkpoint", e)) &&
        nnclr_weight_names_find(reader, prefix, &names, e))
        return reader;
    nnclr_tensor_reader_close(reader);
    return NULL;
}

bool nnclr_initial_state_load(nnclr_tensor_reader *reader, const char *prefix,
                              const nnclr_json *identity, nnclr_parameters *p, nnclr_support_set *s,
                              nnclr_initial_state *state, nnclr_error *e) {
    source from = {.reader = reader, .prefix = prefix};
    *state = (nnclr_initial_state){0};
    bool ok = nnclr_layout_make(p->net, p->engine->table->real, false, s, &from.layout, e) &&
              load_backbone(&from, p, e) &&
              load_head(&from, "projector.", p, &state->projector, e) &&
              load_head(&from, "predictor.", p, &state->predictor, e) &&
              load_queue(&from, identity, s, state, e) && p->engine->table->sync(p->engine, e);
    nnclr_layout_free(&from.layout);
    return ok;
}
