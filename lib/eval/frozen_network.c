#include "eval/frozen_network.h"

bool nnclr_frozen_network_open(nnclr_frozen_network *n, const char *path, const char *prefix,
                               nnclr_error *e) {
    *n = (nnclr_frozen_network){.choice = NNCLR_ENGINE_CPU, .precision = NNCLR_PRECISION_F32};
    n->reader = nnclr_tensor_reader_open(path, e);
    if (!n->reader)
        return false;
    n->foreign = !nnclr_tensor_reader_metadata(n->reader, "nnclr.kind");
    if (prefix && !n->foreign)
        return nnclr_fail(
            e, NNCLR_ERROR_USAGE,
            "%s: this is a file of these programs, whose names are known: leave --prefix out",
            nnclr_tensor_reader_path(n->reader));
    if (n->foreign ? !nnclr_weights_describe(n->reader, prefix, &n->weights, e)
                   : !nnclr_checkpoint_read_info(n->reader, &n->info, e))
        return false;
    n->config = n->foreign ? n->weights.config : n->info.config;
    n->step = n->foreign ? n->weights.step : n->info.step;
    return true;
}

/* The file is checked against the network before memory is spent on it. */
static bool build(nnclr_frozen_network *n, nnclr_error *e) {
    nnclr_model_spec model = n->config.model;
    if (n->foreign)
        model.projector.count = model.predictor.count = 0;
    n->list = nnclr_model_build(&model, e);
    return n->list && (n->foreign ? nnclr_weights_check(n->reader, &n->weights.names, n->list, e)
                                  : nnclr_checkpoint_check(n->reader, n->list, false, e));
}

bool nnclr_frozen_network_load(nnclr_frozen_network *n, bool untrained, int threads,
                               nnclr_error *e) {
    n->untrained = untrained;
    n->pool = nnclr_pool_create(threads, e);
    if (!n->pool || !nnclr_engine_open(&n->engine, n->choice, n->precision, n->pool, e) ||
        !build(n, e) || !nnclr_parameters_create(&n->parameters, n->list, &n->engine, false, e))
        return false;
    if (untrained)
        return nnclr_parameters_initialize(&n->parameters, n->config.init_seed, e);
    return n->foreign ? nnclr_weights_load(n->reader, &n->weights.names, &n->parameters, e)
                      : nnclr_checkpoint_load_parameters(n->reader, &n->parameters, e);
}

void nnclr_frozen_network_close(nnclr_frozen_network *n) {
    nnclr_parameters_free(&n->parameters);
    nnclr_network_free(n->list);
    nnclr_engine_close(&n->engine);
    nnclr_pool_free(n->pool);
    nnclr_checkpoint_info_free(&n->info);
    nnclr_tensor_reader_close(n->reader);
    *n = (nnclr_frozen_network){0};
}

/* The part of a configuration that weights without one have. */
static nnclr_json *keep_network(nnclr_json *whole, nnclr_error *e) {
    static const char *const keys[] = {"arch",
                                       "width",
                                       "stem",
                                       "size",
                                       "interpolation",
                                       "mean",
                                       "std",
                                       "evaluation_resize",
                                       "evaluation_crop",
                                       "evaluation_stretch"};
    nnclr_json *kept = nnclr_json_object(e);
    bool ok = kept != NULL;
    for (size_t i = 0; ok && i < sizeof keys / sizeof *keys; i++)
        ok = nnclr_json_put(kept, keys[i], nnclr_json_take(whole, keys[i]), e);
    nnclr_json_free(whole);
    return nnclr_json_if(ok, kept);
}

nnclr_json *nnclr_frozen_network_describe(const nnclr_frozen_network *n, const char *cut,
                                          nnclr_error *e) {
    const int64_t step = n->untrained ? 0 : n->step;
    nnclr_json *config = nnclr_config_to_json(&n->config, e);
    if (config && n->foreign && !n->weights.told)
        config = keep_network(config, e);
    return nnclr_json_if(
        config && nnclr_json_put_string(config, "output", cut, e) &&
            (step < 0 || nnclr_json_put_int(config, "step", step, e)) &&
            nnclr_json_put_bool(config, "untrained", n->untrained, e) &&
            nnclr_json_put_string(config, "engine", n->engine.table->name, e) &&
            nnclr_json_put_string(config, "precision", n->engine.table->precision, e),
        config);
}
