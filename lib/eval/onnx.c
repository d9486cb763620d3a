#include "eval/onnx.h"

#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "eval/export.h"
#include "eval/protobuf.h"

enum { IR_VERSION = 7, OPSET = 13, TYPE_FLOAT = 1, ATTRIBUTE_INT = 2, ATTRIBUTE_INTS = 7 };

/* ---- parts of a graph ---- */

typedef struct graph {
    nnclr_tensor_reader *checkpoint;
    const nnclr_weight_names *names; /* what it calls the backbone's tensors; NULL: by our names */
    const nnclr_network *net;
    nnclr_buffer bytes; /* GraphProto */
    const nnclr_progress *progress;
} graph;

typedef struct value_name {
    char text[96];
} value_name;

static value_name name_of(int value, const char *suffix) {
    value_name name;
    if (value == 0)
        snprintf(name.text, sizeof name.text, "input");
    else
        snprintf(name.text, sizeof name.text, "value%d%s", value, suffix);
    return name;
}

static bool put_ints(nnclr_buffer *node, const char *name, int x, int count, nnclr_error *e) {
    nnclr_buffer attribute = {0};
    bool ok = nnclr_proto_text(&attribute, 1, name, e);
    for (int i = 0; ok && i < count; i++)
        ok = nnclr_proto_int(&attribute, 8, x, e);
    ok = ok && nnclr_proto_int(&attribute, 20, ATTRIBUTE_INTS, e);
    return nnclr_proto_message(node, 5, &attribute, ok, e);
}

static bool put_flag(nnclr_buffer *node, const char *name, nnclr_error *e) {
    nnclr_buffer attribute = {0};
    const bool ok = nnclr_proto_text(&attribute, 1, name, e) &&
                    nnclr_proto_int(&attribute, 3, 1, e) &&
                    nnclr_proto_int(&attribute, 20, ATTRIBUTE_INT, e);
    return nnclr_proto_message(node, 5, &attribute, ok, e);
}

/* A node without its attributes, which follow in `node`. */
static bool begin_node(nnclr_buffer *node, const char *type, const char *const *inputs, int count,
                       const char *output, nnclr_error *e) {
    bool ok = true;
    for (int i = 0; ok && i < count; i++)
        ok = nnclr_proto_text(node, 1, inputs[i], e);
    return ok && nnclr_proto_text(node, 2, output, e) && nnclr_proto_text(node, 3, output, e) &&
           nnclr_proto_text(node, 4, type, e);
}

/* A node; `window` (may be NULL) gives kernel, stride and padding. */
static bool put_node(graph *g, const char *type, const char *const *inputs, int count,
                     const char *output, const nnclr_conv *window, nnclr_error *e) {
    nnclr_buffer node = {0};
    bool ok = begin_node(&node, type, inputs, count, output, e);
    if (ok && window)
        ok = put_ints(&node, "kernel_shape", window->kernel, 2, e) &&
             put_ints(&node, "strides", window->stride, 2, e) &&
             put_ints(&node, "pads", window->pad, 4, e);
    return nnclr_proto_message(&g->bytes, 1, &node, ok, e);
}

/* The tensor of that name as float32 in the file's order. */
static bool put_initializer(graph *g, const char *name, nnclr_error *e) {
    const char *theirs = g->names ? name + strlen("backbone.") : NULL;
    const nnclr_tensor_info *info = nnclr_tensor_reader_find(
        g->checkpoint, theirs ? nnclr_weight_name_of(g->names, theirs).text : name);
    nnclr_buffer tensor = {0};
    if (!info)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "there is no tensor %s", name);
    size_t count = (size_t)nnclr_tensor_elements(info), bytes = nnclr_tensor_bytes(info);
    void *data = nnclr_alloc(nnclr_max(bytes, count * sizeof(float)), 1, e);
    bool ok = data && nnclr_tensor_reader_read(g->checkpoint, info, 0, data, bytes, e);
    if (ok && nnclr_dtype_bytes(info->dtype) == sizeof(uint16_t))
        nnclr_dtype_widen(info->dtype, data, count);
    if (ok && info->dtype == NNCLR_F64)
        for (size_t i = 0; i < count; i++) {
            float x = (float)((const double *)data)[i];
            memcpy((char *)data + i * sizeof x, &x, sizeof x);
        }
    ok = ok && nnclr_check_reals(g->checkpoint, info, NNCLR_F32, data, count, e);
    for (int i = 0; ok && i < info->rank; i++)
        ok = nnclr_proto_int(&tensor, 1, info->dims[i], e);
    ok = ok && nnclr_proto_int(&tensor, 2, TYPE_FLOAT, e) &&
         nnclr_proto_text(&tensor, 8, name, e) &&
         nnclr_proto_bytes(&tensor, 9, data, count * sizeof(float), e);
    nnclr_free(data);
    return nnclr_proto_message(&g->bytes, 5, &tensor, ok, e);
}

