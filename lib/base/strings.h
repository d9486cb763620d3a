/* Growing byte buffers and strict parsing of numbers. */
#ifndef NNCLR_BASE_STRINGS_H
#define NNCLR_BASE_STRINGS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Owns data; zero-initialise, free with nnclr_buffer_free. data[size] is always a NUL once
 * anything was appended, so text can be used as a string. */
typedef struct nnclr_buffer {
    unsigned char *data;
    size_t size, capacity;
} nnclr_buffer;

void nnclr_buffer_free(nnclr_buffer *buffer);
bool nnclr_buffer_reserve(nnclr_buffer *buffer, size_t more, nnclr_error *e); /* room after size */
bool nnclr_buffer_append(nnclr_buffer *buffer, const void *bytes, size_t size, nnclr_error *e);
bool nnclr_buffer_printf(nnclr_buffer *buffer, nnclr_error *e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool nnclr_buffer_vprintf(nnclr_buffer *buffer, nnclr_error *e, const char *format,
                          va_list arguments) __attribute__((format(printf, 3, 0)));

/* The whole text must be one decimal number inside [low, high]; otherwise false. */
bool nnclr_parse_int(const char *text, int64_t low, int64_t high, int64_t *out);
bool nnclr_parse_real(const char *text, double low, double high, double *out); /* finite */
/* A finite number with the fewest significant digits (correctly rounded) that read back the same:
 * 0.1, 3, 1e22. */
enum { NNCLR_REAL_TEXT = 32 };
void nnclr_print_shortest(double value, char text[NNCLR_REAL_TEXT]);
/* The number with the fewest digits that read back as this float: for 0.1f it is 0.1, not
 * 0.10000000149. What is not finite stays. */
double nnclr_shortest(float value);
/* An integer with an optional suffix K, M, G, T (powers of 1024). */
bool nnclr_parse_bytes(const char *text, int64_t low, int64_t high, int64_t *out);

/* Bytes of the character at `text`, where `size` >= 1 are there; 0 if no UTF-8 begins (RFC 3629:
 * overlong forms, surrogates and values above U+10FFFF are not UTF-8). */
size_t nnclr_utf8_length(const char *text, size_t size);
bool nnclr_is_utf8(const char *text);
/* The value of the character of so many bytes. */
uint32_t nnclr_code_point(const char *text, size_t length);
/* Whether a terminal obeys the character instead of showing it, or shows nothing: control
 * characters, those that turn the direction of writing, those without width. */
bool nnclr_is_hidden(uint32_t code);

/* A name from outside, fit for a TSV field: hidden characters and bytes that are not UTF-8 become
 * \t, \n, \r or \xNN, and a backslash becomes two, so that the name can be had back. Appends to
 * `out`. */
bool nnclr_escape(nnclr_buffer *out, const char *name, size_t size, nnclr_error *e);
/* The same for a sentence, in which names may be escaped already: a backslash stays one. */
bool nnclr_make_printable(nnclr_buffer *out, const char *text, size_t size, nnclr_error *e);
/* Appends the name that nnclr_escape writes as this text. *exact false: it writes no name like
 * that, and what was appended is the text itself. */
bool nnclr_unescape(nnclr_buffer *out, const char *text, size_t size, bool *exact, nnclr_error *e);
/* A copy of a name, in UTF-8: if it is not, what nnclr_escape makes of it. */
char *nnclr_utf8_copy(const char *name, size_t size, nnclr_error *e);

/* Does the name end in `ending`, whether capital or small? */
bool nnclr_ends_in(const char *name, const char *ending);

/* The indefinite article of a noun, by its first letter: "a", "an". */
const char *nnclr_article(const char *noun);

/* Little-endian loads and stores for file formats. */
uint32_t nnclr_load_u32(const unsigned char *p);
uint64_t nnclr_load_u64(const unsigned char *p);
void nnclr_store_u32(unsigned char *p, uint32_t value);
void nnclr_store_u64(unsigned char *p, uint64_t value);

#endif
