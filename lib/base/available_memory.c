#include "base/available_memory.h"
#include "base/numbers.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The names of a control group's files, in each version. */
typedef struct cgroup_files {
    const char *limit, *used, *inactive, *active;
} cgroup_files;

static const cgroup_files version_1 = {"memory.limit_in_bytes", "memory.usage_in_bytes",
                                       "total_inactive_file", "total_active_file"};
static const cgroup_files version_2 = {"memory.max", "memory.current", "inactive_file",
                                       "active_file"};

static FILE *open_in(const char *folder, const char *name) {
    char path[PATH_MAX];
    int size = snprintf(path, sizeof path, "%s/%s", folder, name);
    return size > 0 && (size_t)size < sizeof path ? fopen(path, "re") : NULL;
}

/* The number that a file consists of; SIZE_MAX: no such file, or "max". */
static size_t read_number(const char *folder, const char *name) {
    unsigned long long value;
    FILE *file = open_in(folder, name);
    if (!file)
        return SIZE_MAX;
    bool read = fscanf(file, "%llu", &value) == 1;
    fclose(file);
    return read && value < SIZE_MAX ? (size_t)value : SIZE_MAX;
}

/* Pages of files, which are counted as used and given back when they are needed. */
static size_t droppable(const char *folder, const cgroup_files *files) {
    char line[200], key[64];
    unsigned long long value;
    size_t sum = 0;
    FILE *file = open_in(folder, "memory.stat");
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "%63s %llu", key, &value) == 2 &&
            (strcmp(key, files->inactive) == 0 || strcmp(key, files->active) == 0))
            sum += (size_t)value;
    fclose(file);
    return sum;
}

static size_t in_group(const char *folder, const cgroup_files *files) {
    size_t limit = read_number(folder, files->limit), used = read_number(folder, files->used);
    if (limit == SIZE_MAX || used == SIZE_MAX)
        return SIZE_MAX;
    used -= nnclr_min(used, droppable(folder, files));
    return used < limit ? limit - used : 0;
}

/* The group at `path` below `root` and all above it, each of which may have a limit. */
static size_t in_hierarchy(const char *root, const char *path, const cgroup_files *files) {
    char folder[PATH_MAX];
    size_t available = SIZE_MAX, bare = strlen(root);
    int size = snprintf(folder, sizeof folder, "%s%s", root, path);
    if (size < 0 || (size_t)size >= sizeof folder)
        return SIZE_MAX;
    for (;;) {
        available = nnclr_min(available, in_group(folder, files));
        char *slash = strrchr(folder + bare, '/');
        if (!slash)
            return available;
        *slash = '\0';
    }
}

/* Whether the list of controllers, joined by commas, has memory. */
static bool has_memory(const char *controllers) {
    for (const char *p = controllers; *p; p += strcspn(p, ",") + (p[strcspn(p, ",")] == ','))
        if (strcspn(p, ",") == strlen("memory") && strncmp(p, "memory", strlen("memory")) == 0)
            return true;
    return false;
}

size_t nnclr_memory_available_in_cgroups(const char *membership, const char *root) {
    char line[PATH_MAX + 200], below[PATH_MAX];
    size_t available = SIZE_MAX;
    FILE *file = fopen(membership, "re");
    if (!file)
        return SIZE_MAX;
    while (fgets(line, sizeof line, file)) { /* "NUMBER:CONTROLLERS:PATH" */
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        controllers++;
        bool first = has_memory(controllers);
        if (!first && controllers[0] != '\0')
            continue;
        snprintf(below, sizeof below, "%s/memory", root);
        available = nnclr_min(
            available, in_hierarchy(first ? below : root, path, first ? &version_1 : &version_2));
    }
    fclose(file);
    return available;
}

static size_t of_system(void) {
    char line[200];
    unsigned long long kib, sum = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    if (!file)
        return SIZE_MAX;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %llu", &kib) == 1 ||
            sscanf(line, "SwapFree: %llu", &kib) == 1)
            sum += kib << 10;
    fclose(file);
    return sum ? (size_t)sum : SIZE_MAX;
}

size_t nnclr_memory_available(void) {
    return nnclr_min(of_system(),
                     nnclr_memory_available_in_cgroups("/proc/self/cgroup", "/sys/fs/cgroup"));
}

size_t nnclr_memory_held(void) {
    unsigned long long total, resident;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    bool read = fscanf(file, "%llu %llu", &total, &resident) == 2;
    fclose(file);
    return read ? (size_t)resident * (size_t)sysconf(_SC_PAGESIZE) : 0;
}
