#include "io/json.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"

enum { TEXT_LIMIT = 64 << 20, VALUES_LIMIT = 4 << 20 };

/* ---- UTF-8 ---- */

static bool append_replaced(nnclr_buffer *out, const char *value, nnclr_error *e) {
    for (size_t left = strlen(value); left > 0;) {
        size_t length = nnclr_utf8_length(value, left);
        bool ok = length > 0 ? nnclr_buffer_append(out, value, length, e)
                             : nnclr_buffer_append(out, "\xEF\xBF\xBD", 3, e);
        if (!ok)
            return false;
        length = length > 0 ? length : 1;
        value += length;
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

/* A value takes far more memory than its text does ("[]," forty times as much), so that the text's
 * size alone is no bound. Counts what comes before values; in broken text it counts something. */
static size_t count_values(const char *text, size_t size) {
    size_t count = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '"')
            in_string = !in_string;
        else if (in_string && text[i] == '\\')
            i++;
        else if (!in_string)
            count += text[i] == ',' || text[i] == '[' || text[i] == '{';
    }
    return count;
}

nnclr_json *nnclr_json_parse(const char *text, size_t size, const char *what, nnclr_error *e) {
    if (size > TEXT_LIMIT) {
        nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: %zu bytes of JSON, more than %d", what, size,
                   (int)TEXT_LIMIT);
        return NULL;
    }
    if (count_values(text, size) > VALUES_LIMIT) {
        nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: JSON of more than %d values", what,
                   (int)VALUES_LIMIT);
        return NULL;
    }
    json_error_t why;
    json_t *value = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!value)
        nnclr_fail(e,
                   json_error_code(&why) == json_error_out_of_memory ? NNCLR_ERROR_MEMORY
                                                                     : NNCLR_ERROR_INPUT,
                   "%s: not valid JSON at line %d, column %d: %s", what, why.line, why.column,
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

nnclr_json *nnclr_json_if(bool complete, nnclr_json *value) {
    if (complete)
        return value;
    nnclr_json_free(value);
    return NULL;
}

static nnclr_json *string_value(const char *value, nnclr_error *e) {
    if (nnclr_is_utf8(value))
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
        nnclr_fail(e, NNCLR_ERROR_INPUT, "\"%s\" is not a string", key);
    return text;
}

bool nnclr_json_get_int(const nnclr_json *object, const char *key, int64_t low, int64_t high,
                        int64_t *out, nnclr_error *e) {
    const nnclr_json *value = member(object, key, e);
    if (!value)
        return false;
    if (!json_is_integer(value))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "\"%s\" is not an integer", key);
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
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "\"%s\" is not a number", key);
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

