/* Element types of stored and exchanged arrays, named as safetensors names them. */
#ifndef NNCLR_BASE_DTYPE_H
#define NNCLR_BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum nnclr_dtype {
    NNCLR_U8,
    NNCLR_I8,
    NNCLR_BOOL,
    NNCLR_I16,
    NNCLR_U16,
    NNCLR_F16,
    NNCLR_BF16,
    NNCLR_I32,
    NNCLR_U32,
    NNCLR_F32,
    NNCLR_I64,
    NNCLR_U64,
    NNCLR_F64
} nnclr_dtype;

size_t nnclr_dtype_bytes(nnclr_dtype dtype);
const char *nnclr_dtype_name(nnclr_dtype dtype);              /* "F32" */
bool nnclr_dtype_parse(const char *name, nnclr_dtype *dtype); /* false: no such type */
/* Widens F16 (IEEE 754 binary16) or BF16 [count] at `place`, which has room for as many floats, to
 * floats in place: exact, as float has all of their values. */
void nnclr_dtype_widen(nnclr_dtype half, void *place, size_t count);

#endif
