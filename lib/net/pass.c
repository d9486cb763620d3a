#include "net/pass.h"

#include <assert.h>
#include <string.h>

#include "base/memory.h"

/* ---- creation ---- */

/* Where the batch is cut: at the value that the backbone ends with; 0: it comes whole; -1: it
 * cannot be cut like that. */
static int find_cut(const nnclr_network *net, int n, int micro_batch, nnclr_error *e) {
    if (micro_batch == 0)
        return 0;
    const int features = nnclr_network_find(net, "features");
    if (features < 0)
        nnclr_fail(e, NNCLR_ERROR_USAGE, "the network has no pooled features to cut at");
    else if (micro_batch < 0 || n % micro_batch != 0)
        nnclr_fail(e, NNCLR_ERROR_USAGE, "a batch of %d cannot be cut into micro-batches of %d", n,
                   micro_batch);
    else
        return features;
    return -1;
}

static bool create_backbone(nnclr_pass *p, nnclr_mode mode, nnclr_error *e) {
    const nnclr_network *net = p->parameters->net;
    const nnclr_value *input = nnclr_network_value(net, 0),
                      *features = nnclr_network_value(net, (size_t)p->features);
    p->row = (size_t)features->c * nnclr_real_bytes(p->parameters->engine);
    p->picture = (size_t)input->h * (size_t)input->w * (size_t)input->c;
    p->backbone =
        nnclr_execution_create(p->parameters, mode, p->groups, p->micro_batch, p->features, e);
    if (!p->backbone)
        return false;
    size_t count; /* the execution has checked far larger products */
    if (!nnclr_size_mul((size_t)p->groups * (size_t)p->micro_batch, p->picture, &count))
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "micro-batches of %d are too large",
                          p->micro_batch);
    p->pictures = nnclr_alloc(count, sizeof *p->pictures, e);
    return p->pictures != NULL;
}

bool nnclr_pass_create(nnclr_pass *p, nnclr_parameters *parameters, int groups, int n,
                       int micro_batch, nnclr_error *e) {
    *p = (nnclr_pass){
        .parameters = parameters, .groups = groups, .n = n, .micro_batch = micro_batch};
    p->features = find_cut(parameters->net, n, micro_batch, e);
    const bool trains = parameters->gradients != NULL;
    if (p->features == 0 ||
        (p->features > 0 && create_backbone(p, trains ? NNCLR_TRAINING_PARTS : NNCLR_FORWARD, e)))
        p->execution = nnclr_execution_create_range(
            parameters, trains ? NNCLR_TRAINING : NNCLR_FORWARD, groups, n, p->features, -1, e);
    if (p->execution)
        return true;
    nnclr_pass_free(p);
    return false;
}

void nnclr_pass_free(nnclr_pass *p) {
    nnclr_free(p->pictures);
    nnclr_execution_free(p->backbone);
    nnclr_execution_free(p->execution);
    *p = (nnclr_pass){0};
}

void nnclr_pass_share(nnclr_pass *p, nnclr_communicator *communicator) {
    nnclr_execution_share(p->execution, communicator);
    if (p->backbone && p->parameters->gradients)
        nnclr_execution_share(p->backbone, communicator);
}

bool nnclr_pass_measure(const nnclr_network *net, nnclr_engine *engine, int groups, int n,
                        int micro_batch, nnclr_pass_bytes *bytes, nnclr_error *e) {
    const int features = find_cut(net, n, micro_batch, e);
    size_t forward = 0;
    *bytes = (nnclr_pass_bytes){0};
    const bool ok =
        features >= 0 &&
        (features == 0 || (nnclr_execution_measure(net, engine, NNCLR_TRAINING_PARTS, groups,
                                                   micro_batch, 0, features, &bytes->backbone, e) &&
                           nnclr_execution_measure(net, engine, NNCLR_FORWARD, groups, micro_batch,
                                                   0, features, &forward, e))) &&
        nnclr_execution_measure(net, engine, NNCLR_TRAINING, groups, n, features, -1, &bytes->rest,
                                e) &&
        nnclr_execution_measure(net, engine, NNCLR_FORWARD, groups, n, features, -1,
                                &bytes->forward, e);
    bytes->forward += forward;
    return ok;
}

