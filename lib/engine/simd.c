#include "engine/simd.h"

#include <stdlib.h>
#include <string.h>

bool nnclr_simd_has(nnclr_simd simd) {
#ifdef __x86_64__
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                  __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    return simd == NNCLR_SIMD_AVX512 ? avx512 : simd == NNCLR_SIMD_AVX2 ? avx2 : true;
#else
    return simd == NNCLR_SIMD_NONE;
#endif
}

bool nnclr_simd_choose(nnclr_simd *simd, nnclr_error *e) {
    static const char *const names[] = {"none", "avx2", "avx512"};
    const char *wanted = getenv("NNCLR_SIMD");
    bool any = !wanted || !*wanted;
    for (int i = NNCLR_SIMD_AVX512; i >= NNCLR_SIMD_NONE; i--) {
        *simd = (nnclr_simd)i;
        if (any ? !nnclr_simd_has(*simd) : strcmp(wanted, names[i]) != 0)
            continue;
        return nnclr_simd_has(*simd) ||
               nnclr_fail(e, NNCLR_ERROR_MISSING,
                          "NNCLR_SIMD=%s: this CPU has no such vectors; leave it "
                          "unset for the widest that it has",
                          wanted);
    }
    return nnclr_fail(e, NNCLR_ERROR_USAGE, "NNCLR_SIMD=%s is none of avx512, avx2, none", wanted);
}
