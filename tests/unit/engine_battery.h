/* The battery: every operation's problems through every engine, compared with its definition, and
 * the bits of its results compared between numbers of threads and engines that are to be alike. */
#ifndef NNCLR_TESTS_ENGINE_BATTERY_H
#define NNCLR_TESTS_ENGINE_BATTERY_H

#include "tests/unit/engines.h"

/* What an operation yields, by name. */
enum { MOST_PARTS = 16 };
typedef struct result {
    const char *name;
    double *values;
    size_t count;
    bool stored; /* in activations */
} result;
typedef struct results {
    int count;
    result part[MOST_PARTS];
    bool exact; /* the definition's: every way to sum gives the same, and so must each engine */
} results;

typedef struct operation {
    const char *name;
    int problems; /* each is made from its number */
    int cut;      /* the first so many are large enough to be cut among threads */
    double slack; /* times what the sums of an engine may be off */
    /* What an engine yields, or with row NULL the definition. */
    void (*run)(fixture *f, const test_engine *row, int problem, results *r);
    double (*work)(int problem); /* multiplications; NULL: few */
} operation;

/* Takes the values over. */
static inline double *add_part(results *r, const char *name, double *values, size_t count,
                               bool stored) {
    CHECK(r->count < MOST_PARTS);
    r->part[r->count++] = (result){name, values, count, stored};
    return values;
}
static inline void take_reals(fixture *f, results *r, const char *name, const void *place,
                              size_t count) {
    add_part(r, name, host_reals(f, place, count), count, false);
}
static inline void take_tensor(fixture *f, const test_engine *row, results *r, const char *name,
                               const nnclr_tensor *tensor) {
    check_padding(row, tensor);
    add_part(r, name, host_tensor(f, tensor), shape_reals(tensor->shape),
             tensor->kind == NNCLR_ACTIVATION);
}

static inline void free_results(results *r) {
    while (r->count > 0)
        free(r->part[--r->count].values);
}

static inline void check_part(const char *what, const test_engine *row, const result *got,
                              const result *want, bool exact, double slack) {
    double largest = 1e-30;
    CHECK_TEXT(got->name, want->name);
    CHECK(got->count == want->count);
    for (size_t i = 0; i < want->count; i++)
        largest = fabs(want->values[i]) > largest ? fabs(want->values[i]) : largest;
    for (size_t i = 0; i < want->count; i++) {
        double a = got->values[i], b = want->values[i], may = slack * row->sums * largest;
        if (want->stored)
            may += row->stored * fabs(b);
        CHECK_SAYS(exact ? a == held(row, b, want->stored) : fabs(a - b) <= may,
                   "%s of %s: %s[%zu] = %.17g, not %.17g", what, row->name, want->name, i, a, b);
    }
}

static inline void check_bits(const char *what, const results *got, const results *want) {
    CHECK(got->count == want->count);
    for (int i = 0; i < want->count; i++)
        CHECK_SAYS(memcmp(got->part[i].values, want->part[i].values,
                          want->part[i].count * sizeof(double)) == 0,
                   "%s: other bits in %s", what, want->part[i].name);
}

static inline bool worth_while(const test_engine *row, const operation *op, int problem) {
    return row->most == 0 || !op->work || op->work(problem) <= row->most;
}

/* Every problem with every engine, against the definition. */
static inline void check_agreement(const operation *op) {
    for (int problem = 0; problem < op->problems; problem++) {
        results want = {0};
        fixture f;
        char what[100];
        snprintf(what, sizeof what, "%s %d", op->name, problem);
        op->run(NULL, NULL, problem, &want);
        FOR_EACH_ENGINE(row, f, 2) {
            results got = {0};
            if (!worth_while(row, op, problem))
                continue;
            op->run(&f, row, problem, &got);
            CHECK_SAYS(got.count == want.count, "%s: %d results", what, got.count);
            for (int i = 0; i < want.count; i++)
                check_part(what, row, &got.part[i], &want.part[i], want.exact, op->slack);
            free_results(&got);
        }
        free_results(&want);
    }
}

/* The problems that are cut, for 1, 2, 3 and 5 threads. */
static inline void check_threads(const operation *op) {
    enum { ALIKE = 3, TURNS = 4 };
    static const int threads[TURNS] = {1, 2, 3, 5};
    for (int problem = 0; problem < op->cut; problem++) {
        results first[ALIKE] = {0}; /* of the engines of a number; [0]: of one engine */
        for (const test_engine *row = engines; row < engines + ENGINES; row++) {
            fixture f;
            results *want = &first[row->alike];
            if (!row->alike)
                free_results(want);
            for (int k = 0; k < TURNS && worth_while(row, op, problem); k++) {
                char what[100];
                results got = {0};
                if (!open_engine(&f, row, threads[k]))
                    break;
                op->run(&f, row, problem, &got);
                fixture_close(&f);
                snprintf(what, sizeof what, "%s %d of %s, %d threads", op->name, problem, row->name,
                         threads[k]);
                if (want->count > 0) {
                    check_bits(what, &got, want);
                    free_results(&got);
                } else {
                    *want = got;
                }
            }
        }
        for (int i = 0; i < ALIKE; i++)
            free_results(&first[i]);
    }
}

static inline void check_operation(const operation *op) {
    check_agreement(op);
    check_threads(op);
}

/* ---- operands, which every engine holds exactly ---- */

/* In (-2, 2) with the 8 digits of bfloat16: sums of their products are rounded. */
static inline double *rough_reals(uint64_t *seed, size_t count) {
    static const test_engine short_one = {.table = &nnclr_engine_cpu_bf16, .stored = 1};
    double *values = random_reals(seed, count);
    for (size_t i = 0; i < count; i++)
        values[i] = held(&short_one, values[i] * (1 + (double)(i % 4096) / 4096), true);
    return values;
}

/* Multiples of 1/8 in [-2, 2): sums of their products are exact. */
static inline double *whole_reals(uint64_t *seed, size_t count) {
    double *values = zero_reals(count);
    for (size_t i = 0; i < count; i++)
        values[i] = (double)random_int(seed, -16, 15) / 8;
    return values;
}

static inline double *copy_reals(const double *from, size_t count) {
    return moved(from, 0, from, count);
}

#endif