/* ---- micro-batches ---- */

static void input(nnclr_pass *p, const float *pictures, int first) {
    size_t share = (size_t)p->micro_batch * p->picture;
    for (int group = 0; group < p->groups; group++)
        memcpy(p->pictures + (size_t)group * share,
               pictures + ((size_t)group * (size_t)p->n + (size_t)first) * p->picture,
               share * sizeof *pictures);
    nnclr_execution_input(p->backbone, p->pictures, p->micro_batch);
}

/* The rows of a group's pictures: in the batch from `first` on, and in the micro-batch. */
static void *batch_rows(const nnclr_pass *p, const nnclr_tensor *t, int group, int first) {
    assert(t->shape.groups == p->groups && t->shape.n == p->n);
    return (unsigned char *)t->place + ((size_t)group * (size_t)p->n + (size_t)first) * p->row;
}

static void *own_rows(const nnclr_pass *p, const nnclr_tensor *t, int group) {
    return (unsigned char *)t->place + (size_t)group * (size_t)p->micro_batch * p->row;
}

static void forward_backbone(nnclr_pass *p, const float *pictures) {
    nnclr_engine *g = p->parameters->engine;
    const nnclr_tensor *own = nnclr_execution_tensor(p->backbone, p->features),
                       *whole = nnclr_execution_tensor(p->execution, p->features);
    for (int first = 0; first < p->n; first += p->micro_batch) {
        input(p, pictures, first);
        if (p->parameters->gradients)
            nnclr_execution_forward_part(p->backbone, 0, p->features, first / p->micro_batch,
                                         p->n / p->micro_batch);
        else
            nnclr_execution_forward(p->backbone, 0, p->features);
        for (int group = 0; group < p->groups; group++)
            g->table->copy(g, batch_rows(p, whole, group, first), own_rows(p, own, group),
                           (size_t)p->micro_batch * p->row);
    }
}

static void backward_backbone(nnclr_pass *p, const float *pictures) {
    nnclr_engine *g = p->parameters->engine;
    const nnclr_tensor *own = nnclr_execution_gradient(p->backbone, p->features),
                       *whole = nnclr_execution_gradient(p->execution, p->features);
    for (int first = 0; first < p->n; first += p->micro_batch) {
        input(p, pictures, first);
        nnclr_execution_repeat(p->backbone, 0, p->features);
        nnclr_execution_seed(p->backbone, p->features);
        for (int group = 0; group < p->groups; group++)
            g->table->copy(g, own_rows(p, own, group), batch_rows(p, whole, group, first),
                           (size_t)p->micro_batch * p->row);
        nnclr_execution_accumulate(p->backbone, first > 0);
        nnclr_execution_backward(p->backbone, p->features, 0);
    }
}

/* ---- the pass ---- */

void nnclr_pass_pack(nnclr_pass *p) {
    nnclr_execution_pack(p->execution);
    if (p->backbone)
        nnclr_execution_pack(p->backbone);
}

void nnclr_pass_forward(nnclr_pass *p, const float *pictures, int to) {
    if (p->backbone)
        forward_backbone(p, pictures);
    else
        nnclr_execution_input(p->execution, pictures, p->n);
    nnclr_execution_forward(p->execution, p->features, to);
}

const nnclr_tensor *nnclr_pass_tensor(const nnclr_pass *p, int value) {
    return nnclr_execution_tensor(p->execution, value);
}

const nnclr_tensor *nnclr_pass_seed(nnclr_pass *p, int value) {
    nnclr_execution_seed(p->execution, value);
    return nnclr_execution_gradient(p->execution, value);
}

void nnclr_pass_backward(nnclr_pass *p, const float *pictures, int from) {
    nnclr_execution_backward(p->execution, from, p->features);
    if (p->backbone)
        backward_backbone(p, pictures);
}

bool nnclr_pass_print_plan(const nnclr_pass *p, bool backbone, nnclr_buffer *out, nnclr_error *e) {
    if (backbone)
        return !p->backbone || nnclr_execution_print_plan(p->backbone, out, e);
    return nnclr_execution_print_plan(p->execution, out, e);
}
