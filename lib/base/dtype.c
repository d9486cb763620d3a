#include "base/dtype.h"

#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
} types[] = {
    [NNCLR_U8] = {"U8", 1},     [NNCLR_I8] = {"I8", 1},   [NNCLR_BOOL] = {"BOOL", 1},
    [NNCLR_I16] = {"I16", 2},   [NNCLR_U16] = {"U16", 2}, [NNCLR_F16] = {"F16", 2},
    [NNCLR_BF16] = {"BF16", 2}, [NNCLR_I32] = {"I32", 4}, [NNCLR_U32] = {"U32", 4},
    [NNCLR_F32] = {"F32", 4},   [NNCLR_I64] = {"I64", 8}, [NNCLR_U64] = {"U64", 8},
    [NNCLR_F64] = {"F64", 8},
};

size_t nnclr_dtype_bytes(nnclr_dtype dtype) {
    return types[dtype].bytes;
}

const char *nnclr_dtype_name(nnclr_dtype dtype) {
    return types[dtype].name;
}

bool nnclr_dtype_parse(const char *name, nnclr_dtype *dtype) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0) {
            *dtype = (nnclr_dtype)i;
            return true;
        }
    return false;
}
