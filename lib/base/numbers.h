/* The lesser, the larger, and the bounded of numbers, of whatever type their sum has. Each argument
 * is evaluated once. */
#ifndef NNCLR_BASE_NUMBERS_H
#define NNCLR_BASE_NUMBERS_H

/* clang-format off */
#define NNCLR_NUMBERS(type, name)                                                                  \
    static inline type nnclr_min_##name(type a, type b) { return a < b ? a : b; }                  \
    static inline type nnclr_max_##name(type a, type b) { return a > b ? a : b; }                  \
    static inline type nnclr_clamp_##name(type x, type low, type high) {                           \
        return x < low ? low : x > high ? high : x;                                                \
    }
NNCLR_NUMBERS(int, int)
NNCLR_NUMBERS(unsigned, unsigned)
NNCLR_NUMBERS(long, long)
NNCLR_NUMBERS(unsigned long, ulong)
NNCLR_NUMBERS(long long, llong)
NNCLR_NUMBERS(unsigned long long, ullong)
NNCLR_NUMBERS(double, double)
#define NNCLR_OF_TYPE(what, x)                                                                     \
    _Generic((x), int: nnclr_##what##_int, unsigned: nnclr_##what##_unsigned,                      \
             long: nnclr_##what##_long, unsigned long: nnclr_##what##_ulong,                       \
             long long: nnclr_##what##_llong, unsigned long long: nnclr_##what##_ullong,           \
             double: nnclr_##what##_double)
/* clang-format on */

#define nnclr_min(a, b) NNCLR_OF_TYPE(min, (a) + (b))(a, b)
#define nnclr_max(a, b) NNCLR_OF_TYPE(max, (a) + (b))(a, b)
/* x between the bounds; `low` if that is above `high`. */
#define nnclr_clamp(x, low, high) NNCLR_OF_TYPE(clamp, (x) + (low) + (high))(x, low, high)

/* How many pieces of `size` >= 1 hold `n` >= 0 things. */
#define nnclr_pieces(n, size) (((n) + (size)-1) / (size))

#endif
