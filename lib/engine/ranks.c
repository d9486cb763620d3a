#include "engine/ranks.h"

#include "base/strings.h"
#include "engine/plugin.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>

/* ---- what the environment says ---- */

static bool read_number(const char *name, int64_t low, int *out) {
    int64_t value;
    const char *text = getenv(name);
    if (!text || !nnclr_parse_int(text, low, INT_MAX, &value))
        return false;
    *out = (int)value;
    return true;
}

nnclr_launch nnclr_launch_read(void) {
    static const struct {
        const char *rank, *ranks;
    } rows[] = {
        {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
        {"PMI_RANK", "PMI_SIZE"},
        {"PMIX_RANK", "SLURM_STEP_NUM_TASKS"},
    };
    nnclr_launch launch = {0, 1};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!read_number(rows[i].rank, 0, &launch.rank))
            continue;
        if (!read_number(rows[i].ranks, 1, &launch.ranks))
            launch.ranks = 2; /* there may be more, and MPI will say */
        return launch;
    }
    return launch;
}

/* ---- the library ---- */

static const char plugin_name[] = "nnclr-mpi.so";

static bool find_plugin(char path[PATH_MAX], int ranks, nnclr_error *e) {
    char folder[PATH_MAX];
    if (nnclr_plugin_find(plugin_name, folder, path))
        return true;
    if (!folder[0])
        return nnclr_fail(e, NNCLR_ERROR_MISSING,
                          "the folder of this program cannot be found in /proc");
    return nnclr_fail(e, NNCLR_ERROR_MISSING,
                      "MPI started %d ranks, but neither %s nor %s/../lib/nnclr has %s: \"make "
                      "MPI=1\" builds it, and \"make install MPI=1\" installs it",
                      ranks, folder, folder, plugin_name);
}

static const nnclr_ranks_plugin *load_plugin(const char *path, nnclr_error *e) {
    /* MPI cannot be unloaded. */
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        nnclr_fail(e, NNCLR_ERROR_MISSING, "%s; Debian has MPI in the package libopenmpi3",
                   dlerror());
        return NULL;
    }
    const nnclr_ranks_plugin *plugin = dlsym(library, "nnclr_mpi");
    if (plugin && plugin->size == sizeof(nnclr_communicator))
        return plugin;
    nnclr_fail(e, NNCLR_ERROR_MISSING,
               "%s does not belong to this program: build both with \"make MPI=1\"", path);
    return NULL;
}

bool nnclr_ranks_connect(nnclr_communicator *c, const nnclr_launch *launch, nnclr_error *e) {
    *c = nnclr_communicator_self();
    if (launch->ranks == 1)
        return true;
    char path[PATH_MAX];
    const nnclr_ranks_plugin *plugin =
        find_plugin(path, launch->ranks, e) ? load_plugin(path, e) : NULL;
    return plugin && plugin->open(c, e);
}
