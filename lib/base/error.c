#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void format_message(nnclr_error *e, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void format_message(nnclr_error *e, const char *format, va_list arguments) {
    if (vsnprintf(e->message, sizeof e->message, format, arguments) < 0)
        e->message[0] = '\0';
}

bool nnclr_fail(nnclr_error *e, nnclr_code code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    format_message(e, format, arguments);
    va_end(arguments);
    e->code = code;
    return false;
}

static nnclr_code code_of(int number) {
    switch (number) {
    case ENOMEM:
        return NNCLR_ERROR_MEMORY;
    case EPIPE:
        return NNCLR_ERROR_CLOSED;
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case EACCES:
    case EPERM:
    case ELOOP:
    case ENAMETOOLONG:
    case ENXIO: /* a socket, a device that is not there */
    case ENODEV:
        return NNCLR_ERROR_PATH;
    default:
        return NNCLR_ERROR_IO;
    }
}

/* What a person can do who reads that. */
static const char *advice(int number) {
    return number == EMFILE ? " (ulimit -n raises the limit)" : "";
}

bool nnclr_fail_errno(nnclr_error *e, const char *format, ...) {
    int number = errno;
    va_list arguments;
    va_start(arguments, format);
    format_message(e, format, arguments);
    va_end(arguments);

    char reason[128];
    size_t used = strlen(e->message);
    /* GNU strerror_r: returns the text, which need not lie in the buffer. */
    snprintf(e->message + used, sizeof e->message - used, ": %s%s",
             strerror_r(number, reason, sizeof reason), advice(number));
    e->code = code_of(number);
    return false;
}

bool nnclr_is_fault_of_input(const nnclr_error *e) {
    return e->code == NNCLR_ERROR_INPUT || e->code == NNCLR_ERROR_LIMIT ||
           e->code == NNCLR_ERROR_PATH;
}

bool nnclr_fail_at(nnclr_error *e, const char *format, ...) {
    nnclr_error inner = *e;
    va_list arguments;
    va_start(arguments, format);
    format_message(e, format, arguments);
    va_end(arguments);

    size_t used = strlen(e->message);
    snprintf(e->message + used, sizeof e->message - used, ": %.*s", (int)sizeof inner.message,
             inner.message);
    return false;
}
