#include "io/json.h"

#include "tests/unit/check.h"

static nnclr_error e; /* of the call that is checked */

static nnclr_json *parse(const char *text) {
    nnclr_json *value = nnclr_json_parse(text, strlen(text), "text", &e);
    CHECK_OK(value);
    return value;
}

static void check_print(const nnclr_json *value, bool pretty, const char *must) {
    nnclr_buffer out = {0};
    CHECK_OK(nnclr_json_print(value, pretty, &out, &e));
    CHECK_TEXT((const char *)out.data, must);
    nnclr_buffer_free(&out);
}

TEST(members_keep_their_order) {
    nnclr_json *object = nnclr_json_object(&e), *array = nnclr_json_array(&e);
    CHECK_OK(nnclr_json_put_string(object, "z", "a\"\n\xC3\xA9", &e));
    CHECK_OK(nnclr_json_put_int(object, "big", INT64_MIN, &e));
    CHECK_OK(nnclr_json_put_real(object, "third", 1.0 / 3, &e));
    CHECK_OK(nnclr_json_put_real(object, "nan", NAN, &e));
    CHECK_OK(nnclr_json_put_bool(object, "yes", true, &e));
    CHECK_OK(nnclr_json_put_null(object, "none", &e));
    CHECK_OK(nnclr_json_push_int(array, 7, &e) && nnclr_json_push_string(array, "s", &e) &&
             nnclr_json_push_real(array, -INFINITY, &e) && nnclr_json_push_real(array, 0.5, &e));
    CHECK_OK(nnclr_json_put(object, "a", array, &e));
    check_print(object, false,
                "{\"z\":\"a\\\"\\n\xC3\xA9\",\"big\":-9223372036854775808,"
                "\"third\":0.3333333333333333,\"nan\":null,\"yes\":true,\"none\":null,"
                "\"a\":[7,\"s\",null,0.5]}");
    nnclr_json_free(object);

    nnclr_json *small = parse("{\"b\":[1],\"a\":{}}");
    check_print(small, true, "{\n  \"b\": [\n    1\n  ],\n  \"a\": {}\n}");
    nnclr_json_free(small);
}

TEST(reals_read_back_exactly) {
    static const double values[] = {0.1, 1e-308, 5e-324, 1.7976931348623157e308,
                                    2,   -0.0,   1e22,   123456789.12345679};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        nnclr_buffer out = {0};
        nnclr_json *object = nnclr_json_object(&e);
        CHECK_OK(nnclr_json_put_real(object, "v", values[i], &e) &&
                 nnclr_json_print(object, false, &out, &e));
        nnclr_json *again = parse((const char *)out.data);
        double back;
        CHECK_OK(nnclr_json_get_real(again, "v", &back, &e));
        CHECK_SAYS(memcmp(&back, &values[i], sizeof back) == 0, "%s", (const char *)out.data);
        nnclr_json_free(again);
        nnclr_json_free(object);
        nnclr_buffer_free(&out);
    }
}

