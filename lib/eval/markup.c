#include "eval/markup.h"

#include <string.h>

bool nnclr_markup_fail(nnclr_markup *m, const nnclr_error *e) {
    if (!m->failed)
        m->error = *e;
    m->failed = true;
    return false;
}

static void append(nnclr_markup *m, const void *bytes, size_t size) {
    nnclr_error e = NNCLR_NO_ERROR;
    if (!m->failed && !nnclr_buffer_append(&m->out, bytes, size, &e))
        nnclr_markup_fail(m, &e);
}

void nnclr_markup_add(nnclr_markup *m, const char *html) {
    append(m, html, strlen(html));
}

void nnclr_markup_printf(nnclr_markup *m, const char *format, ...) {
    nnclr_error e = NNCLR_NO_ERROR;
    va_list arguments;
    va_start(arguments, format);
    if (!m->failed && !nnclr_buffer_vprintf(&m->out, &e, format, arguments))
        nnclr_markup_fail(m, &e);
    va_end(arguments);
}

static const char *entity(unsigned char letter) {
    switch (letter) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void nnclr_markup_text(nnclr_markup *m, const char *text) {
    nnclr_buffer plain = {0};
    nnclr_error e = NNCLR_NO_ERROR;
    if (!text || m->failed)
        return;
    if (!nnclr_escape(&plain, text, strlen(text), &e))
        nnclr_markup_fail(m, &e);
    for (size_t i = 0; !m->failed && i < plain.size; i++) {
        const char *special = entity(plain.data[i]);
        if (special)
            nnclr_markup_add(m, special);
        else
            append(m, plain.data + i, 1);
    }
    nnclr_buffer_free(&plain);
}

void nnclr_markup_data(nnclr_markup *m, const char *type, const void *bytes, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *from = bytes;
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_markup_printf(m, "data:%s;base64,", type);
    if (!m->failed && !nnclr_buffer_reserve(&m->out, size / 3 * 4 + 4, &e))
        nnclr_markup_fail(m, &e);
    for (size_t i = 0; !m->failed && i < size; i += 3) {
        const size_t left = size - i;
        unsigned bits = (unsigned)from[i] << 16;
        if (left > 1)
            bits |= (unsigned)from[i + 1] << 8;
        if (left > 2)
            bits |= from[i + 2];
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63], digits[bits >> 6 & 63],
                        digits[bits & 63]};
        if (left < 3)
            four[3] = '=';
        if (left < 2)
            four[2] = '=';
        append(m, four, sizeof four);
    }
}
