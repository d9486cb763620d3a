#include "eval/frozen_network.h"

#include <string.h>

/* Weights of other programs carry no nnclr.kind: say what can be given in their place. */
static void explain_foreign(const char *path, nnclr_error *e) {
    nnclr_error ignored = NNCLR_NO_ERROR;
    nnclr_tensor_reader *reader =
        strcmp(path, "-") ? nnclr_tensor_reader_open(path, &ignored) : NULL;
    if (reader && !nnclr_tensor_reader_metadata(reader, "nnclr.kind"))
        nnclr_fail(e, NNCLR_ERROR_MISSING,
                   "%s: weights of other programs are not read in this version; give a checkpoint "
                   "of nnclr-pretrain (RUN/checkpoint.safetensors.zst)",
                   path);
    nnclr_tensor_reader_close(reader);
}

bool nnclr_frozen_network_open(nnclr_frozen_network *n, const char *path, bool untrained,
                               int threads, nnclr_error *e) {
    *n = (nnclr_frozen_network){.untrained = untrained};
    n->checkpoint = nnclr_checkpoint_open(path, &n->info, e);
    if (!n->checkpoint) {
        explain_foreign(path, e);
        return false;
    }
    n->pool = nnclr_pool_create(threads, e);
    if (!n->pool ||
        !nnclr_engine_open(&n->engine, NNCLR_ENGINE_CPU, NNCLR_PRECISION_F32, n->pool, e))
        return false;
    n->list = nnclr_model_build(&n->info.config.model, e);
    if (!n->list || !nnclr_checkpoint_check(n->checkpoint, n->list, false, e) ||
        !nnclr_parameters_create(&n->parameters, n->list, &n->engine, false, e))
        return false;
    return untrained ? nnclr_parameters_initialize(&n->parameters, n->info.config.init_seed, e)
                     : nnclr_checkpoint_load_parameters(n->checkpoint, &n->parameters, e);
}

void nnclr_frozen_network_close(nnclr_frozen_network *n) {
    nnclr_parameters_free(&n->parameters);
    nnclr_network_free(n->list);
    nnclr_engine_close(&n->engine);
    nnclr_pool_free(n->pool);
    if (n->checkpoint)
        nnclr_checkpoint_info_free(&n->info);
    nnclr_tensor_reader_close(n->checkpoint);
    *n = (nnclr_frozen_network){0};
}

nnclr_json *nnclr_frozen_network_describe(const nnclr_frozen_network *n, const char *cut,
                                          nnclr_error *e) {
    nnclr_json *config = nnclr_config_to_json(&n->info.config, e);
    if (config && nnclr_json_put_string(config, "output", cut, e) &&
        nnclr_json_put_int(config, "step", n->untrained ? 0 : n->info.step, e) &&
        nnclr_json_put_bool(config, "untrained", n->untrained, e))
        return config;
    nnclr_json_free(config);
    return NULL;
}
