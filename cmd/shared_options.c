#include "cmd/shared_options.h"

#include <string.h>

int option_find(const char *const *names, const char *name) {
    for (int i = 0; name && names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

void option_show_nothing(const void *target, char *text, size_t size) {
    (void)target;
    if (size)
        text[0] = '\0';
}

bool engine_asked_for(bool opened, nnclr_error *e) {
    if (!opened && e->code == NNCLR_ERROR_MISSING)
        e->code = NNCLR_ERROR_USAGE;
    return opened;
}

bool prefix_parse(const char *text, void *target, nnclr_error *e) {
    (void)e;
    *(const char **)target = text;
    return true;
}
