#include "base/strings.h"

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"

void nnclr_buffer_free(nnclr_buffer *buffer) {
    nnclr_free(buffer->data);
    *buffer = (nnclr_buffer){0};
}

bool nnclr_buffer_reserve(nnclr_buffer *buffer, size_t more, nnclr_error *e) {
    size_t need;
    if (!nnclr_size_add(buffer->size, more, &need) || !nnclr_size_add(need, 1, &need))
        return nnclr_fail(e, NNCLR_ERROR_MEMORY, "out of memory: a buffer of over %zu bytes",
                          buffer->size);
    return nnclr_reserve(&buffer->data, &buffer->capacity, need, 1, e);
}

bool nnclr_buffer_append(nnclr_buffer *buffer, const void *bytes, size_t size, nnclr_error *e) {
    if (!nnclr_buffer_reserve(buffer, size, e))
        return false;
    if (size > 0)
        memcpy(buffer->data + buffer->size, bytes, size);
    buffer->size += size;
    buffer->data[buffer->size] = '\0';
    return true;
}

bool nnclr_buffer_vprintf(nnclr_buffer *buffer, nnclr_error *e, const char *format,
                          va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    bool ok = size >= 0 && nnclr_buffer_reserve(buffer, (size_t)size, e);
    if (size < 0)
        nnclr_fail(e, NNCLR_ERROR_INPUT, "a text cannot be formatted");
    if (ok) {
        vsnprintf((char *)buffer->data + buffer->size, (size_t)size + 1, format, again);
        buffer->size += (size_t)size;
    }
    va_end(again);
    return ok;
}

bool nnclr_buffer_printf(nnclr_buffer *buffer, nnclr_error *e, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    bool ok = nnclr_buffer_vprintf(buffer, e, format, arguments);
    va_end(arguments);
    return ok;
}

/* strtoll and strtod would accept leading blanks, which no option of ours means. */
static bool starts_number(const char *text) {
    return text[0] != '\0' && !isspace((unsigned char)text[0]);
}

static bool parse_leading_int(const char *text, int64_t *out, const char **end) {
    if (!starts_number(text))
        return false;
    char *stop;
    errno = 0;
    long long value = strtoll(text, &stop, 10);
    if (stop == text || errno != 0)
        return false;
    *out = value;
    *end = stop;
    return true;
}

bool nnclr_parse_int(const char *text, int64_t low, int64_t high, int64_t *out) {
    const char *end;
    int64_t value;
    if (!parse_leading_int(text, &value, &end) || *end != '\0' || value < low || value > high)
        return false;
    *out = value;
    return true;
}

bool nnclr_parse_real(const char *text, double low, double high, double *out) {
    if (!starts_number(text))
        return false;
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value) || value < low || value > high)
        return false;
    *out = value;
    return true;
}

/* "1e+05" -> "1e5" */
static void trim_exponent(char *text) {
    char *at = strchr(text, 'e');
    if (!at)
        return;
    char *digits = at + 1, *to = at + 1;
    if (*digits == '-')
        to++;
    digits += *digits == '-' || *digits == '+';
    digits += strspn(digits, "0");
    memmove(to, digits, strlen(digits) + 1);
}

/* DBL_DIG digits tell all decimals of so many apart, and %g drops zeros at their end, so that fewer
 * need not be tried; but numbers near 0 have fewer. */
void nnclr_print_shortest(double value, char text[NNCLR_REAL_TEXT]) {
    int digits = fabs(value) >= DBL_MIN || value == 0 ? DBL_DIG : 1;
    do
        snprintf(text, NNCLR_REAL_TEXT, "%.*g", digits, value);
    while (strtod(text, NULL) != value && digits++ < DBL_DECIMAL_DIG);
    trim_exponent(text);
}

double nnclr_shortest(float value) {
    char text[NNCLR_REAL_TEXT];
    double read = (double)value;
    for (int digits = 1; digits <= FLT_DECIMAL_DIG && isfinite(value); digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        read = strtod(text, NULL);
        if ((float)read == value)
            break;
    }
    return read;
}

bool nnclr_parse_bytes(const char *text, int64_t low, int64_t high, int64_t *out) {
    static const char suffixes[] = "KMGT";
    const char *end;
    int64_t value;
    if (!parse_leading_int(text, &value, &end))
        return false;
    if (*end != '\0') {
        const char *suffix = strchr(suffixes, *end);
        if (!suffix || end[1] != '\0' ||
            __builtin_mul_overflow(value, (int64_t)1 << 10 * (suffix - suffixes + 1), &value))
            return false;
    }
    if (value < low || value > high)
        return false;
    *out = value;
    return true;
}

