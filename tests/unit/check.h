/* A unit test program: tests, each reported as "ok NAME (processor seconds)",
 * "not ok NAME: why" or "skip NAME: why" on a line of its own, which tests/run adds up.
 *
 *     TEST(adds_up) { CHECK(1 + 1 == 2); CHECK_NEAR(0.1 + 0.2, 0.3, 1e-12); }
 *     int main(void) { return check_all(); }
 *
 * A failing check leaves the test function at once (so tests may leak when they fail). */
#ifndef NNCLR_TESTS_CHECK_H
#define NNCLR_TESTS_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static _Thread_local jmp_buf check_leave; /* of a thread that has set it: check_run, run_ranks */
static _Thread_local char check_why[2000];
static int check_failures;

#define CHECK(condition) CHECK_SAYS(condition, "%s", #condition)

/* With a message of its own: CHECK_SAYS(ok, "%s", error.message) */
#define CHECK_SAYS(condition, ...)                                                                 \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            int used_ = snprintf(check_why, sizeof check_why, "%s:%d: ", __FILE__, __LINE__);      \
            snprintf(check_why + used_, sizeof check_why - (size_t)used_, __VA_ARGS__);            \
            longjmp(check_leave, 1);                                                               \
        }                                                                                          \
    } while (0)

/* A call with &e, the program's nnclr_error: it succeeds; it fails with a message that contains
 * these words, or with just this message; it fails with this code. */
#define CHECK_OK(call) CHECK_SAYS(call, "%s: %s", #call, e.message)
#define CHECK_FAILS(call, words)                                                                   \
    do {                                                                                           \
        CHECK_IS_REFUSED(call);                                                                    \
        CHECK_SAYS(strstr(e.message, words), "\"%s\" does not say \"%s\"", e.message, words);      \
    } while (0)
#define CHECK_FAILS_WITH(call, text)                                                               \
    do {                                                                                           \
        CHECK_IS_REFUSED(call);                                                                    \
        CHECK_TEXT(e.message, text);                                                               \
    } while (0)
#define CHECK_FAILS_AS(call, failure)                                                              \
    do {                                                                                           \
        CHECK_IS_REFUSED(call);                                                                    \
        CHECK_SAYS(e.code == (failure), "%s: \"%s\" is not %s", #call, e.message, #failure);       \
    } while (0)
#define CHECK_IS_REFUSED(call)                                                                     \
    do {                                                                                           \
        e = (nnclr_error)NNCLR_NO_ERROR;                                                           \
        CHECK_SAYS(!(call), "%s does not fail", #call);                                            \
    } while (0)

/* |a - b| <= tolerance; a NaN fails. */
#define CHECK_NEAR(a, b, tolerance)                                                                \
    do {                                                                                           \
        double a_ = (double)(a), b_ = (double)(b);                                                 \
        CHECK_SAYS(fabs(a_ - b_) <= (tolerance), "%s = %.17g, not %.17g", #a, a_, b_);             \
    } while (0)

#define CHECK_TEXT(a, b)                                                                           \
    do {                                                                                           \
        const char *a_ = (a), *b_ = (b);                                                           \
        CHECK_SAYS(strcmp(a_, b_) == 0, "%s = \"%s\", not \"%s\"", #a, a_, b_);                    \
    } while (0)

/* Leaves the test: it could not be made here. */
#define SKIP(...)                                                                                  \
    do {                                                                                           \
        snprintf(check_why, sizeof check_why, __VA_ARGS__);                                        \
        longjmp(check_leave, 2);                                                                   \
    } while (0)

/* A test, which main runs in its turn; TEST_LONG is for those that cost seconds: they run if
 * NNCLR_LONG is set (make check-long), and the others if it is not. */
#define TEST(name)      CHECK_DEFINE(name, false)
#define TEST_LONG(name) CHECK_DEFINE(name, true)

#define CHECK_DEFINE(name, long_)                                                                  \
    static void name(void);                                                                        \
    __attribute__((constructor)) static void name##_is_a_test(void) {                              \
        static check_test test = {#name, name, long_, NULL};                                       \
        *check_end = &test;                                                                        \
        check_end = &test.next;                                                                    \
    }                                                                                              \
    static void name(void)

typedef struct check_test {
    const char *name;
    void (*run)(void);
    bool is_long;
    struct check_test *next;
} check_test;

static check_test *check_first, **check_end = &check_first;

static inline void check_run(const check_test *test) {
    clock_t begin = clock();
    int left = setjmp(check_leave);
    if (left == 0) {
        test->run();
        printf("ok %s (%.2f s)\n", test->name, (double)(clock() - begin) / CLOCKS_PER_SEC);
    } else if (left == 1) {
        printf("not ok %s: %s\n", test->name, check_why);
        check_failures++;
    } else {
        printf("skip %s: %s\n", test->name, check_why);
    }
    fflush(stdout);
}

/* In their order in the file; the exit status. */
static inline int check_all(void) {
    for (const check_test *test = check_first; test; test = test->next)
        if (test->is_long == (getenv("NNCLR_LONG") != NULL))
            check_run(test);
    return check_failures ? 1 : 0;
}

/* For tests that count what a sanitizer has more of. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#endif
