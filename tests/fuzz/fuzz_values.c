/* Single values of options, and texts of others that are shown to people. */
#include <math.h>
#include <string.h>

#include "tests/fuzz/support.h"
#include "train/config_text.h"

static void parse_numbers(const char *text) {
    int64_t whole, bytes;
    double real;
    if (nnclr_parse_int(text, -5, INT64_MAX, &whole))
        FUZZ_REQUIRE(whole >= -5);
    if (nnclr_parse_bytes(text, 1, INT64_MAX, &bytes))
        FUZZ_REQUIRE(bytes >= 1);
    if (nnclr_parse_real(text, -2, 1e30, &real))
        FUZZ_REQUIRE(isfinite(real) && real >= -2 && real <= 1e30);
}

static void usage(const nnclr_error *e) {
    FUZZ_REQUIRE(e->code == NNCLR_ERROR_USAGE && e->message[0] != '\0');
}

/* What is printed for layers is read as the same layers. */
static void parse_layers(const char *text) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_layers layers, again;
    char shown[200];
    if (!nnclr_parse_layers(text, &layers, &e)) {
        usage(&e);
        return;
    }
    nnclr_print_layers(&layers, shown, sizeof shown);
    FUZZ_OK(nnclr_parse_layers(shown, &again, &e), &e);
    FUZZ_REQUIRE(layers.count == again.count);
    for (int i = 0; i < layers.count; i++)
        FUZZ_REQUIRE(layers.width[i] == again.width[i] && layers.width[i] >= 1);
}

static void parse_duration(const char *text) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_duration duration;
    char shown[100];
    if (!nnclr_parse_duration(text, &duration, &e)) {
        usage(&e);
        return;
    }
    FUZZ_REQUIRE(duration.count > 0 && isfinite(duration.count));
    nnclr_print_duration(&duration, shown, sizeof shown);
    FUZZ_REQUIRE(shown[0] != '\0');
}

static void parse_reals(const char *text) {
    nnclr_error e = NNCLR_NO_ERROR;
    double values[4];
    char shown[30];
    for (int count = 1; count <= 4; count++) {
        if (!nnclr_parse_reals(text, values, count, -1000, 1000, &e)) {
            usage(&e);
            continue;
        }
        for (int i = 0; i < count; i++)
            FUZZ_REQUIRE(values[i] >= -1000 && values[i] <= 1000);
        nnclr_print_reals(values, count, shown, sizeof shown);
    }
}

/* What is escaped is UTF-8 without a character that a terminal obeys, and has no tab or newline. */
static void escape(const uint8_t *data, size_t size) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_buffer out = {0};
    FUZZ_OK(nnclr_escape(&out, (const char *)data, size, &e), &e);
    FUZZ_REQUIRE(out.data && strlen((const char *)out.data) == out.size);
    FUZZ_REQUIRE(nnclr_is_utf8((const char *)out.data));
    for (size_t i = 0; i < out.size; i++)
        FUZZ_REQUIRE(out.data[i] >= 0x20 && out.data[i] != 0x7f);
    nnclr_buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    FUZZ_REQUIRE(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    parse_numbers(text);
    parse_layers(text);
    parse_duration(text);
    parse_reals(text);
    escape(data, size);
    free(text);
    return 0;
}