size_t nnclr_utf8_length(const char *text, size_t size) {
    static const struct {
        unsigned char low, high, second_low, second_high;
        unsigned char length;
    } forms[] = {
        {0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    const unsigned char *p = (const unsigned char *)text;
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        if (p[0] < forms[f].low || p[0] > forms[f].high)
            continue;
        size_t length = forms[f].length;
        if (length > size)
            return 0;
        if (length > 1 && (p[1] < forms[f].second_low || p[1] > forms[f].second_high))
            return 0;
        for (size_t i = 2; i < length; i++)
            if ((p[i] & 0xC0) != 0x80)
                return 0;
        return length;
    }
    return 0;
}

bool nnclr_is_utf8(const char *text) {
    for (size_t left = strlen(text); left > 0;) {
        size_t length = nnclr_utf8_length(text, left);
        if (length == 0)
            return false;
        text += length;
        left -= length;
    }
    return true;
}

uint32_t nnclr_code_point(const char *text, size_t length) {
    const unsigned char *p = (const unsigned char *)text;
    static const unsigned char first[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t code = p[0] & first[length];
    for (size_t i = 1; i < length; i++)
        code = code << 6 | (p[i] & 0x3F);
    return code;
}

bool nnclr_is_hidden(uint32_t code) {
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0x00, 0x1F},     {0x7F, 0x9F},     {0xAD, 0xAD},       {0x61C, 0x61C},
        {0x180E, 0x180E}, {0x200B, 0x200F}, {0x2028, 0x202E},   {0x2060, 0x206F},
        {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}, {0xE0000, 0xE007F},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}

static bool escape_byte(nnclr_buffer *out, unsigned char byte, nnclr_error *e) {
    static const char names[] = "t\tn\nr\r\\\\";
    for (const char *n = names; *n; n += 2)
        if ((unsigned char)n[1] == byte)
            return nnclr_buffer_printf(out, e, "\\%c", n[0]);
    return nnclr_buffer_printf(out, e, "\\x%02x", byte);
}

static bool escape(nnclr_buffer *out, const char *text, size_t size, bool backslash,
                   nnclr_error *e) {
    const unsigned char *p = (const unsigned char *)text, *end = p + size;
    while (p < end) {
        size_t length = nnclr_utf8_length((const char *)p, (size_t)(end - p));
        bool shown = length > 0 && !nnclr_is_hidden(nnclr_code_point((const char *)p, length)) &&
                     !(backslash && *p == '\\');
        if (length == 0)
            length = 1;
        if (shown && !nnclr_buffer_append(out, p, length, e))
            return false;
        for (size_t i = 0; !shown && i < length; i++)
            if (!escape_byte(out, p[i], e))
                return false;
        p += length;
    }
    return nnclr_buffer_append(out, "", 0, e);
}

static int hex_digit(char c) {
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* The byte that an escape at `text` stands for, and how long it is; 0: none begins there. */
static size_t read_escape(const char *text, size_t size, char *byte) {
    static const char letters[] = "\\tnr", bytes[] = "\\\t\n\r";
    const char *letter = size >= 2 && text[1] ? strchr(letters, text[1]) : NULL;
    if (letter) {
        *byte = bytes[letter - letters];
        return 2;
    }
    if (size < 4 || text[1] != 'x' || hex_digit(text[2]) < 0 || hex_digit(text[3]) < 0)
        return 0;
    *byte = (char)(hex_digit(text[2]) * 16 + hex_digit(text[3]));
    return *byte ? 4 : 0;
}

bool nnclr_unescape(nnclr_buffer *out, const char *text, size_t size, bool *exact, nnclr_error *e) {
    const size_t start = out->size;
    nnclr_buffer again = {0};
    if (!nnclr_buffer_append(out, "", 0, e))
        return false;
    *exact = true;
    for (size_t at = 0; at < size && *exact;) {
        char byte = text[at];
        const size_t length = byte == '\\' ? read_escape(text + at, size - at, &byte) : 1;
        *exact = length > 0;
        if (*exact && !nnclr_buffer_append(out, &byte, 1, e))
            return false;
        at += length;
    }
    /* An escape that was not needed is not one. */
    bool ok = nnclr_escape(&again, (char *)out->data + start, out->size - start, e);
    *exact = *exact && ok && again.size == size && memcmp(again.data, text, size) == 0;
    nnclr_buffer_free(&again);
    if (*exact || !ok)
        return ok;
    out->size = start;
    return nnclr_buffer_append(out, text, size, e);
}

char *nnclr_utf8_copy(const char *name, size_t size, nnclr_error *e) {
    nnclr_buffer text = {0};
    if (!nnclr_buffer_append(&text, name, size, e))
        return NULL;
    if (!nnclr_is_utf8((char *)text.data)) {
        text.size = 0;
        if (!nnclr_escape(&text, name, size, e)) {
            nnclr_buffer_free(&text);
            return NULL;
        }
    }
    return (char *)text.data;
}

bool nnclr_ends_in(const char *name, const char *ending) {
    size_t size = strlen(name), tail = strlen(ending);
    return size >= tail && strcasecmp(name + size - tail, ending) == 0;
}

bool nnclr_escape(nnclr_buffer *out, const char *name, size_t size, nnclr_error *e) {
    return escape(out, name, size, true, e);
}

bool nnclr_make_printable(nnclr_buffer *out, const char *text, size_t size, nnclr_error *e) {
    return escape(out, text, size, false, e);
}

const char *nnclr_article(const char *noun) {
    return noun[0] && strchr("aeiou", noun[0]) ? "an" : "a";
}

uint32_t nnclr_load_u32(const unsigned char *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint64_t nnclr_load_u64(const unsigned char *p) {
    return (uint64_t)nnclr_load_u32(p) | (uint64_t)nnclr_load_u32(p + 4) << 32;
}

void nnclr_store_u32(unsigned char *p, uint32_t value) {
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(value >> 8 * i);
}

void nnclr_store_u64(unsigned char *p, uint64_t value) {
    nnclr_store_u32(p, (uint32_t)value);
    nnclr_store_u32(p + 4, (uint32_t)(value >> 32));
}
