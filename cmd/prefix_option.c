#include "cmd/prefix_option.h"

bool prefix_parse(const char *text, void *target, nnclr_error *e) {
    (void)e;
    *(const char **)target = text;
    return true;
}

void prefix_show(const void *target, char *text, size_t size) {
    (void)target;
    if (size)
        text[0] = '\0';
}
