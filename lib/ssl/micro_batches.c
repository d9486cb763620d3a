#include "ssl/micro_batches.h"

#include <assert.h>
#include <string.h>

#include "base/memory.h"

struct nnclr_micro_batches {
    nnclr_engine *engine;
    nnclr_execution *backbone; /* training, groups = views, of `size` pictures each */
    int views, n, size;
    int features;    /* value of the network, the last one the backbone makes */
    size_t row;      /* bytes of one picture's features */
    size_t picture;  /* floats */
    float *pictures; /* [views][size][picture]: one micro-batch, its views side by side */
};

static bool create(nnclr_micro_batches *m, nnclr_parameters *parameters, nnclr_error *e) {
    const nnclr_network *net = parameters->net;
    const nnclr_value *input = nnclr_network_value(net, 0);
    m->features = nnclr_network_find(net, "features");
    if (m->features < 0)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "the network has no pooled features to cut at");
    if (m->size < 1 || m->n % m->size != 0)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "a batch of %d cannot be cut into micro-batches of %d", m->n, m->size);
    const nnclr_value *features = nnclr_network_value(net, (size_t)m->features);
    m->row = (size_t)features->c * nnclr_real_bytes(m->engine);
    m->picture = (size_t)input->h * (size_t)input->w * (size_t)input->c;
    m->backbone =
        nnclr_execution_create(parameters, NNCLR_TRAINING_PARTS, m->views, m->size, m->features, e);
    if (!m->backbone)
        return false;
    size_t count; /* the execution has checked far larger products */
    if (!nnclr_size_mul((size_t)m->views * (size_t)m->size, m->picture, &count))
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "micro-batches of %d are too large", m->size);
    m->pictures = nnclr_alloc(count, sizeof *m->pictures, e);
    return m->pictures != NULL;
}

nnclr_micro_batches *nnclr_micro_batches_create(nnclr_parameters *parameters, int views, int n,
                                                int size, nnclr_error *e) {
    nnclr_micro_batches *m = nnclr_alloc_zero(1, sizeof *m, e);
    if (!m)
        return NULL;
    m->engine = parameters->engine;
    m->views = views;
    m->n = n;
    m->size = size;
    if (create(m, parameters, e))
        return m;
    nnclr_micro_batches_free(m);
    return NULL;
}

void nnclr_micro_batches_free(nnclr_micro_batches *m) {
    if (!m)
        return;
    nnclr_free(m->pictures);
    nnclr_execution_free(m->backbone);
    nnclr_free(m);
}

void nnclr_micro_batches_pack(nnclr_micro_batches *m) {
    nnclr_execution_pack(m->backbone);
}

static void input(nnclr_micro_batches *m, const float *pictures, int first) {
    size_t share = (size_t)m->size * m->picture;
    for (int view = 0; view < m->views; view++)
        memcpy(m->pictures + (size_t)view * share,
               pictures + ((size_t)view * (size_t)m->n + (size_t)first) * m->picture,
               share * sizeof *pictures);
    nnclr_execution_input(m->backbone, m->pictures, m->size);
}

/* The rows of a view's pictures: in the batch from `first` on, and in the micro-batch. */
static void *batch_rows(const nnclr_micro_batches *m, const nnclr_tensor *t, int view, int first) {
    assert(t->shape.groups == m->views && t->shape.n == m->n);
    return (unsigned char *)t->place + ((size_t)view * (size_t)m->n + (size_t)first) * m->row;
}

static void *own_rows(const nnclr_micro_batches *m, const nnclr_tensor *t, int view) {
    return (unsigned char *)t->place + (size_t)view * (size_t)m->size * m->row;
}

void nnclr_micro_batches_forward(nnclr_micro_batches *m, const float *pictures,
                                 const nnclr_tensor *features) {
    const nnclr_tensor *own = nnclr_execution_tensor(m->backbone, m->features);
    for (int first = 0; first < m->n; first += m->size) {
        input(m, pictures, first);
        nnclr_execution_forward_part(m->backbone, 0, m->features, first / m->size, m->n / m->size);
        for (int view = 0; view < m->views; view++)
            m->engine->table->copy(m->engine, batch_rows(m, features, view, first),
                                   own_rows(m, own, view), (size_t)m->size * m->row);
    }
}

void nnclr_micro_batches_backward(nnclr_micro_batches *m, const float *pictures,
                                  const nnclr_tensor *gradient) {
    const nnclr_tensor *own = nnclr_execution_gradient(m->backbone, m->features);
    for (int first = 0; first < m->n; first += m->size) {
        input(m, pictures, first);
        nnclr_execution_repeat(m->backbone, 0, m->features);
        nnclr_execution_seed(m->backbone, m->features);
        for (int view = 0; view < m->views; view++)
            m->engine->table->copy(m->engine, own_rows(m, own, view),
                                   batch_rows(m, gradient, view, first), (size_t)m->size * m->row);
        nnclr_execution_accumulate(m->backbone, first > 0);
        nnclr_execution_backward(m->backbone, m->features, 0);
    }
}

size_t nnclr_micro_batches_bytes(const nnclr_micro_batches *m) {
    return nnclr_execution_bytes(m->backbone);
}

bool nnclr_micro_batches_print_plan(const nnclr_micro_batches *m, nnclr_buffer *out,
                                    nnclr_error *e) {
    return nnclr_execution_print_plan(m->backbone, out, e);
}
