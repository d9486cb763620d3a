#include "base/dtype.h"

#include <math.h>
#include <stdint.h>
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

/* One sign, five exponent and ten mantissa bits, the exponent biased by 15. */
static float value_of_f16(uint16_t bits) {
    int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    float magnitude = exponent == 31 ? mantissa ? NAN : INFINITY
                      : exponent     ? ldexpf((float)(mantissa + 1024), exponent - 25)
                                     : ldexpf((float)mantissa, -24);
    return bits >> 15 ? -magnitude : magnitude;
}

/* The upper half of a float. */
static float value_of_bf16(uint16_t bits) {
    uint32_t whole = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &whole, sizeof value);
    return value;
}

void nnclr_dtype_widen(nnclr_dtype half, void *place, size_t count) {
    unsigned char *bytes = place;
    /* From the end, so that no float covers a half that is still to be read. */
    for (size_t i = count; i-- > 0;) {
        uint16_t bits;
        memcpy(&bits, bytes + i * sizeof bits, sizeof bits);
        float value = half == NNCLR_F16 ? value_of_f16(bits) : value_of_bf16(bits);
        memcpy(bytes + i * sizeof value, &value, sizeof value);
    }
}
