#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>

const char *const nnclr_engine_names[] = {[NNCLR_ENGINE_AUTO] = "auto",
                                          [NNCLR_ENGINE_CPU] = "cpu",
                                          [NNCLR_ENGINE_AMX] = "amx",
                                          [NNCLR_ENGINE_CUDA] = "cuda",
                                          NULL};
const char *const nnclr_precision_names[] = {[NNCLR_PRECISION_AUTO] = "auto",
                                             [NNCLR_PRECISION_BF16] = "bf16",
                                             [NNCLR_PRECISION_F32] = "f32",
                                             [NNCLR_PRECISION_F64] = "f64",
                                             NULL};

/* In the order in which "auto" tries them. */
static const nnclr_engine_table *const tables[] = {&nnclr_engine_amx_bf16, &nnclr_engine_cpu_tiles,
                                                   &nnclr_engine_cpu_f32, &nnclr_engine_cpu_f64,
                                                   &nnclr_engine_cpu_bf16};

enum { TABLES = sizeof tables / sizeof tables[0] };

/* Whether a table is what was asked for; if no precision was, the engine's usual one is. */
static bool agrees(const nnclr_engine_table *table, nnclr_engine_choice choice,
                   nnclr_precision precision) {
    if (precision == NNCLR_PRECISION_AUTO)
        precision = strcmp(table->name, "amx") == 0 ? NNCLR_PRECISION_BF16 : NNCLR_PRECISION_F32;
    return (choice == NNCLR_ENGINE_AUTO || strcmp(table->name, nnclr_engine_names[choice]) == 0) &&
           strcmp(table->precision, nnclr_precision_names[precision]) == 0;
}

static bool has_engine(nnclr_engine_choice choice) {
    for (int i = 0; i < TABLES; i++)
        if (agrees(tables[i], choice, NNCLR_PRECISION_AUTO))
            return true;
    return false;
}

/* What "auto" stands for. */
static bool read_environment(nnclr_engine_choice *choice, nnclr_error *e) {
    const char *name = getenv("NNCLR_ENGINE");
    for (int i = 0; name && *name; i++) {
        if (!nnclr_engine_names[i])
            return nnclr_fail(e, NNCLR_ERROR_USAGE,
                              "NNCLR_ENGINE=%s is none of auto, cpu, amx, cuda", name);
        if (strcmp(name, nnclr_engine_names[i]) == 0) {
            *choice = (nnclr_engine_choice)i;
            break;
        }
    }
    return true;
}

bool nnclr_engine_open(nnclr_engine *g, nnclr_engine_choice choice, nnclr_precision precision,
                       nnclr_pool *pool, nnclr_error *e) {
    *g = (nnclr_engine){0};
    if (choice == NNCLR_ENGINE_AUTO && !read_environment(&choice, e))
        return false;
    const char *name = nnclr_engine_names[choice], *grade = nnclr_precision_names[precision];
    if (!has_engine(choice))
        return nnclr_fail(e, NNCLR_ERROR_MISSING,
                          "engine %s is not built into this program; it offers: cpu, amx", name);
    nnclr_error refused = NNCLR_NO_ERROR;
    for (int i = 0; i < TABLES; i++) {
        if (!agrees(tables[i], choice, precision))
            continue;
        *g = (nnclr_engine){.table = tables[i], .pool = pool};
        if (tables[i]->open(g, &refused))
            return true;
        *g = (nnclr_engine){0};
        /* If several may serve, only what this machine lacks is passed over. */
        if (refused.code != NNCLR_ERROR_MISSING)
            break;
    }
    if (refused.code == NNCLR_OK)
        nnclr_fail(&refused, NNCLR_ERROR_MISSING,
                   "precision %s is not offered by engine %s; it offers: %s", grade, name,
                   choice == NNCLR_ENGINE_AMX ? "bf16" : "f32, f64, bf16");
    *e = refused;
    return false;
}

void nnclr_engine_close(nnclr_engine *g) {
    if (g->table)
        g->table->close(g);
    *g = (nnclr_engine){0};
}
