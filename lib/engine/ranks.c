#include "engine/ranks.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/numbers.h"
#include "base/strings.h"

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

/* Path of the plugin; NULL, with *e, if there is none. */
static const char *find_plugin(nnclr_buffer *path, int ranks, nnclr_error *e) {
    static const char *const places[] = {"", "../lib/nnclr/"};
    char folder[PATH_MAX];
    const ssize_t size = readlink("/proc/self/exe", folder, sizeof folder - 1);
    folder[nnclr_max(size, 0)] = '\0';
    char *slash = strrchr(folder, '/');
    if (!slash) {
        nnclr_fail(e, NNCLR_ERROR_MISSING, "the folder of this program cannot be found in /proc");
        return NULL;
    }
    *slash = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        path->size = 0;
        if (!nnclr_buffer_printf(path, e, "%s/%s%s", folder, places[i], plugin_name))
            return NULL;
        if (access((const char *)path->data, F_OK) == 0)
            return (const char *)path->data;
    }
    nnclr_fail(e, NNCLR_ERROR_MISSING,
               "MPI started %d ranks, but neither %s nor %s/../lib/nnclr has %s: \"make MPI=1\" "
               "builds it, and \"make install MPI=1\" installs it",
               ranks, folder, folder, plugin_name);
    return NULL;
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
    nnclr_buffer buffer = {0};
    const char *path = find_plugin(&buffer, launch->ranks, e);
    const nnclr_ranks_plugin *plugin = path ? load_plugin(path, e) : NULL;
    nnclr_buffer_free(&buffer);
    return plugin && plugin->open(c, e);
}
