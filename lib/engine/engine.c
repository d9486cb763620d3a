#include "engine/engine.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/cuda/cuda.h"
#include "engine/plugin.h"

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

/* In the order in which "auto" tries them, if there is no GPU. */
static const nnclr_engine_table *const tables[] = {&nnclr_engine_amx_bf16, &nnclr_engine_cpu_tiles,
                                                   &nnclr_engine_cpu_f32, &nnclr_engine_cpu_f64,
                                                   &nnclr_engine_cpu_bf16};

enum { TABLES = sizeof tables / sizeof tables[0] };

/* Whether a table is what was asked for; if no precision was, the engine's usual one is. */
static bool agrees(const nnclr_engine_table *table, nnclr_engine_choice choice,
                   nnclr_precision precision) {
    if (precision == NNCLR_PRECISION_AUTO)
        precision = strcmp(table->name, "cpu") == 0 ? NNCLR_PRECISION_F32 : NNCLR_PRECISION_BF16;
    return (choice == NNCLR_ENGINE_AUTO || strcmp(table->name, nnclr_engine_names[choice]) == 0) &&
           strcmp(table->precision, nnclr_precision_names[precision]) == 0;
}

/* ---- the engine for GPUs, a library of its own ---- */

/* Loaded once: CUDA cannot be unloaded. NULL: it cannot be, with *e; or it was not built. */
static const nnclr_cuda_plugin *load_cuda(nnclr_error *e) {
    static const nnclr_cuda_plugin *loaded;
    char folder[PATH_MAX], path[PATH_MAX];
    if (loaded)
        return loaded;
    if (!nnclr_plugin_find("nnclr-cuda.so", folder, path)) {
        nnclr_fail(e, NNCLR_ERROR_MISSING,
                   "engine cuda is not built into this program; it offers: cpu, amx");
        return NULL;
    }
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        nnclr_fail(e, NNCLR_ERROR_MISSING,
                   "engine cuda cannot be loaded: %s; LD_LIBRARY_PATH says where the libraries of "
                   "CUDA and cuDNN are",
                   dlerror());
        return NULL;
    }
    const nnclr_cuda_plugin *plugin = dlsym(library, "nnclr_cuda");
    if (!plugin || plugin->size != sizeof(nnclr_engine_table)) {
        nnclr_fail(e, NNCLR_ERROR_MISSING,
                   "%s does not belong to this program: build both with \"make CUDA=1\"", path);
        return NULL;
    }
    return loaded = plugin;
}

/* False, with *e, if there is none of this precision here. */
static bool open_cuda(nnclr_engine *g, nnclr_precision precision, nnclr_pool *pool,
                      nnclr_error *e) {
    const nnclr_cuda_plugin *plugin = load_cuda(e);
    for (int i = 0; plugin && i < NNCLR_CUDA_TABLES; i++) {
        if (!agrees(plugin->tables[i], NNCLR_ENGINE_CUDA, precision))
            continue;
        *g = (nnclr_engine){.table = plugin->tables[i], .pool = pool};
        if (g->table->open(g, e))
            return true;
        *g = (nnclr_engine){0};
        return false;
    }
    return plugin ? nnclr_fail(e, NNCLR_ERROR_MISSING,
                               "precision %s is not offered by engine cuda; it offers: bf16, f32",
                               nnclr_precision_names[precision])
                  : false;
}

/* Whether the driver of a GPU is loaded: without it, "auto" need not ask CUDA. */
static bool has_driver(void) {
    return access("/dev/nvidiactl", F_OK) == 0;
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
    if (choice == NNCLR_ENGINE_CUDA)
        return open_cuda(g, precision, pool, e);
    nnclr_error refused = NNCLR_NO_ERROR;
    if (choice == NNCLR_ENGINE_AUTO && has_driver()) {
        if (open_cuda(g, precision, pool, &refused))
            return true;
        if (refused.code != NNCLR_ERROR_MISSING) {
            *e = refused;
            return false;
        }
        refused = (nnclr_error)NNCLR_NO_ERROR;
    }
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
