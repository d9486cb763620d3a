/* JSON, by jansson; its header is included in json.c alone. A value is owned by whoever got it
 * from parse/object/array, until it is put into another value, which then owns it. Values are not
 * shared between threads. */
#ifndef NNCLR_IO_JSON_H
#define NNCLR_IO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strings.h"

typedef struct json_t nnclr_json;

/* Strict: one document, no duplicate keys, nesting, size (64 MiB) and count of values (4 Mi)
 * bounded. `what` names the text in the message. Input with NUL bytes, or that is not UTF-8, is
 * refused. */
nnclr_json *nnclr_json_parse(const char *text, size_t size, const char *what, nnclr_error *e);
nnclr_json *nnclr_json_object(nnclr_error *e);
nnclr_json *nnclr_json_array(nnclr_error *e);
void nnclr_json_free(nnclr_json *value); /* NULL is fine */
/* The value, if it was completed; otherwise frees it and returns NULL. */
nnclr_json *nnclr_json_if(bool complete, nnclr_json *value);

/* Members are written in the order in which they were put. A real that is not finite is put as
 * null; reals are written with the fewest digits that read back the same. A string with bytes that
 * are not UTF-8 is put with U+FFFD in their place. */
bool nnclr_json_put_string(nnclr_json *object, const char *key, const char *value, nnclr_error *e);
bool nnclr_json_put_int(nnclr_json *object, const char *key, int64_t value, nnclr_error *e);
bool nnclr_json_put_real(nnclr_json *object, const char *key, double value, nnclr_error *e);
bool nnclr_json_put_bool(nnclr_json *object, const char *key, bool value, nnclr_error *e);
/* The text of `value` as a string, as metadata has it. NULL: failed already, *e stays. */
bool nnclr_json_put_text(nnclr_json *object, const char *key, const nnclr_json *value,
                         nnclr_error *e);
/* That of an array of these strings. */
bool nnclr_json_put_texts(nnclr_json *object, const char *key, const char *const *texts,
                          size_t count, nnclr_error *e);
bool nnclr_json_put_null(nnclr_json *object, const char *key, nnclr_error *e);
/* Takes `value`, also on failure. */
bool nnclr_json_put(nnclr_json *object, const char *key, nnclr_json *value, nnclr_error *e);
bool nnclr_json_push(nnclr_json *array, nnclr_json *value, nnclr_error *e);
bool nnclr_json_push_string(nnclr_json *array, const char *value, nnclr_error *e);
bool nnclr_json_push_int(nnclr_json *array, int64_t value, nnclr_error *e);
bool nnclr_json_push_real(nnclr_json *array, double value, nnclr_error *e);
/* Removes a member from the object and hands it to the caller; NULL: absent or null. */
nnclr_json *nnclr_json_take(nnclr_json *object, const char *key);

/* Members that must be there and of that type; otherwise *e names the key. Borrowed results live as
 * long as the object. An integer must lie inside [low, high]. get_real takes integers too. */
const char *nnclr_json_get_string(const nnclr_json *object, const char *key, nnclr_error *e);
bool nnclr_json_get_int(const nnclr_json *object, const char *key, int64_t low, int64_t high,
                        int64_t *out, nnclr_error *e);
bool nnclr_json_get_real(const nnclr_json *object, const char *key, double *out, nnclr_error *e);
bool nnclr_json_get_bool(const nnclr_json *object, const char *key, bool *out, nnclr_error *e);
nnclr_json *nnclr_json_get(const nnclr_json *object, const char *key); /* NULL: absent or null */
bool nnclr_json_is_object(const nnclr_json *value);
bool nnclr_json_is_array(const nnclr_json *value);

size_t nnclr_json_count(const nnclr_json *array); /* of elements, or of members */
nnclr_json *nnclr_json_at(const nnclr_json *array, size_t i);
const char *nnclr_json_string(const nnclr_json *value); /* NULL: not a string */
bool nnclr_json_int(const nnclr_json *value, int64_t low, int64_t high, int64_t *out);
bool nnclr_json_real(const nnclr_json *value, double *out);
bool nnclr_json_bool(const nnclr_json *value, bool *out);
/* Walks the members in order: *iterator NULL starts, and is NULL again after the last. */
nnclr_json *nnclr_json_each(const nnclr_json *object, void **iterator, const char **key);

/* Appends the text on one line, without a newline; `pretty`: indented by 2, on several lines. */
bool nnclr_json_print(const nnclr_json *value, bool pretty, nnclr_buffer *out, nnclr_error *e);

#endif
