/* nnclr.config: JSON, and what is built from it. */
#include <math.h>
#include <string.h>

#include "net/model.h"
#include "tests/fuzz/support.h"
#include "train/config.h"
#include "train/schedule.h"

enum { RECORDS = 1000 };

static void print(const nnclr_config *config, nnclr_buffer *out) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_json *json = nnclr_config_to_json(config, &e);
    FUZZ_OK(json && nnclr_json_print(json, false, out, &e), &e);
    nnclr_json_free(json);
}

/* What is written is read again, as the same. */
static void read_again(const nnclr_config *config) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_buffer first = {0}, second = {0};
    nnclr_config again;
    print(config, &first);
    nnclr_json *json = nnclr_json_parse((const char *)first.data, first.size, "again", &e);
    FUZZ_OK(json && nnclr_config_from_json(json, &again, &e), &e);
    print(&again, &second);
    FUZZ_REQUIRE(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    nnclr_json_free(json);
    nnclr_buffer_free(&second);
    nnclr_buffer_free(&first);
}

static void plan(const nnclr_config *config) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_plan plan;
    nnclr_config copy = *config;
    if (!nnclr_plan_make(config, RECORDS, &plan, &e)) {
        FUZZ_REQUIRE(e.code == NNCLR_ERROR_USAGE && e.message[0] != '\0');
        return;
    }
    FUZZ_REQUIRE(plan.steps_per_epoch >= 1 && plan.total >= 1 && plan.warmup <= plan.total);
    const int64_t steps[] = {0, plan.warmup, plan.total / 2, plan.total - 1};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (steps[i] < plan.total)
            FUZZ_REQUIRE(isfinite(nnclr_plan_rate(&plan, steps[i])));
    FUZZ_OK(nnclr_plan_default_warmup(&copy, RECORDS, &e), &e);
}

static void build(const nnclr_config *config) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_network *net = nnclr_model_build(&config->model, &e);
    if (!net)
        FUZZ_REQUIRE(e.message[0] != '\0' && e.code != NNCLR_ERROR_MEMORY);
    nnclr_network_free(net);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_config config;
    nnclr_json *json = nnclr_json_parse((const char *)data, size, "fuzz", &e);
    if (json && nnclr_config_from_json(json, &config, &e)) {
        read_again(&config);
        plan(&config);
        build(&config);
    } else {
        fuzz_refused(&e);
    }
    nnclr_json_free(json);
    return 0;
}
