/* The table of the engine, its memory, and moves from and to the host. */
#include <string.h>

#include "base/memory.h"
#include "engine/cuda/cuda.h"
#include "engine/cuda/parts.h"

/* Reals that are moved at a time, if they are of another type on the other side. */
enum { CHUNK = 1 << 20 };

static void close_engine(nnclr_engine *g) {
    cuda_state *s = cuda_state_of(g);
    if (s->scratch)
        nnclr_machine_release(s->machine, s->scratch, s->scratch_bytes);
    if (s->machine)
        nnclr_machine_close(s->machine);
    nnclr_free(s);
    g->state = NULL;
}

static bool open_engine(nnclr_engine *g, bool bf16, nnclr_error *e) {
    cuda_state *s = g->state = nnclr_alloc_zero(1, sizeof *s, e);
    if (!s)
        return false;
    s->bf16 = bf16;
    s->machine = nnclr_machine_open(g->pool, bf16, e);
    if (!s->machine) {
        close_engine(g);
        return false;
    }
    s->stream = nnclr_machine_stream(s->machine);
    return true;
}

static bool open_f32(nnclr_engine *g, nnclr_error *e) {
    return open_engine(g, false, e);
}

static bool open_bf16(nnclr_engine *g, nnclr_error *e) {
    return open_engine(g, true, e);
}

bool nnclr_cuda_sync(nnclr_engine *g, nnclr_error *e) {
    return nnclr_machine_sync(cuda_state_of(g)->machine, e);
}

/* ---- memory ---- */

/* If the product overflows, a size that no memory can hold: the arena refuses it. */
static size_t tensor_bytes(const nnclr_engine *g, nnclr_shape s, nnclr_kind kind) {
    const int dims[] = {s.groups, s.n, s.h, s.w, s.c};
    size_t bytes = kind == NNCLR_ACTIVATION ? cuda_value_bytes(g) : sizeof(float);
    for (int i = 0; i < 5; i++)
        if (!nnclr_size_mul(bytes, (size_t)dims[i], &bytes))
            return SIZE_MAX;
    return bytes;
}

size_t nnclr_cuda_statistics_bytes(const nnclr_engine *g, int groups, int c) {
    (void)g;
    return (size_t)groups * 2 * (size_t)c * sizeof(double);
}

void *nnclr_cuda_arena_create(nnclr_engine *g, size_t bytes, nnclr_error *e) {
    cuda_machine *machine = cuda_state_of(g)->machine;
    void *arena = nnclr_machine_alloc(machine, bytes, e);
    if (arena)
        nnclr_machine_zero(machine, arena, bytes);
    return arena;
}

void nnclr_cuda_arena_free(nnclr_engine *g, void *arena, size_t bytes) {
    nnclr_machine_release(cuda_state_of(g)->machine, arena, bytes);
}

void *nnclr_cuda_scratch(nnclr_engine *g, size_t bytes) {
    cuda_state *s = cuda_state_of(g);
    nnclr_error e = NNCLR_NO_ERROR;
    if (bytes <= s->scratch_bytes)
        return s->scratch;
    if (s->scratch)
        nnclr_machine_release(s->machine, s->scratch, s->scratch_bytes);
    s->scratch = nnclr_machine_alloc(s->machine, bytes, &e);
    s->scratch_bytes = s->scratch ? bytes : 0;
    if (!s->scratch)
        nnclr_machine_fail(s->machine, &e);
    return s->scratch;
}

void nnclr_cuda_zero(nnclr_engine *g, void *place, size_t bytes) {
    nnclr_machine_zero(cuda_state_of(g)->machine, place, bytes);
}

void nnclr_cuda_copy(nnclr_engine *g, void *to, const void *from, size_t bytes) {
    nnclr_machine_copy(cuda_state_of(g)->machine, to, from, bytes);
}

/* ---- moves ---- */

static void put_doubles(nnclr_engine *g, float *to, size_t count, const double *from) {
    cuda_machine *machine = cuda_state_of(g)->machine;
    nnclr_error e = NNCLR_NO_ERROR;
    const size_t most = count < CHUNK ? count : CHUNK;
    float *floats = nnclr_alloc(most, sizeof *floats, &e);
    if (!floats)
        nnclr_machine_fail(machine, &e);
    for (size_t at = 0; floats && at < count; at += most) {
        const size_t some = count - at < most ? count - at : most;
        for (size_t i = 0; i < some; i++)
            floats[i] = (float)from[at + i];
        nnclr_machine_put(machine, to + at, floats, some * sizeof *floats);
    }
    nnclr_free(floats);
}

