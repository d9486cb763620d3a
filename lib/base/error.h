/* How a failure travels.
 *
 * Every fallible function takes `nnclr_error *e` as its last argument, returns false or NULL when
 * it fails, and has then filled *e with a code and one sentence: what, where, why. The error is a
 * plain value: copy it, keep it with its job, hand it to another thread. Nothing is process-wide.
 * A function that succeeds leaves *e alone. `e` is never NULL.
 */
#ifndef NNCLR_BASE_ERROR_H
#define NNCLR_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

typedef enum nnclr_code {
    NNCLR_OK = 0,
    NNCLR_ERROR_MEMORY, /* the system has no more memory */
    NNCLR_ERROR_IO,     /* the system refused a read, write, open, rename, ... */
    NNCLR_ERROR_PATH,   /* a name that is not there or may not be opened: another one may be fine */
    NNCLR_ERROR_CLOSED, /* the reader of our output has gone away (EPIPE) */
    NNCLR_ERROR_INPUT,  /* bytes from outside are not what they must be */
    NNCLR_ERROR_LIMIT,  /* sound input, but larger than a stated bound */
    NNCLR_ERROR_USAGE,  /* options that contradict each other or the data */
    NNCLR_ERROR_MISSING, /* not built in, or not offered by this machine */
    NNCLR_ERROR_NUMERIC, /* a number is no longer finite */
    NNCLR_ERROR_STOPPED  /* whoever asked for the work no longer wants it (progress.h) */
} nnclr_code;

typedef struct nnclr_error {
    nnclr_code code;
    char message[1000]; /* no program name, no trailing newline, UTF-8 or raw file-name bytes */
} nnclr_error;

#define NNCLR_NO_ERROR                                                                             \
    { NNCLR_OK, "" }

/* Fills *e and returns false, so that `return nnclr_fail(e, ...)` reads well. A message longer
 * than the buffer, as one with a long path may be, loses its middle to "...": what and why stay.
 * `e` may be among the arguments. */
bool nnclr_fail(nnclr_error *e, nnclr_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, with ": " and the text of `errno` appended; the code follows from errno: memory,
 * closed, path if the name is at fault, otherwise io. */
bool nnclr_fail_errno(nnclr_error *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Does the failure say something about one file or its bytes, so that the next file may be fine?
 * Otherwise the system is short of memory, descriptors or room, or a disk is broken. */
bool nnclr_is_fault_of_input(const nnclr_error *e);

/* Puts "WHERE: " in front of the message of an error that is already set; returns false. */
bool nnclr_fail_at(nnclr_error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
