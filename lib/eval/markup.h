/* HTML under construction: text from outside is escaped, bytes become data URIs. The first failure
 * sticks, so that a page is written without asking after each piece. */
#ifndef NNCLR_EVAL_MARKUP_H
#define NNCLR_EVAL_MARKUP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/strings.h"

typedef struct nnclr_markup {
    nnclr_buffer out; /* the caller frees it */
    bool failed;
    nnclr_error error; /* what failed first */
} nnclr_markup;

/* As it is: our own tags. */
void nnclr_markup_add(nnclr_markup *m, const char *html);
void nnclr_markup_printf(nnclr_markup *m, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Text from outside, fit for an element and for an attribute in double quotes; bytes that are not
 * UTF-8 and control characters as nnclr_escape writes them. NULL: nothing. */
void nnclr_markup_text(nnclr_markup *m, const char *text);
/* "data:TYPE;base64,..." */
void nnclr_markup_data(nnclr_markup *m, const char *type, const void *bytes, size_t size);

/* Notes a failure from elsewhere, unless there was one before; returns false. */
bool nnclr_markup_fail(nnclr_markup *m, const nnclr_error *e);

#endif
