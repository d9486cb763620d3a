/* Checkpoints: metadata, parameters and support set; and weights that are not a checkpoint. */
#include <math.h>

#include "eval/row_set.h"
#include "net/model.h"
#include "tests/fuzz/support.h"
#include "train/checkpoint.h"
#include "train/objective.h"
#include "train/resnet_weights.h"

/* A network or support set of at most that many reals is made; a larger one takes as long as many
 * small ones. */
enum { REALS_MOST = 1 << 16 };

static nnclr_engine *engine(void) {
    static nnclr_engine cpu;
    static nnclr_pool *pool;
    nnclr_error e = NNCLR_NO_ERROR;
    if (!pool) {
        pool = nnclr_pool_create(1, &e);
        FUZZ_OK(pool && nnclr_engine_open(&cpu, NNCLR_ENGINE_CPU, NNCLR_PRECISION_F32, pool, &e),
                &e);
    }
    return &cpu;
}

static void load_parameters(nnclr_tensor_reader *reader, const nnclr_checkpoint_info *info) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_parameters parameters = {0};
    nnclr_network *net = nnclr_model_build(&info->config.model, &e);
    if (!net)
        FUZZ_REQUIRE(e.message[0] != '\0' && e.code != NNCLR_ERROR_MEMORY);
    bool whole = net && nnclr_checkpoint_check(reader, net, false, &e);
    if (net && !whole)
        fuzz_refused(&e);
    if (net && nnclr_network_parameter_count(net) <= REALS_MOST) {
        FUZZ_OK(nnclr_parameters_create(&parameters, net, engine(), false, &e), &e);
        if (!nnclr_checkpoint_load_parameters(reader, &parameters, &e)) {
            fuzz_refused(&e);
            /* A file with a place for everything was refused for what is in it. */
            FUZZ_REQUIRE(!whole || e.code == NNCLR_ERROR_INPUT);
        }
    }
    nnclr_parameters_free(&parameters);
    nnclr_network_free(net);
}

static void load_support_set(nnclr_tensor_reader *reader, const nnclr_checkpoint_info *info) {
    nnclr_error e = NNCLR_NO_ERROR;
    const nnclr_layers *projector = &info->config.model.projector;
    const int m = info->config.method.queue, d = projector->width[projector->count - 1];
    nnclr_support_set s = {0};
    if (nnclr_objective_recipe(&info->config).queue == 0 || (int64_t)m * d > REALS_MOST)
        return;
    FUZZ_OK(nnclr_support_set_create(&s, engine(), m, d, 0, &e), &e);
    if (nnclr_checkpoint_load_support_set(reader, info, &s, &e))
        FUZZ_REQUIRE(s.cursor >= 0 && s.cursor < m);
    else
        fuzz_refused(&e);
    nnclr_support_set_free(&s);
}

static void inspect(const char *path) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_row_set set;
    nnclr_row_summary summary;
    if (!nnclr_row_set_open(&set, path, &e)) {
        fuzz_refused(&e);
        return;
    }
    FUZZ_OK(nnclr_row_set_summary(&set, &summary, &e), &e);
    FUZZ_REQUIRE(summary.initial + summary.distinct <= set.rows.n);
    for (int64_t i = 0; i < set.rows.n; i++) {
        (void)nnclr_row_set_class(&set, i);
        FUZZ_REQUIRE(nnclr_row_set_age(&set, i) >= -1);
    }
    nnclr_row_set_close(&set);
}

/* Hardly any input holds a whole network, so none is loaded. */
static void describe_weights(const nnclr_tensor_reader *reader) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_weights_info weights;
    if (!nnclr_weights_describe(reader, NULL, &weights, &e)) {
        fuzz_refused(&e);
        return;
    }
    FUZZ_REQUIRE(weights.step >= -1);
    weights.config.model.projector.count = weights.config.model.predictor.count = 0;
    nnclr_network *net = nnclr_model_build(&weights.config.model, &e);
    if (!net || !nnclr_weights_check(reader, &weights.names, net, &e))
        FUZZ_REQUIRE(e.message[0] != '\0' && e.code != NNCLR_ERROR_MEMORY);
    nnclr_network_free(net);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_checkpoint_info info;
    const char *path = fuzz_file(data, size);
    nnclr_tensor_reader *reader = nnclr_tensor_reader_open(path, &e);
    if (reader && !nnclr_tensor_reader_metadata(reader, "nnclr.kind")) {
        describe_weights(reader);
    } else if (reader && nnclr_checkpoint_read_info(reader, &info, &e)) {
        FUZZ_REQUIRE(info.step >= 0 && info.step <= info.total_steps);
        FUZZ_REQUIRE(nnclr_identity_records(info.identity) >= 0);
        load_parameters(reader, &info);
        load_support_set(reader, &info);
        nnclr_checkpoint_info_free(&info);
    } else {
        fuzz_refused(&e);
    }
    nnclr_tensor_reader_close(reader);
    inspect(path);
    return 0;
}

FUZZ_MUTATED_BY(fuzz_mutate_tensors)
