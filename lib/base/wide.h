/* Functions whose loops gain from wider vectors than the baseline's get a copy for each kind of
 * CPU, chosen when the program is loaded. The copies compute the same: without contraction
 * (-ffp-contract=off) a vector's lanes round as single numbers do. NNCLR_NARROW: the baseline's
 * copy alone, which a test compares with. */
#ifndef NNCLR_BASE_WIDE_H
#define NNCLR_BASE_WIDE_H

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) &&       \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(NNCLR_NARROW)
#define NNCLR_WIDE __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define NNCLR_WIDE
#endif

#endif
