#include "engine/engine.h"

#include <string.h>

static const char *const choice_names[] = {"auto", "cpu", "amx", "cuda"};
static const char *const precision_names[] = {"auto", "bf16", "f32", "f64"};

static const nnclr_engine_table *const tables[] = {&nnclr_engine_cpu_f32, &nnclr_engine_cpu_f64};

enum { TABLES = sizeof tables / sizeof tables[0] };

static bool has_engine(const char *name) {
    for (int i = 0; i < TABLES; i++)
        if (strcmp(tables[i]->name, name) == 0)
            return true;
    return false;
}

/* The first table that agrees; "auto" agrees with everything. */
static const nnclr_engine_table *find_table(const char *name, const char *precision) {
    for (int i = 0; i < TABLES; i++)
        if ((strcmp(name, "auto") == 0 || strcmp(tables[i]->name, name) == 0) &&
            (strcmp(precision, "auto") == 0 || strcmp(tables[i]->precision, precision) == 0))
            return tables[i];
    return NULL;
}

bool nnclr_engine_open(nnclr_engine *g, nnclr_engine_choice choice, nnclr_precision precision,
                       nnclr_pool *pool, nnclr_error *e) {
    *g = (nnclr_engine){0};
    const char *name = choice_names[choice], *grade = precision_names[precision];
    if (choice != NNCLR_ENGINE_AUTO && !has_engine(name))
        return nnclr_fail(e, NNCLR_ERROR_MISSING,
                          "engine %s is not built into this program; it offers: cpu", name);
    const nnclr_engine_table *table = find_table(name, grade);
    if (!table)
        return nnclr_fail(e, NNCLR_ERROR_MISSING,
                          "precision %s is not offered by engine cpu; it offers: f32, f64", grade);
    *g = (nnclr_engine){.table = table, .pool = pool};
    if (table->open(g, e))
        return true;
    *g = (nnclr_engine){0};
    return false;
}

void nnclr_engine_close(nnclr_engine *g) {
    if (g->table)
        g->table->close(g);
    *g = (nnclr_engine){0};
}
