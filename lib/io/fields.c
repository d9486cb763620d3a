#include "io/fields.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/strings.h"

/* ---- writing ---- */

/* Puts an array that may be NULL because making it failed, or that is not complete. */
static bool put_array(nnclr_json *object, const char *key, nnclr_json *array, bool complete,
                      nnclr_error *e) {
    if (complete)
        return nnclr_json_put(object, key, array, e);
    nnclr_json_free(array);
    return false;
}

static double real_at(const nnclr_field *f, const void *place, int i) {
    return f->type == NNCLR_FIELD_FLOAT ? nnclr_shortest(((const float *)place)[i])
                                        : ((const double *)place)[i];
}

static bool put_reals(nnclr_json *object, const nnclr_field *f, const void *place, nnclr_error *e) {
    if (f->count <= 1)
        return nnclr_json_put_real(object, f->key, real_at(f, place, 0), e);
    nnclr_json *array = nnclr_json_array(e);
    bool ok = array != NULL;
    for (int i = 0; ok && i < f->count; i++)
        ok = nnclr_json_push_real(array, real_at(f, place, i), e);
    return put_array(object, f->key, array, ok, e);
}

static bool put_list(nnclr_json *object, const nnclr_field *f, const int *list, nnclr_error *e) {
    nnclr_json *array = nnclr_json_array(e);
    bool ok = array != NULL;
    for (int i = 0; ok && i < list[0]; i++)
        ok = nnclr_json_push_int(array, list[1 + i], e);
    return put_array(object, f->key, array, ok, e);
}

static bool put_value(nnclr_json *object, const nnclr_field *f, const void *place, nnclr_error *e) {
    switch (f->type) {
    case NNCLR_FIELD_INT:
        return nnclr_json_put_int(object, f->key, *(const int *)place, e);
    case NNCLR_FIELD_LONG:
        return nnclr_json_put_int(object, f->key, *(const int64_t *)place, e);
    case NNCLR_FIELD_BOOL:
        return nnclr_json_put_bool(object, f->key, *(const bool *)place, e);
    case NNCLR_FIELD_CHOICE:
        return nnclr_json_put_string(object, f->key, f->choices[*(const int *)place], e);
    case NNCLR_FIELD_LIST:
        return put_list(object, f, place, e);
    case NNCLR_FIELD_REAL:
    case NNCLR_FIELD_FLOAT:
        break;
    }
    return put_reals(object, f, place, e);
}

/* ---- reading ---- */

static bool get_int(const nnclr_field *f, const nnclr_json *value, int *out) {
    int64_t integer;
    if (!nnclr_json_int(value, (int64_t)f->low, (int64_t)f->high, &integer))
        return false;
    *out = (int)integer;
    return true;
}

static bool get_real(const nnclr_field *f, const nnclr_json *value, void *place, int i) {
    double real, low = f->low, high = f->high;
    if (f->type == NNCLR_FIELD_FLOAT) { /* a value at a bound was rounded like the bound here */
        low = (double)(float)low;
        high = (double)(float)high;
    }
    if (!nnclr_json_real(value, &real) || !(real >= low && real <= high))
        return false;
    if (f->type == NNCLR_FIELD_FLOAT)
        ((float *)place)[i] = (float)real;
    else
        ((double *)place)[i] = real;
    return true;
}

static bool get_reals(const nnclr_field *f, const nnclr_json *value, void *place) {
    if (f->count <= 1)
        return get_real(f, value, place, 0);
    if (!nnclr_json_is_array(value) || nnclr_json_count(value) != (size_t)f->count)
        return false;
    for (int i = 0; i < f->count; i++)
        if (!get_real(f, nnclr_json_at(value, (size_t)i), place, i))
            return false;
    return true;
}

static bool get_list(const nnclr_field *f, const nnclr_json *value, int *list) {
    if (!nnclr_json_is_array(value) || nnclr_json_count(value) > (size_t)f->count)
        return false;
    list[0] = (int)nnclr_json_count(value);
    for (int i = 0; i < list[0]; i++)
        if (!get_int(f, nnclr_json_at(value, (size_t)i), &list[1 + i]))
            return false;
    return true;
}

static bool get_choice(const nnclr_field *f, const nnclr_json *value, int *choice) {
    const char *name = nnclr_json_string(value);
    for (int i = 0; name && f->choices[i]; i++)
        if (strcmp(name, f->choices[i]) == 0) {
            *choice = i;
            return true;
        }
    return false;
}

static bool get_value(const nnclr_field *f, const nnclr_json *value, void *place) {
    switch (f->type) {
    case NNCLR_FIELD_INT:
        return get_int(f, value, place);
    case NNCLR_FIELD_LONG:
        return nnclr_json_int(value, (int64_t)f->low, (int64_t)f->high, place);
    case NNCLR_FIELD_BOOL:
        return nnclr_json_bool(value, place);
    case NNCLR_FIELD_CHOICE:
        return get_choice(f, value, place);
    case NNCLR_FIELD_LIST:
        return get_list(f, value, place);
    case NNCLR_FIELD_REAL:
    case NNCLR_FIELD_FLOAT:
        break;
    }
    return get_reals(f, value, place);
}

static bool get_fallback(const nnclr_field *f, void *place, nnclr_error *e) {
    char text[200];
    const int size = snprintf(text, sizeof text, "[%s]", f->fallback);
    nnclr_json *array = nnclr_json_parse(text, (size_t)size, f->key, e);
    const bool ok = array && get_value(f, nnclr_json_at(array, 0), place);
    nnclr_json_free(array);
    return ok;
}

/* ---- both ---- */

/* Whether it has the value of its fallback; -1: not to be found out. */
static int is_fallback(const nnclr_field *f, const void *place, nnclr_error *e) {
    static const size_t widths[] = {
        [NNCLR_FIELD_INT] = sizeof(int),     [NNCLR_FIELD_LONG] = sizeof(int64_t),
        [NNCLR_FIELD_REAL] = sizeof(double), [NNCLR_FIELD_FLOAT] = sizeof(float),
        [NNCLR_FIELD_BOOL] = sizeof(bool),   [NNCLR_FIELD_CHOICE] = sizeof(int),
    };
    enum { MOST = 4 };
    double values[MOST] = {0};
    assert(f->type != NNCLR_FIELD_LIST && f->count <= MOST);
    const size_t bytes = widths[f->type] * (size_t)(f->count > 1 ? f->count : 1);
    return get_fallback(f, values, e) ? memcmp(values, place, bytes) == 0 : -1;
}

bool nnclr_field_put(nnclr_json *object, const nnclr_field *f, const void *from, nnclr_error *e) {
    const void *place = (const unsigned char *)from + f->offset;
    const int usual = f->sparse ? is_fallback(f, place, e) : 0;
    return usual > 0 || (usual == 0 && put_value(object, f, place, e));
}

bool nnclr_field_get(const nnclr_json *object, const char *what, const nnclr_field *f, void *to,
                     nnclr_error *e) {
    void *place = (unsigned char *)to + f->offset;
    const nnclr_json *value = nnclr_json_get(object, f->key);
    if (!value && f->fallback)
        return get_fallback(f, place, e);
    if (!value)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s has no \"%s\"", what, f->key);
    return get_value(f, value, place) ||
           nnclr_fail(e, NNCLR_ERROR_INPUT, "\"%s\" of %s has an impossible value", f->key, what);
}
