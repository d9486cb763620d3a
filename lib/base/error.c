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

bool nnclr_fail_errno(nnclr_error *e, const char *format, ...) {
    int number = errno;
    va_list arguments;
    va_start(arguments, format);
    format_message(e, format, arguments);
    va_end(arguments);

    char reason[128];
    size_t used = strlen(e->message);
    /* GNU strerror_r: returns the text, which need not lie in the buffer. */
    snprintf(e->message + used, sizeof e->message - used, ": %s",
             strerror_r(number, reason, sizeof reason));
    e->code = number == ENOMEM  ? NNCLR_ERROR_MEMORY
              : number == EPIPE ? NNCLR_ERROR_CLOSED
                                : NNCLR_ERROR_IO;
    return false;
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
