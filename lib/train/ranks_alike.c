#include "train/ranks_alike.h"

#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"

enum { CHUNK = 1 << 16 }; /* reals that pass through host memory at a time */

/* ---- at the start ---- */

/* NULL: failed already. */
static bool hash_json(const nnclr_json *json, uint64_t *hash, nnclr_error *e) {
    nnclr_buffer text = {0};
    const bool ok = json && nnclr_json_print(json, false, &text, e);
    *hash = ok ? nnclr_hash(0, text.data, text.size) : 0;
    nnclr_buffer_free(&text);
    return ok;
}

static bool hash_config(const nnclr_config *config, uint64_t *hash, nnclr_error *e) {
    nnclr_json *json = nnclr_config_to_json(config, e);
    const bool ok = hash_json(json, hash, e);
    nnclr_json_free(json);
    return ok;
}

static uint64_t hash_engine(const nnclr_engine *g) {
    const char *parts[] = {g->table->name, g->table->precision, g->vectors ? g->vectors : ""};
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        hash = nnclr_hash(hash, parts[i], strlen(parts[i]) + 1);
    return hash;
}

bool nnclr_ranks_start_alike(nnclr_communicator *c, const nnclr_checkpoint_info *info,
                             const nnclr_engine *engine, nnclr_error *e) {
    uint64_t config = 0, data = 0;
    if (c->ranks == 1)
        return true;
    if (hash_config(&info->config, &config, e))
        hash_json(info->identity, &data, e);
    return nnclr_agree(c, NULL, e) && nnclr_agree_on(c, config, "the configuration", e) &&
           nnclr_agree_on(c, data, "the data", e) &&
           nnclr_agree_on(c, hash_engine(engine), "the engine, or what it uses of the CPU", e);
}

/* ---- on the way ---- */

/* A hash, with room for CHUNK reals that go into it. */
typedef struct hasher {
    nnclr_engine *engine;
    void *room;
    uint64_t hash;
} hasher;

static void add_reals(hasher *h, const void *reals, size_t count) {
    const nnclr_engine_table *table = h->engine->table;
    for (size_t first = 0; reals && first < count; first += CHUNK) {
        const size_t n = nnclr_min(count - first, (size_t)CHUNK);
        table->get(h->engine, nnclr_real_at(h->engine, reals, first), n, table->real, h->room);
        h->hash = nnclr_hash(h->hash, h->room, n * nnclr_real_bytes(h->engine));
    }
}

static void add_support_set(hasher *h, const nnclr_support_set *s) {
    const size_t column = (size_t)s->m * sizeof(int64_t);
    add_reals(h, h->engine->table->search_rows(h->engine, s->search), (size_t)s->m * (size_t)s->d);
    h->hash = nnclr_hash(h->hash, s->record, column);
    h->hash = nnclr_hash(h->hash, s->label, column);
    h->hash = nnclr_hash(h->hash, s->step, column);
    h->hash = nnclr_hash(h->hash, &s->cursor, sizeof s->cursor);
}

bool nnclr_ranks_are_alike(nnclr_communicator *c, const nnclr_run_state *state, const char *what,
                           nnclr_error *e) {
    const nnclr_parameters *p = state->parameters;
    const size_t count = nnclr_network_parameter_count(p->net);
    if (c->ranks == 1)
        return true;
    hasher h = {.engine = p->engine, .room = nnclr_alloc(CHUNK, nnclr_real_bytes(p->engine), e)};
    if (!nnclr_agree(c, NULL, e)) {
        nnclr_free(h.room);
        return false;
    }
    h.hash = nnclr_hash(0, &state->info->step, sizeof state->info->step);
    add_reals(&h, p->weights, count);
    add_reals(&h, p->velocity, count);
    add_reals(&h, p->target, count);
    add_reals(&h, p->statistics, nnclr_network_statistic_count(p->net));
    if (state->support)
        add_support_set(&h, state->support);
    nnclr_free(h.room);
    return nnclr_agree_on(c, h.hash, what, e);
}
