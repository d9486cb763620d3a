#include "io/json.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"

enum { TEXT_LIMIT = 64 << 20 };

/* ---- UTF-8 ---- */

/* Length of the character at the start of text[0..size), 0 where the bytes are no UTF-8: overlong
 * forms, surrogates and what lies above U+10FFFF are none. */
static size_t character(const unsigned char *text, size_t size) {
    static const struct {
        unsigned char low, high, second_low, second_high;
        unsigned char length;
    } forms[] = {
        {0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        if (text[0] < forms[f].low || text[0] > forms[f].high)
            continue;
        size_t length = forms[f].length;
        if (length > size)
            return 0;
        if (length > 1 && (text[1] < forms[f].second_low || text[1] > forms[f].second_high))
            return 0;
        for (size_t i = 2; i < length; i++)
            if ((text[i] & 0xC0) != 0x80)
                return 0;
        return length;
    }
    return 0;
}

bool nnclr_json_is_utf8(const char *value) {
    const unsigned char *text = (const unsigned char *)value;
    for (size_t left = strlen(value); left > 0;) {
        size_t length = character(text, left);
        if (length == 0)
            return false;
        text += length;
        left -= length;
    }
    return true;
}

static bool append_replaced(nnclr_buffer *out, const char *value, nnclr_error *e) {
    const unsigned char *text = (const unsigned char *)value;
    for (size_t left = strlen(value); left > 0;) {
        size_t length = character(text, left);
        bool ok = length > 0 ? nnclr_buffer_append(out, text, length, e)
                             : nnclr_buffer_append(out, "\xEF\xBF\xBD", 3, e);
        if (!ok)
            return false;
        length = length > 0 ? length : 1;
        text += length;
        left -= length;
    }
    return true;
}

/* ---- making values ---- */

static nnclr_json *checked(json_t *value, nnclr_error *e) {
    if (!value)
        nnclr_fail(e, NNCLR_ERROR_MEMORY, "not enough memory for a JSON value");
    return value;
}

nnclr_json *nnclr_json_parse(const char *text, size_t size, const char *what, nnclr_error *e) {
    if (size > TEXT_LIMIT) {
        nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: %zu bytes of JSON, more than %d", what, size,
                   (int)TEXT_LIMIT);
        return NULL;
    }
    json_error_t why;
    json_t *value = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!value)
        nnclr_fail(e,
                   json_error_code(&why) == json_error_out_of_memory ? NNCLR_ERROR_MEMORY
                                                                     : NNCLR_ERROR_INPUT,
                   "%s: no valid JSON at line %d, column %d: %s", what, why.line, why.column,
                   why.text);
    return value;
}

nnclr_json *nnclr_json_object(nnclr_error *e) {
    return checked(json_object(), e);
}
nnclr_json *nnclr_json_array(nnclr_error *e) {
    return checked(json_array(), e);
}
void nnclr_json_free(nnclr_json *value) {
    json_decref(value);
}

static nnclr_json *string_value(const char *value, nnclr_error *e) {
    if (nnclr_json_is_utf8(value))
        return checked(json_string_nocheck(value), e);
    nnclr_buffer text = {0};
    json_t *string = NULL;
    if (append_replaced(&text, value, e))
        string = checked(json_stringn_nocheck((const char *)text.data, text.size), e);
    nnclr_buffer_free(&text);
    return string;
}

static nnclr_json *real_value(double value, nnclr_error *e) {
    return checked(isfinite(value) ? json_real(value) : json_null(), e);
}

bool nnclr_json_put(nnclr_json *object, const char *key, nnclr_json *value, nnclr_error *e) {
    if (!value)
        return false; /* *e is set by whoever should have made it */
    if (json_object_set_new(object, key, value) != 0)
        return nnclr_fail(e, NNCLR_ERROR_MEMORY, "not enough memory for JSON member \"%s\"", key);
    return true;
}

bool nnclr_json_put_string(nnclr_json *object, const char *key, const char *value, nnclr_error *e) {
    return nnclr_json_put(object, key, string_value(value, e), e);
}

bool nnclr_json_put_int(nnclr_json *object, const char *key, int64_t value, nnclr_error *e) {
    return nnclr_json_put(object, key, checked(json_integer(value), e), e);
}

bool nnclr_json_put_real(nnclr_json *object, const char *key, double value, nnclr_error *e) {
    return nnclr_json_put(object, key, real_value(value, e), e);
}

bool nnclr_json_put_bool(nnclr_json *object, const char *key, bool value, nnclr_error *e) {
    return nnclr_json_put(object, key, json_boolean(value), e);
}

bool nnclr_json_put_null(nnclr_json *object, const char *key, nnclr_error *e) {
    return nnclr_json_put(object, key, json_null(), e);
}

bool nnclr_json_push(nnclr_json *array, nnclr_json *value, nnclr_error *e) {
    if (!value)
        return false;
    if (json_array_append_new(array, value) != 0)
        return nnclr_fail(e, NNCLR_ERROR_MEMORY, "not enough memory for a JSON array");
    return true;
}