/* ---- operators ---- */

static bool put_norm(graph *g, int x, int weight, int bias, int running, const char *output,
                     nnclr_error *e) {
    const nnclr_segment *p = nnclr_network_segments(g->net);
    const nnclr_segment *s = nnclr_network_statistic_segments(g->net);
    value_name in = name_of(x, "");
    const char *const inputs[] = {in.text, p[weight].name, p[bias].name, s[running].name,
                                  s[running + 1].name};
    for (int i = 1; i < 5; i++)
        if (!put_initializer(g, inputs[i], e))
            return false;
    return put_node(g, "BatchNormalization", inputs, 5, output, NULL, e);
}

/* Batch norm, the addition to it, and ReLU: one operator here, several in ONNX. */
static bool put_batchnorm(graph *g, const nnclr_op *op, nnclr_error *e) {
    value_name norm = name_of(op->y, "_norm"), second = name_of(op->y, "_second"),
               sum = name_of(op->y, "_sum"), y = name_of(op->y, "");
    const char *last = norm.text;
    if (!put_norm(g, op->x, op->weight, op->bias, op->running, norm.text, e) ||
        (op->second >= 0 &&
         !put_norm(g, op->second, op->weight2, op->bias2, op->running2, second.text, e)))
        return false;
    if (op->second >= 0 || op->residual >= 0) {
        value_name kept = op->second >= 0 ? second : name_of(op->residual, "");
        if (!put_node(g, "Add", (const char *const[]){norm.text, kept.text}, 2, sum.text, NULL, e))
            return false;
        last = sum.text;
    }
    return put_node(g, op->relu ? "Relu" : "Identity", &last, 1, y.text, NULL, e);
}

/* The classifier, whose weight is [classes][d]. */
static bool put_linear(graph *g, const nnclr_op *op, nnclr_error *e) {
    const nnclr_segment *p = nnclr_network_segments(g->net);
    const char *const inputs[] = {"features", p[op->weight].name, p[op->bias].name};
    nnclr_buffer node = {0};
    const bool ok = put_initializer(g, inputs[1], e) && put_initializer(g, inputs[2], e) &&
                    begin_node(&node, "Gemm", inputs, 3, "logits", e) &&
                    put_flag(&node, "transB", e);
    return nnclr_proto_message(&g->bytes, 1, &node, ok, e);
}

static bool put_op(graph *g, const nnclr_op *op, nnclr_error *e) {
    static const nnclr_conv pool = {.kernel = 3, .stride = 2, .pad = 1};
    value_name x = name_of(op->x, ""), y = name_of(op->y, ""), mean = name_of(op->y, "_mean");
    const char *inputs[] = {x.text, NULL}, *pooled = mean.text;
    switch (op->kind) {
    case NNCLR_OP_CONV:
        inputs[1] = nnclr_network_segments(g->net)[op->weight].name;
        return put_initializer(g, inputs[1], e) &&
               put_node(g, "Conv", inputs, 2, y.text, &op->conv, e);
    case NNCLR_OP_BATCHNORM:
        return put_batchnorm(g, op, e);
    case NNCLR_OP_MAXPOOL:
        return put_node(g, "MaxPool", inputs, 1, y.text, &pool, e);
    case NNCLR_OP_AVERAGE:
        return put_node(g, "GlobalAveragePool", inputs, 1, mean.text, NULL, e) &&
               put_node(g, "Flatten", &pooled, 1, "features", NULL, e);
    case NNCLR_OP_LINEAR:
        return put_linear(g, op, e);
    default:
        return nnclr_fail(e, NNCLR_ERROR_MISSING, "%s: not an operator of a backbone", op->name);
    }
}

/* ---- the model ---- */

/* ValueInfoProto; the first dimension is free. */
static bool put_value(graph *g, int field, const char *name, const int *dims, int count,
                      nnclr_error *e) {
    nnclr_buffer shape = {0}, tensor = {0}, type = {0}, value = {0}, batch = {0};
    bool ok = nnclr_proto_text(&batch, 2, "N", e);
    ok = nnclr_proto_message(&shape, 1, &batch, ok, e);
    for (int i = 0; ok && i < count; i++) {
        nnclr_buffer dim = {0};
        ok = nnclr_proto_int(&dim, 1, dims[i], e);
        ok = nnclr_proto_message(&shape, 1, &dim, ok, e);
    }
    ok = ok && nnclr_proto_int(&tensor, 1, TYPE_FLOAT, e);
    ok = nnclr_proto_message(&tensor, 2, &shape, ok, e);
    ok = nnclr_proto_message(&type, 1, &tensor, ok, e);
    ok = ok && nnclr_proto_text(&value, 1, name, e);
    ok = nnclr_proto_message(&value, 2, &type, ok, e);
    return nnclr_proto_message(&g->bytes, field, &value, ok, e);
}

