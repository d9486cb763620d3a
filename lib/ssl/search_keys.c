#include "ssl/search_keys.h"

#include <math.h>

#include "base/memory.h"
#include "base/numbers.h"

enum { A = NNCLR_APPEARANCE, CHUNK = 512 /* rows at a time */ };

static size_t place_bytes(const nnclr_engine *engine, int width) {
    return CHUNK * (size_t)width * nnclr_real_bytes(engine);
}

bool nnclr_search_keys_create(nnclr_search_keys *keys, nnclr_engine *engine, int m, int d,
                              const nnclr_appearances *appearances, double share, nnclr_error *e) {
    const int width = d + A;
    *keys = (nnclr_search_keys){.engine = engine,
                                .appearances = appearances,
                                .d = d,
                                .width = width,
                                .factor = {sqrt(1 - share), sqrt(share)}};
    if ((keys->search = engine->table->search_create(engine, m, width, e)) &&
        (keys->rows = nnclr_alloc(CHUNK, (size_t)d * sizeof *keys->rows, e)) &&
        (keys->keys = nnclr_alloc(CHUNK, (size_t)width * sizeof *keys->keys, e)) &&
        (keys->place = engine->table->arena_create(engine, place_bytes(engine, width), e)))
        return true;
    nnclr_search_keys_free(keys);
    return false;
}

void nnclr_search_keys_free(nnclr_search_keys *keys) {
    if (keys->place)
        keys->engine->table->arena_free(keys->engine, keys->place,
                                        place_bytes(keys->engine, keys->width));
    nnclr_free(keys->keys);
    nnclr_free(keys->rows);
    if (keys->search)
        keys->engine->table->search_free(keys->engine, keys->search);
    *keys = (nnclr_search_keys){0};
}

size_t nnclr_search_keys_bytes(const nnclr_engine *engine, int m, int d) {
    const size_t width = (size_t)d + A;
    return (size_t)m * width * nnclr_real_bytes(engine) + place_bytes(engine, (int)width) +
           CHUNK * ((size_t)d + width) * sizeof(double);
}

/* Of rows without a picture, zeros. */
static void make_key(const nnclr_search_keys *keys, const double *z, int64_t record, double *key) {
    const size_t d = (size_t)keys->d;
    const float *a = record < 0 ? NULL : keys->appearances->rows + (size_t)record * A;
    double squares = 0;
    for (size_t j = 0; j < d + A; j++) {
        key[j] = !a ? 0 : j < d ? keys->factor[0] * z[j] : keys->factor[1] * a[j - d];
        squares += key[j] * key[j];
    }
    for (size_t j = 0; j < d + A && squares > 0; j++)
        key[j] /= sqrt(squares);
}

/* At most a chunk, to `place`. */
static void make_keys(nnclr_search_keys *keys, const void *rows, const int64_t *record, int count) {
    const nnclr_engine_table *table = keys->engine->table;
    const size_t d = (size_t)keys->d, width = (size_t)keys->width;
    table->get(keys->engine, rows, (size_t)count * d, NNCLR_F64, keys->rows);
    for (int i = 0; i < count; i++)
        make_key(keys, keys->rows + (size_t)i * d, record[i], keys->keys + (size_t)i * width);
    table->put(keys->engine, keys->place, (size_t)count * width, NNCLR_F64, keys->keys);
}

void nnclr_search_keys_put(nnclr_search_keys *keys, int first, int count, const void *rows,
                           const int64_t *record) {
    for (int done = 0, now; done < count; done += now) {
        now = nnclr_min(count - done, CHUNK);
        make_keys(keys, nnclr_real_at(keys->engine, rows, (size_t)done * (size_t)keys->d),
                  record + done, now);
        keys->engine->table->search_update(keys->engine, keys->search, first + done, now,
                                           keys->place);
    }
}

void nnclr_search_keys_nearest(nnclr_search_keys *keys, const void *queries, const int64_t *record,
                               int n, int k, const nnclr_exclusion *exclude, void *picks,
                               void *scores) {
    for (int done = 0, now; done < n; done += now) {
        const size_t before = (size_t)done * (size_t)k;
        nnclr_exclusion rest;
        if (exclude)
            rest = (nnclr_exclusion){exclude->query + done, exclude->row};
        now = nnclr_min(n - done, CHUNK);
        make_keys(keys, nnclr_real_at(keys->engine, queries, (size_t)done * (size_t)keys->d),
                  record + done, now);
        keys->engine->table->search_nearest(keys->engine, keys->search, keys->place, now, k,
                                            exclude ? &rest : NULL, (int32_t *)picks + before,
                                            nnclr_real_at(keys->engine, scores, before));
    }
}