/* What Python's repr and json.dumps print, except for zeros and signs in exponents. */
TEST(reals_have_as_few_digits_as_they_need) {
    const struct {
        double value;
        const char *text;
    } cases[] = {{0.1, "0.1"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {1.0 / 3, "0.3333333333333333"},
                 {2, "2.0"},
                 {100000, "100000.0"},
                 {1e22, "1e22"},
                 {2.5e-7, "2.5e-7"},
                 {5e-324, "5e-324"},
                 {2.2250738585072014e-308, "2.2250738585072014e-308"},
                 {1.7976931348623157e308, "1.7976931348623157e308"},
                 {nnclr_shortest(0.1f), "0.1"},
                 {nnclr_shortest(0.4914f), "0.4914"},
                 {nnclr_shortest(16777216.0f), "16777216.0"},
                 {nnclr_shortest(1e-45f), "1e-45"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nnclr_json *array = nnclr_json_array(&e);
        char must[60];
        CHECK_OK(nnclr_json_push_real(array, cases[i].value, &e));
        snprintf(must, sizeof must, "[%s]", cases[i].text);
        check_print(array, false, must);
        nnclr_json_free(array);
    }
    /* For any float, the digits read back as the float itself. */
    uint32_t bits = 1;
    for (int i = 0; i < 100000; i++) {
        float value;
        bits = bits * 1664525 + 1013904223;
        memcpy(&value, &bits, sizeof value);
        CHECK(!isfinite(value) || (float)nnclr_shortest(value) == value);
    }
}

/* What a terminal would obey is escaped, and read back as it was. */
TEST(hidden_characters_are_escaped) {
    const char *name = "a\x1B\x7F\xC2\x9B\xE2\x80\xAE\xEF\xBB\xBF\xF3\xA0\x81\x81\xC3\xBC\n", *back;
    nnclr_json *object = nnclr_json_object(&e);
    CHECK_OK(nnclr_json_put_string(object, "a", name, &e));
    const char *text = "{\"a\":\"a\\u001B\\u007F\\u009B\\u202E\\uFEFF\\uDB40\\uDC41\xC3\xBC\\n\"}";
    check_print(object, false, text);
    nnclr_json_free(object);
    object = nnclr_json_parse(text, strlen(text), "escapes", &e);
    CHECK_OK(object && (back = nnclr_json_get_string(object, "a", &e)) && strcmp(back, name) == 0);
    nnclr_json_free(object);
}

TEST(bytes_that_are_no_utf8_are_replaced) {
    static const struct {
        const char *bytes, *text;
    } cases[] = {
        {"caf\xE9", "caf\xEF\xBF\xBD"},
        {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\x99", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\x99"},
        {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"},                 /* overlong */
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* surrogate */
        {"\xE2\x82", "\xEF\xBF\xBD\xEF\xBF\xBD"},                 /* cut off */
        {"\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nnclr_json *object = nnclr_json_object(&e);
        CHECK_OK(nnclr_json_put_string(object, "s", cases[i].bytes, &e));
        CHECK_TEXT(nnclr_json_get_string(object, "s", &e), cases[i].text);
        CHECK(nnclr_is_utf8(cases[i].bytes) == (strcmp(cases[i].bytes, cases[i].text) == 0));
        nnclr_json_free(object);
    }
}

TEST(wrong_text_is_refused) {
    static const struct {
        const char *text;
        size_t size;
    } cases[] = {
        {"", 0},
        {"{", 1},
        {"{\"a\":1,\"a\":2}", 13},
        {"{\"a\":1} x", 9},
        {"{\"a\":\"x\0y\"}", 11},
        {"{\"a\":\"x\\u0000y\"}", 16},
        {"{\"a\":\"\xE9\"}", 9},
        {"{\"a\":1e999}", 11},
        {"{\"a\":99999999999999999999}", 26},
        {"{'a':1}", 7},
        {"nan", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        e = (nnclr_error)NNCLR_NO_ERROR;
        nnclr_json *value = nnclr_json_parse(cases[i].text, cases[i].size, "the text", &e);
        CHECK_SAYS(!value, "case %zu is taken", i);
        CHECK_SAYS(e.code == NNCLR_ERROR_INPUT && strncmp(e.message, "the text: ", 10) == 0,
                   "case %zu: %s", i, e.message);
    }
    enum { DEEP = 100000 };
    char *deep = malloc(DEEP);
    memset(deep, '[', DEEP);
    CHECK_FAILS_AS(nnclr_json_parse(deep, DEEP, "deep", &e), NNCLR_ERROR_INPUT);
    CHECK_FAILS_AS(nnclr_json_parse(deep, (size_t)65 << 20, "long", &e), NNCLR_ERROR_LIMIT);
    free(deep);
}

/* A small compressed file may unpack to a text whose values take gigabytes. */
TEST(many_values_are_refused) {
    enum { PAIRS = 3 << 20 };
    char *text = malloc(3 * PAIRS + 2);
    for (size_t i = 0; i < PAIRS; i++)
        memcpy(text + 3 * i, i == 0 ? "[[]" : ",[]", 3);
    text[3 * PAIRS] = ']';
    CHECK_FAILS_AS(nnclr_json_parse(text, 3 * PAIRS + 1, "many", &e), NNCLR_ERROR_LIMIT);
    CHECK_TEXT(e.message, "many: JSON of more than 4194304 values");

    /* The same many characters in a string are one value. */
    memset(text, ',', 3 * PAIRS);
    memcpy(text, "[\"\\\"", 4);
    memcpy(text + 3 * PAIRS - 2, "\"]", 2);
    nnclr_json *value = nnclr_json_parse(text, 3 * PAIRS, "one", &e);
    CHECK_OK(value && nnclr_json_count(value) == 1);
    nnclr_json_free(value);
    free(text);
}

TEST(members_are_checked) {
    nnclr_json *o = parse("{\"s\":\"x\",\"i\":5,\"r\":1.5,\"b\":true,\"n\":null,\"a\":[1,2,3]}");
    int64_t i = 0;
    double r = 0;
    bool b = false;
    CHECK_TEXT(nnclr_json_get_string(o, "s", &e), "x");
    CHECK_OK(nnclr_json_get_int(o, "i", 0, 5, &i, &e) && i == 5);
    CHECK_OK(nnclr_json_get_real(o, "r", &r, &e) && r == 1.5);
    CHECK_OK(nnclr_json_get_real(o, "i", &r, &e) && r == 5);
    CHECK_OK(nnclr_json_get_bool(o, "b", &b, &e) && b);
    CHECK(!nnclr_json_get(o, "n") && !nnclr_json_get(o, "absent"));
    CHECK_FAILS_WITH(nnclr_json_get_string(o, "i", &e), "\"i\" is not a string");
    CHECK_FAILS_WITH(nnclr_json_get_int(o, "i", 6, 9, &i, &e), "\"i\" is 5, not in [6, 9]");
    CHECK_FAILS_WITH(nnclr_json_get_int(o, "r", 0, 9, &i, &e), "\"r\" is not an integer");
    CHECK_FAILS_WITH(nnclr_json_get_bool(o, "absent", &b, &e), "\"absent\" is missing");
    CHECK(!nnclr_json_get_real(o, "s", &r, &e) && !nnclr_json_get_string(o, "n", &e));

    CHECK(nnclr_json_is_object(o) && nnclr_json_count(o) == 6);
    const nnclr_json *a = nnclr_json_get(o, "a");
    CHECK(nnclr_json_is_array(a) && nnclr_json_count(a) == 3);
    CHECK(nnclr_json_int(nnclr_json_at(a, 2), 0, 9, &i) && i == 3);
    CHECK(!nnclr_json_at(a, 3) && !nnclr_json_string(nnclr_json_at(a, 0)));

    char keys[40] = "";
    void *iterator = NULL;
    const char *key;
    while (nnclr_json_each(o, &iterator, &key))
        strcat(keys, key);
    CHECK_TEXT(keys, "sirbna");
    CHECK(!iterator);

    nnclr_json *taken = nnclr_json_take(o, "a");
    CHECK(nnclr_json_count(taken) == 3 && !nnclr_json_get(o, "a") && nnclr_json_count(o) == 5);
    nnclr_json_free(o);
    CHECK(nnclr_json_count(taken) == 3);
    nnclr_json_free(taken);
}

int main(void) {
    return check_all();
}