static void get_doubles(nnclr_engine *g, const float *from, size_t count, double *to) {
    cuda_machine *machine = cuda_state_of(g)->machine;
    nnclr_error e = NNCLR_NO_ERROR;
    const size_t most = count < CHUNK ? count : CHUNK;
    float *floats = nnclr_alloc(most, sizeof *floats, &e);
    if (!floats)
        nnclr_machine_fail(machine, &e);
    for (size_t at = 0; floats && at < count; at += most) {
        const size_t some = count - at < most ? count - at : most;
        nnclr_machine_get(machine, floats, from + at, some * sizeof *floats);
        for (size_t i = 0; i < some; i++)
            to[at + i] = (double)floats[i];
    }
    nnclr_free(floats);
}

void nnclr_cuda_put(nnclr_engine *g, void *place, size_t count, nnclr_dtype type,
                    const void *host) {
    if (type == NNCLR_F64)
        put_doubles(g, place, count, host);
    else
        nnclr_machine_put(cuda_state_of(g)->machine, place, host, count * sizeof(float));
}

void nnclr_cuda_get(nnclr_engine *g, const void *place, size_t count, nnclr_dtype type,
                    void *host) {
    if (type == NNCLR_F64)
        get_doubles(g, place, count, host);
    else
        nnclr_machine_get(cuda_state_of(g)->machine, host, place, count * sizeof(float));
}

static void convert(nnclr_engine *g, values from, values to, size_t count) {
    const convert_call call = {from, to, count};
    nnclr_launch_convert(cuda_state_of(g)->stream, cuda_spans(count), &call);
}

/* Rounded at the machine, chunk by chunk. */
static void upload(nnclr_engine *g, const float *nhwc, const nnclr_tensor *to) {
    const size_t count = cuda_count(to->shape), most = count < CHUNK ? count : CHUNK;
    values stored = cuda_values(g, to);
    if (!stored.bf16) {
        nnclr_cuda_put(g, to->place, count, NNCLR_F32, nhwc);
        return;
    }
    float *floats = nnclr_cuda_scratch(g, most * sizeof *floats);
    for (size_t at = 0; floats && at < count; at += most) {
        const size_t some = count - at < most ? count - at : most;
        nnclr_cuda_put(g, floats, some, NNCLR_F32, nhwc + at);
        stored.at = (unsigned char *)to->place + at * cuda_value_bytes(g);
        convert(g, (values){floats, false}, stored, some);
    }
}

static void download(nnclr_engine *g, const nnclr_tensor *from, double *nhwc) {
    const size_t count = cuda_count(from->shape), most = count < CHUNK ? count : CHUNK;
    values stored = cuda_values(g, from);
    if (!stored.bf16) {
        nnclr_cuda_get(g, from->place, count, NNCLR_F64, nhwc);
        return;
    }
    float *floats = nnclr_cuda_scratch(g, most * sizeof *floats);
    for (size_t at = 0; floats && at < count; at += most) {
        const size_t some = count - at < most ? count - at : most;
        stored.at = (unsigned char *)from->place + at * cuda_value_bytes(g);
        convert(g, stored, (values){floats, false}, some);
        nnclr_cuda_get(g, floats, some, NNCLR_F64, nhwc + at);
    }
}

void nnclr_cuda_put_statistics(nnclr_engine *g, void *place, size_t count, const double *host) {
    nnclr_machine_put(cuda_state_of(g)->machine, place, host, count * sizeof *host);
}

void nnclr_cuda_get_statistics(nnclr_engine *g, const void *place, size_t count, double *host) {
    nnclr_machine_get(cuda_state_of(g)->machine, host, place, count * sizeof *host);
}

void nnclr_cuda_get_picks(nnclr_engine *g, const void *picks, size_t count, int32_t *host) {
    nnclr_machine_get(cuda_state_of(g)->machine, host, picks, count * sizeof *host);
}

void nnclr_cuda_put_picks(nnclr_engine *g, void *picks, size_t count, const int32_t *host) {
    nnclr_machine_put(cuda_state_of(g)->machine, picks, host, count * sizeof *host);
}

/* ---- tables ---- */

#define ENTRIES                                                                                    \
    .name = "cuda", .real = NNCLR_F32, .close = close_engine, .tensor_bytes = tensor_bytes,        \
    .upload = upload, .download = download, .search_create = nnclr_cuda_search_create,             \
    ENTRIES_OF_ROWS(CUDA_ROW) ENTRIES_OF_ACTIVATIONS(CUDA_ROW)

const nnclr_engine_table nnclr_engine_cuda_f32 = {.precision = "f32", .open = open_f32, ENTRIES};
const nnclr_engine_table nnclr_engine_cuda_bf16 = {.precision = "bf16", .open = open_bf16, ENTRIES};
