#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST = 1 << 14 }; /* of a message before it is shortened */

static bool inside_character(char byte) {
    return ((unsigned char)byte & 0xc0) == 0x80; /* of UTF-8 */
}

/* Beginning and end of a text that does not fit; the end is the longer part. */
static void shorten(char *to, size_t size, const char *text, size_t length) {
    static const char gap[] = "...";
    size_t begin = size / 3, left = size - 1 - begin - (sizeof gap - 1);
    const char *end = text + length - left;
    while (begin > size / 3 - 4 && inside_character(text[begin]))
        begin--;
    for (int i = 0; i < 3 && inside_character(*end); i++)
        end++;
    memcpy(to, text, begin);
    memcpy(to + begin, gap, sizeof gap - 1);
    strcpy(to + begin + sizeof gap - 1, end);
}

/* The formatted text, and after ": " a reason unless that is NULL, which may be e's own message. */
static void format_message(nnclr_error *e, const char *reason, const char *format,
                           va_list arguments) __attribute__((format(printf, 3, 0)));

static void format_message(nnclr_error *e, const char *reason, const char *format,
                           va_list arguments) {
    char text[LONGEST];
    const size_t most = sizeof text - (reason ? strlen(reason) + strlen(": ") : 0);
    int length = vsnprintf(text, most, format, arguments);
    size_t used = length < 0 ? 0 : (size_t)length < most ? (size_t)length : most - 1;
    text[used] = '\0';
    if (reason)
        used += (size_t)sprintf(text + used, ": %s", reason);
    if (used < sizeof e->message)
        memcpy(e->message, text, used + 1);
    else
        shorten(e->message, sizeof e->message, text, used);
}

bool nnclr_fail(nnclr_error *e, nnclr_code code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    format_message(e, NULL, format, arguments);
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

/* What the reader of the message can do. */
static const char *advice(int number) {
    return number == EMFILE ? " (ulimit -n raises the limit)" : "";
}

bool nnclr_fail_errno(nnclr_error *e, const char *format, ...) {
    int number = errno;
    char text[128], reason[200];
    va_list arguments;
    va_start(arguments, format);
    /* GNU strerror_r: returns the text, which need not be in the buffer. */
    snprintf(reason, sizeof reason, "%s%s", strerror_r(number, text, sizeof text), advice(number));
    format_message(e, reason, format, arguments);
    va_end(arguments);
    e->code = code_of(number);
    return false;
}

bool nnclr_is_fault_of_input(const nnclr_error *e) {
    return e->code == NNCLR_ERROR_INPUT || e->code == NNCLR_ERROR_LIMIT ||
           e->code == NNCLR_ERROR_PATH;
}

bool nnclr_fail_at(nnclr_error *e, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    format_message(e, e->message, format, arguments);
    va_end(arguments);
    return false;
}