bool nnclr_json_push_string(nnclr_json *array, const char *value, nnclr_error *e) {
    return nnclr_json_push(array, string_value(value, e), e);
}

bool nnclr_json_push_int(nnclr_json *array, int64_t value, nnclr_error *e) {
    return nnclr_json_push(array, checked(json_integer(value), e), e);
}

bool nnclr_json_push_real(nnclr_json *array, double value, nnclr_error *e) {
    return nnclr_json_push(array, real_value(value, e), e);
}

nnclr_json *nnclr_json_take(nnclr_json *object, const char *key) {
    json_t *value = nnclr_json_get(object, key);
    json_incref(value);
    json_object_del(object, key);
    return value;
}

/* ---- looking at values ---- */

nnclr_json *nnclr_json_get(const nnclr_json *object, const char *key) {
    json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

/* The member, or NULL with *e set. */
static nnclr_json *member(const nnclr_json *object, const char *key, nnclr_error *e) {
    nnclr_json *value = nnclr_json_get(object, key);
    if (!value)
        nnclr_fail(e, NNCLR_ERROR_INPUT, "\"%s\" is missing", key);
    return value;
}

const char *nnclr_json_get_string(const nnclr_json *object, const char *key, nnclr_error *e) {
    const nnclr_json *value = member(object, key, e);
    const char *text = json_string_value(value);
    if (value && !text)
        nnclr_fail(e, NNCLR_ERROR_INPUT, "\"%s\" is no string", key);
    return text;
}

bool nnclr_json_get_int(const nnclr_json *object, const char *key, int64_t low, int64_t high,
                        int64_t *out, nnclr_error *e) {
    const nnclr_json *value = member(object, key, e);
    if (!value)
        return false;
    if (!json_is_integer(value))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "\"%s\" is no integer", key);
    if (!nnclr_json_int(value, low, high, out))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "\"%s\" is %lld, not in [%lld, %lld]", key,
                          (long long)json_integer_value(value), (long long)low, (long long)high);
    return true;
}

bool nnclr_json_get_real(const nnclr_json *object, const char *key, double *out, nnclr_error *e) {
    const nnclr_json *value = member(object, key, e);
    if (!value)
        return false;
    if (!nnclr_json_real(value, out))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "\"%s\" is no number", key);
    return true;
}

bool nnclr_json_get_bool(const nnclr_json *object, const char *key, bool *out, nnclr_error *e) {
    const nnclr_json *value = member(object, key, e);
    if (!value)
        return false;
    if (!json_is_boolean(value))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "\"%s\" is neither true nor false", key);
    *out = json_is_true(value);
    return true;
}

bool nnclr_json_is_object(const nnclr_json *value) {
    return json_is_object(value);
}
bool nnclr_json_is_array(const nnclr_json *value) {
    return json_is_array(value);
}

size_t nnclr_json_count(const nnclr_json *array) {
    return json_is_object(array) ? json_object_size(array) : json_array_size(array);
}

nnclr_json *nnclr_json_at(const nnclr_json *array, size_t i) {
    return json_array_get(array, i);
}
const char *nnclr_json_string(const nnclr_json *value) {
    return json_string_value(value);
}

bool nnclr_json_int(const nnclr_json *value, int64_t low, int64_t high, int64_t *out) {
    if (!json_is_integer(value))
        return false;
    int64_t number = json_integer_value(value);
    if (number < low || number > high)
        return false;
    *out = number;
    return true;
}

bool nnclr_json_real(const nnclr_json *value, double *out) {
    if (!json_is_number(value))
        return false;
    *out = json_number_value(value);
    return true;
}

nnclr_json *nnclr_json_each(const nnclr_json *object, void **iterator, const char **key) {
    json_t *walked = (json_t *)object; /* jansson's iterators want it so, and change nothing */
    void *here = *iterator ? json_object_iter_next(walked, *iterator) : json_object_iter(walked);
    *iterator = here;
    if (!here)
        return NULL;
    *key = json_object_iter_key(here);
    return json_object_iter_value(here);
}

/* ---- printing ---- */

typedef struct sink {
    nnclr_buffer *out;
    nnclr_error *e;
    bool full;
} sink;

static int collect(const char *text, size_t size, void *context) {
    sink *s = context;
    if (nnclr_buffer_append(s->out, text, size, s->e))
        return 0;
    s->full = true;
    return -1;
}

bool nnclr_json_print(const nnclr_json *value, bool pretty, nnclr_buffer *out, nnclr_error *e) {
    sink s = {out, e, false};
    size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(17);
    flags |= pretty ? JSON_INDENT(2) : JSON_COMPACT;
    if (json_dump_callback(value, collect, &s, flags) == 0)
        return true;
    return s.full ? false : nnclr_fail(e, NNCLR_ERROR_MEMORY, "not enough memory to print JSON");
}
