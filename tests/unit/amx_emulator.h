/* AMX on a CPU that lacks it: each of its instructions raises SIGILL here, and the handler does in
 * C what the manual says about it. So the machine code of the kernels that an AMX CPU would run is
 * run, slowly. Semantics: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2,
 * LDTILECFG, TILELOADD, TILESTORED, TILEZERO, TILERELEASE, TDPBF16PS. */
#ifndef NNCLR_TESTS_AMX_EMULATOR_H
#define NNCLR_TESTS_AMX_EMULATOR_H

#ifdef __x86_64__

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum { AMX_TILES = 8, AMX_ROWS = 16, AMX_ROW_BYTES = 64 };

typedef struct amx_tiles {
    bool configured;
    int rows[AMX_TILES], bytes[AMX_TILES];
    uint8_t data[AMX_TILES][AMX_ROWS][AMX_ROW_BYTES];
} amx_tiles;

static _Thread_local amx_tiles amx_state;

typedef struct amx_instruction {
    int length, prefix, opcode, reg, rm, vvvv;
    bool memory;
    uint8_t *address;
    int64_t stride; /* the index register, scaled */
} amx_instruction;

static inline int64_t amx_register(const ucontext_t *c, int number) {
    static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                  REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                  REG_R12, REG_R13, REG_R14, REG_R15};
    return (int64_t)c->uc_mcontext.gregs[order[number]];
}

/* VEX.128.0F38.W0 with the opcodes of AMX. */
static inline bool amx_decode(const ucontext_t *c, amx_instruction *i) {
    const uint8_t *p = (const uint8_t *)(uintptr_t)c->uc_mcontext.gregs[REG_RIP];
    if (p[0] != 0xc4 || (p[1] & 0x1f) != 2 || (p[2] & 0x84) != 0)
        return false;
    int r = (~p[1] >> 7 & 1) * 8, x = (~p[1] >> 6 & 1) * 8, b = (~p[1] >> 5 & 1) * 8;
    *i = (amx_instruction){.prefix = p[2] & 3, .opcode = p[3], .vvvv = ~p[2] >> 3 & 15};
    int mod = p[4] >> 6, at = 5;
    i->reg = (p[4] >> 3 & 7) + r;
    i->rm = (p[4] & 7) + b;
    i->memory = mod != 3;
    if (i->memory) {
        int64_t base = 0;
        bool far = mod == 2;
        if ((p[4] & 7) == 4) {
            uint8_t sib = p[at++];
            int index = (sib >> 3 & 7) + x;
            i->stride = index == 4 ? 0 : amx_register(c, index) << (sib >> 6);
            bool none = mod == 0 && (sib & 7) == 5;
            far |= none;
            base = none ? 0 : amx_register(c, (sib & 7) + b);
        } else if (mod == 0 && (p[4] & 7) == 5) { /* counted from the next instruction */
            far = true;
            base = (int64_t)c->uc_mcontext.gregs[REG_RIP] + at + 4;
        } else {
            base = amx_register(c, i->rm);
        }
        int32_t offset = 0;
        if (mod == 1)
            offset = (int8_t)p[at++];
        if (far) {
            memcpy(&offset, p + at, sizeof offset);
            at += 4;
        }
        i->address = (uint8_t *)(uintptr_t)(base + offset);
    }
    i->length = at;
    return true;
}

static inline bool amx_configure(const uint8_t *config) {
    uint16_t bytes[16];
    amx_state = (amx_tiles){.configured = true};
    if (config[0] != 1 || config[1] != 0)
        return false;
    memcpy(bytes, config + 16, sizeof bytes);
    for (int t = 0; t < AMX_TILES; t++) {
        amx_state.bytes[t] = bytes[t];
        amx_state.rows[t] = config[48 + t];
        if (bytes[t] > AMX_ROW_BYTES || config[48 + t] > AMX_ROWS)
            return false;
    }
    return true;
}

static inline float amx_widen(const uint8_t *row, int at) {
    uint16_t half;
    memcpy(&half, row + 2 * at, sizeof half);
    union {
        uint32_t u;
        float f;
    } v = {.u = (uint32_t)half << 16};
    return v.f;
}

/* Even and odd members of the pairs apart, then their sum is added. */
static inline void amx_multiply(int to, int a, int b) {
    amx_tiles *t = &amx_state;
    for (int row = 0; row < t->rows[to]; row++) {
        float sums[AMX_ROW_BYTES / 4][2] = {{0}};
        for (int k = 0; k < t->bytes[a] / 4; k++)
            for (int n = 0; n < t->bytes[to] / 4; n++)
                for (int odd = 0; odd < 2; odd++)
                    sums[n][odd] += amx_widen(t->data[a][row], 2 * k + odd) *
                                    amx_widen(t->data[b][k], 2 * n + odd);
        for (int n = 0; n < t->bytes[to] / 4; n++) {
            float v;
            memcpy(&v, &t->data[to][row][4 * n], sizeof v);
            v += sums[n][0] + sums[n][1];
            memcpy(&t->data[to][row][4 * n], &v, sizeof v);
        }
    }
}

static inline bool amx_execute(const amx_instruction *i) {
    enum { NONE, P66, PF3, PF2 };
    amx_tiles *t = &amx_state;
    if (i->opcode == 0x49 && i->prefix == NONE && i->memory)
        return amx_configure(i->address);
    if (i->opcode == 0x49 && i->prefix == NONE) {
        *t = (amx_tiles){.configured = false};
        return true;
    }
    if (!t->configured || i->reg >= AMX_TILES)
        return false;
    if (i->opcode == 0x49 && i->prefix == PF2 && !i->memory) {
        memset(t->data[i->reg], 0, sizeof t->data[i->reg]);
        return true;
    }
    if (i->opcode == 0x4b && i->memory && i->prefix != NONE) {
        for (int row = 0; row < t->rows[i->reg]; row++) {
            uint8_t *memory = i->address + row * i->stride, *tile = t->data[i->reg][row];
            if (i->prefix == PF3)
                memcpy(memory, tile, (size_t)t->bytes[i->reg]);
            else
                memcpy(tile, memory, (size_t)t->bytes[i->reg]);
        }
        return true;
    }
    if (i->opcode == 0x5c && i->prefix == PF3 && !i->memory && i->rm < 8 && i->vvvv < 8) {
        amx_multiply(i->reg, i->rm, i->vvvv);
        return true;
    }
    return false;
}

static inline void amx_handle(int number, siginfo_t *info, void *context) {
    (void)info;
    ucontext_t *c = context;
    amx_instruction i;
    if (amx_decode(c, &i) && amx_execute(&i)) {
        c->uc_mcontext.gregs[REG_RIP] += i.length;
        return;
    }
    const uint8_t *p = (const uint8_t *)(uintptr_t)c->uc_mcontext.gregs[REG_RIP];
    dprintf(2, "no instruction of AMX: %02x %02x %02x %02x %02x %02x\n", p[0], p[1], p[2], p[3],
            p[4], p[5]);
    signal(number, SIG_DFL); /* what it would have been */
}

static inline void amx_emulate(void) {
    struct sigaction action = {.sa_sigaction = amx_handle, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &action, NULL);
}

#endif
#endif
