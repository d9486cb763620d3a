#include "engine/plugin.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/numbers.h"

bool nnclr_plugin_find(const char *name, char folder[PATH_MAX], char path[PATH_MAX]) {
    static const char *const places[] = {"", "../lib/nnclr/"};
    const ssize_t size = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    folder[nnclr_max(size, 0)] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    for (size_t i = 0; slash && i < sizeof places / sizeof *places; i++) {
        const int length = snprintf(path, PATH_MAX, "%s/%s%s", folder, places[i], name);
        if (length < PATH_MAX && access(path, F_OK) == 0)
            return true;
    }
    return false;
}