bool nnclr_json_bool(const nnclr_json *value, bool *out) {
    *out = json_is_true(value);
    return json_is_boolean(value);
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

/* ---- printing: jansson does not know the shortest numbers, and so prints strings alone ---- */

typedef struct sink {
    nnclr_buffer *out;
    nnclr_error *e;
    bool full;
} sink;

/* A hidden character as JSON's escapes have it: above 0xFFFF as two halves. */
static bool print_hidden(uint32_t code, nnclr_buffer *out, nnclr_error *e) {
    if (code <= 0xFFFF)
        return nnclr_buffer_printf(out, e, "\\u%04X", (unsigned)code);
    return nnclr_buffer_printf(out, e, "\\u%04X\\u%04X", (unsigned)(0xD7C0 + (code >> 10)),
                               (unsigned)(0xDC00 | (code & 0x3FF)));
}

/* jansson hands over whole characters, and leaves those that a terminal would obey as they are. */
static int collect(const char *text, size_t size, void *context) {
    sink *s = context;
    size_t begun = 0, length;
    for (size_t at = 0; at < size && !s->full; at += length) {
        length = nnclr_utf8_length(text + at, size - at);
        const uint32_t code = nnclr_code_point(text + at, length);
        if (!nnclr_is_hidden(code))
            continue;
        s->full = !nnclr_buffer_append(s->out, text + begun, at - begun, s->e) ||
                  !print_hidden(code, s->out, s->e);
        begun = at + length;
    }
    s->full = s->full || !nnclr_buffer_append(s->out, text + begun, size - begun, s->e);
    return s->full ? -1 : 0;
}

static bool print_string(const char *text, nnclr_buffer *out, nnclr_error *e) {
    sink s = {out, e, false};
    json_t *value = json_string_nocheck(text);
    const bool ok = value && json_dump_callback(value, collect, &s, JSON_ENCODE_ANY) == 0;
    json_decref(value);
    return ok || (!s.full && nnclr_fail(e, NNCLR_ERROR_MEMORY, "not enough memory to print JSON"));
}

/* A point or an exponent stays in it, so that it is read as a real again. */
static bool print_real(double value, nnclr_buffer *out, nnclr_error *e) {
    char text[NNCLR_REAL_TEXT];
    nnclr_print_shortest(value, text);
    return nnclr_buffer_printf(out, e, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

typedef struct printing {
    nnclr_buffer *out;
    bool pretty;
} printing;

static bool print_value(const printing *p, const json_t *value, int depth, nnclr_error *e);

/* A new line of that depth, if there are lines. */
static bool print_break(const printing *p, int depth, nnclr_error *e) {
    return !p->pretty || nnclr_buffer_printf(p->out, e, "\n%*s", 2 * depth, "");
}

/* Members with their keys, or elements. */
static bool print_parts(const printing *p, const json_t *value, int depth, nnclr_error *e) {
    const size_t count = nnclr_json_count(value);
    void *iterator = NULL;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        const char *key = NULL;
        const json_t *part = json_is_object(value) ? nnclr_json_each(value, &iterator, &key)
                                                   : json_array_get(value, i);
        ok = (i == 0 || nnclr_buffer_append(p->out, ",", 1, e)) && print_break(p, depth + 1, e) &&
             (!key || (print_string(key, p->out, e) &&
                       nnclr_buffer_append(p->out, ": ", p->pretty ? 2 : 1, e))) &&
             print_value(p, part, depth + 1, e);
    }
    return ok && (count == 0 || print_break(p, depth, e));
}

static bool print_value(const printing *p, const json_t *value, int depth, nnclr_error *e) {
    const bool object = json_is_object(value);
    if (object || json_is_array(value))
        return nnclr_buffer_append(p->out, object ? "{" : "[", 1, e) &&
               print_parts(p, value, depth, e) &&
               nnclr_buffer_append(p->out, object ? "}" : "]", 1, e);
    if (json_is_string(value))
        return print_string(json_string_value(value), p->out, e);
    if (json_is_real(value))
        return print_real(json_real_value(value), p->out, e);
    if (json_is_integer(value))
        return nnclr_buffer_printf(p->out, e, "%lld", (long long)json_integer_value(value));
    return nnclr_buffer_printf(p->out, e, "%s",
                               json_is_null(value)   ? "null"
                               : json_is_true(value) ? "true"
                                                     : "false");
}

bool nnclr_json_print(const nnclr_json *value, bool pretty, nnclr_buffer *out, nnclr_error *e) {
    const printing p = {out, pretty};
    return print_value(&p, value, 0, e);
}

bool nnclr_json_put_text(nnclr_json *object, const char *key, const nnclr_json *value,
                         nnclr_error *e) {
    nnclr_buffer text = {0};
    bool ok = value && nnclr_json_print(value, false, &text, e) &&
              nnclr_json_put_string(object, key, (const char *)text.data, e);
    nnclr_buffer_free(&text);
    return ok;
}

bool nnclr_json_put_texts(nnclr_json *object, const char *key, const char *const *texts,
                          size_t count, nnclr_error *e) {
    nnclr_json *array = nnclr_json_array(e);
    bool ok = array != NULL;
    for (size_t i = 0; ok && i < count; i++)
        ok = nnclr_json_push_string(array, texts[i], e);
    ok = ok && nnclr_json_put_text(object, key, array, e);
    nnclr_json_free(array);
    return ok;
}
