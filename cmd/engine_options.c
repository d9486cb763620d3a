#include "cmd/engine_options.h"

const char *const engine_names[] = {"auto", "cpu", "amx", "cuda", NULL};
const char *const precision_names[] = {"auto", "bf16", "f32", "f64", NULL};

bool engine_asked_for(bool opened, nnclr_error *e) {
    if (!opened && e->code == NNCLR_ERROR_MISSING)
        e->code = NNCLR_ERROR_USAGE;
    return opened;
}
