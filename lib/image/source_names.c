/* What the names of files say about files of many pictures. */
#include <string.h>

#include "image/source_entries.h"

const char *nnclr_base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool ends_with(const char *name, const char *end) {
    size_t size = strlen(name), tail = strlen(end);
    return size >= tail && strcmp(name + size - tail, end) == 0;
}

static bool starts_with(const char *name, const char *start) {
    return strncmp(name, start, strlen(start)) == 0;
}

bool nnclr_source_is_idx_name(const char *name) {
    const char *base = nnclr_base_name(name);
    return strstr(base, "idx3-ubyte") || strstr(base, "idx1-ubyte");
}

nnclr_pixel_name nnclr_source_pixel_name(const char *name) {
    if (ends_with(name, "_X.bin"))
        return NNCLR_STL10_NAME;
    if (ends_with(name, ".bin") && !ends_with(name, "_y.bin"))
        return NNCLR_CIFAR_NAME;
    return strstr(nnclr_base_name(name), "idx3-ubyte") ? NNCLR_IDX_NAME : NNCLR_NO_PIXELS;
}

bool nnclr_source_is_companion_name(const char *name) {
    const char *base = nnclr_base_name(name);
    return strcmp(base, nnclr_cifar10_layout.class_file) == 0 ||
           strcmp(base, nnclr_cifar100_layout.class_file) == 0 ||
           strcmp(base, nnclr_stl10_layout.class_file) == 0 || ends_with(base, "_y.bin") ||
           strstr(base, "idx1-ubyte");
}

const char *nnclr_source_part_of(const char *name) {
    static const char *const starts[][2] = {{"data_batch", "train"},
                                            {"train", "train"},
                                            {"test", "test"},
                                            {"t10k", "test"},
                                            {"unlabeled", "unlabeled"}};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (starts_with(nnclr_base_name(name), starts[i][0]))
            return starts[i][1];
    return NULL;
}

const char *nnclr_source_part_in(const char *root) {
    static const char *const parts[] = {"train", "test", "unlabeled"};
    size_t size = strlen(root);
    while (size > 0 && root[size - 1] == '/')
        size--;
    size_t start = size;
    while (start > 0 && root[start - 1] != '/')
        start--;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strlen(parts[i]) == size - start && memcmp(parts[i], root + start, size - start) == 0)
            return parts[i];
    return NULL;
}
