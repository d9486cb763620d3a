#include "ssl/classification.h"

#include <math.h>

#include "base/memory.h"

struct nnclr_classification {
    nnclr_pass *pass;
    nnclr_communicator *communicator;
    nnclr_engine *engine;
    int classes, logits; /* the latter a value of the network */
    double *rows;        /* [n][classes]: logits, then their gradient */
    void *squared_norm;  /* engine memory: one real */
    double loss, gradient_norm, accuracy;
};

nnclr_classification *
nnclr_classification_create(nnclr_pass *pass, nnclr_communicator *communicator, nnclr_error *e) {
    const nnclr_network *net = pass->parameters->net;
    nnclr_engine *engine = pass->parameters->engine;
    int logits = nnclr_network_find(net, "logits");
    if (logits < 0) {
        nnclr_fail(e, NNCLR_ERROR_USAGE, "the network has no classifier to train");
        return NULL;
    }
    nnclr_classification *c = nnclr_alloc_zero(1, sizeof *c, e);
    if (!c)
        return NULL;
    *c = (nnclr_classification){
        .pass = pass,
        .communicator = communicator,
        .engine = engine,
        .classes = nnclr_network_value(net, (size_t)logits)->c,
        .logits = logits,
    };
    nnclr_pass_share(pass, communicator);
    c->rows = nnclr_alloc(nnclr_classification_bytes(pass->n, c->classes), 1, e);
    if (c->rows)
        c->squared_norm = engine->table->arena_create(engine, nnclr_real_bytes(engine), e);
    if (c->squared_norm)
        return c;
    nnclr_classification_free(c);
    return NULL;
}

void nnclr_classification_free(nnclr_classification *c) {
    if (!c)
        return;
    if (c->squared_norm)
        c->engine->table->arena_free(c->engine, c->squared_norm, nnclr_real_bytes(c->engine));
    nnclr_free(c->rows);
    nnclr_free(c);
}

double nnclr_label_loss(const double *logits, int classes, int64_t label, double *probability) {
    double largest = logits[0], own = logits[label], sum = 0;
    for (int k = 1; k < classes; k++)
        largest = logits[k] > largest ? logits[k] : largest;
    for (int k = 0; k < classes; k++)
        sum += probability[k] = exp(logits[k] - largest);
    for (int k = 0; k < classes; k++)
        probability[k] /= sum;
    return log(sum) + largest - own;
}

static bool is_first(const double *logits, int classes, int64_t label) {
    for (int k = 0; k < classes; k++)
        if (logits[k] > logits[label] || (logits[k] == logits[label] && k < label))
            return false;
    return true;
}

/* Loss and accuracy of the logits in c->rows, which become the loss's gradient. */
static void judge(nnclr_classification *c, const int64_t *label) {
    const int n = c->pass->n, all = n * c->communicator->ranks;
    double sums[2] = {0, 0}; /* of losses; right ones */
    for (int i = 0; i < n; i++) {
        double *row = c->rows + (size_t)i * (size_t)c->classes;
        sums[1] += is_first(row, c->classes, label[i]);
        sums[0] += nnclr_label_loss(row, c->classes, label[i], row);
        row[label[i]] -= 1;
        for (int k = 0; k < c->classes; k++)
            row[k] /= n;
    }
    nnclr_sum_doubles(c->communicator, sums, 2);
    c->loss = sums[0] / all;
    c->accuracy = sums[1] / all;
}

bool nnclr_classification_compute(nnclr_classification *c, const float *views, const int64_t *label,
                                  nnclr_error *e) {
    const nnclr_engine_table *table = c->engine->table;
    const int n = c->pass->n;
    const size_t reals = (size_t)n * (size_t)c->classes;
    for (int i = 0; i < n; i++)
        if (label[i] < 0 || label[i] >= c->classes)
            return nnclr_fail(e, NNCLR_ERROR_INPUT,
                              "a picture has class %lld, but there are %d classes",
                              (long long)label[i], c->classes);
    nnclr_pass_forward(c->pass, views, c->logits);
    table->get(c->engine, nnclr_pass_tensor(c->pass, c->logits)->place, reals, NNCLR_F64, c->rows);
    judge(c, label);
    table->put(c->engine, nnclr_pass_seed(c->pass, c->logits)->place, reals, NNCLR_F64, c->rows);
    nnclr_pass_backward(c->pass, views, c->logits);
    double squares;
    void *gradients = c->pass->parameters->gradients;
    const size_t count = nnclr_network_parameter_count(c->pass->parameters->net);
    nnclr_average_reals(c->communicator, c->engine, gradients, count);
    table->dot(c->engine, gradients, gradients, count, c->squared_norm);
    table->get(c->engine, c->squared_norm, 1, NNCLR_F64, &squares);
    c->gradient_norm = sqrt(squares);
    return nnclr_communicator_sync(c->communicator, e) && table->sync(c->engine, e);
}

double nnclr_classification_loss(const nnclr_classification *c) {
    return c->loss;
}

double nnclr_classification_gradient_norm(const nnclr_classification *c) {
    return c->gradient_norm;
}

double nnclr_classification_accuracy(const nnclr_classification *c) {
    return c->accuracy;
}

size_t nnclr_classification_bytes(int n, int classes) {
    return (size_t)n * (size_t)classes * sizeof(double);
}