/* An output, and how many operators lead to it; 0 on failure. */
static int put_output(graph *g, const char *name, nnclr_error *e) {
    const int found = nnclr_network_find(g->net, name);
    const nnclr_value *value = nnclr_network_value(g->net, (size_t)found);
    return put_value(g, 12, name, &value->c, 1, e) ? value->producer + 1 : 0;
}

static bool put_graph(graph *g, const nnclr_model_spec *model, nnclr_error *e) {
    const int size = model->size;
    if (!nnclr_proto_text(&g->bytes, 2, nnclr_arch_names[model->arch], e) ||
        !put_value(g, 11, "input", (const int[]){3, size, size}, 3, e))
        return false;
    int ops = put_output(g, "features", e);
    if (ops > 0 && model->classes > 0)
        ops = put_output(g, "logits", e);
    bool ok = ops > 0;
    for (int i = 0; ok && i < ops; i++)
        ok = put_op(g, nnclr_network_op(g->net, (size_t)i), e) &&
             nnclr_progress_tell(g->progress, "operators", i + 1, ops, NULL, e);
    return ok;
}

/* Each member of `metadata`, all of them strings, as a StringStringEntryProto. */
static bool put_metadata(nnclr_buffer *out, const nnclr_json *metadata, nnclr_error *e) {
    void *iterator = NULL;
    const char *key;
    bool ok = true;
    for (const nnclr_json *value;
         ok && (value = nnclr_json_each(metadata, &iterator, &key)) != NULL;) {
        nnclr_buffer entry = {0};
        ok = nnclr_proto_text(&entry, 1, key, e) &&
             nnclr_proto_text(&entry, 2, nnclr_json_string(value), e);
        ok = nnclr_proto_message(out, 14, &entry, ok, e);
    }
    return ok;
}

static bool put_description(nnclr_buffer *out, const nnclr_model_spec *spec, nnclr_error *e) {
    const int size = spec->size;
    nnclr_buffer text = {0};
    bool ok = nnclr_buffer_printf(
        &text, e,
        "input: N x 3 x %d x %d, the channels of RGB, each pixel/255 minus mean, divided by std; "
        "metadata's resize says how a picture is brought to that size. features: the backbone's "
        "output for each picture.%s",
        size, size,
        spec->classes > 0 ? " logits: one for each of metadata's classes, in their order." : "");
    ok = ok && nnclr_proto_bytes(out, 6, text.data, text.size, e);
    nnclr_buffer_free(&text);
    return ok;
}

static bool put_model(graph *g, const nnclr_checkpoint_info *info, const nnclr_model_spec *spec,
                      const char *version, nnclr_buffer *out, nnclr_error *e) {
    nnclr_buffer opset = {0};
    bool ok = nnclr_proto_int(out, 1, IR_VERSION, e) &&
              nnclr_proto_text(out, 2, "nnclr-export", e) && nnclr_proto_text(out, 3, version, e) &&
              put_description(out, spec, e) && nnclr_proto_int(&opset, 2, OPSET, e);
    ok = nnclr_proto_message(out, 8, &opset, ok, e);
    ok = ok && put_graph(g, spec, e);
    ok = nnclr_proto_message(out, 7, &g->bytes, ok, e);
    nnclr_json *metadata = ok ? nnclr_export_metadata(info, e) : NULL;
    ok = metadata && put_metadata(out, metadata, e);
    nnclr_json_free(metadata);
    return ok;
}

bool nnclr_export_onnx(const nnclr_frozen_network *from, const char *path, const char *version,
                       const nnclr_progress *progress, nnclr_error *e) {
    nnclr_buffer model = {0};
    nnclr_checkpoint_info of_weights = {.config = from->config, .step = from->step};
    of_weights.config.model.classes = 0; /* their classifier has no names */
    const nnclr_checkpoint_info *info = from->foreign ? &of_weights : &from->info;
    nnclr_model_spec spec = info->config.model;
    if (from->foreign)
        spec.projector.count = spec.predictor.count = 0;
    nnclr_network *net = nnclr_model_build(&spec, e);
    graph g = {.checkpoint = from->reader, .net = net, .progress = progress};
    if (from->foreign)
        g.names = &from->weights.names;
    bool ok = net &&
              (from->foreign ? nnclr_weights_check(from->reader, g.names, net, e)
                             : nnclr_checkpoint_check(from->reader, net, false, e)) &&
              put_model(&g, info, &spec, version, &model, e) &&
              nnclr_file_write(path, model.data, model.size, e);
    nnclr_network_free(net);
    nnclr_buffer_free(&g.bytes);
    nnclr_buffer_free(&model);
    return ok;
}
