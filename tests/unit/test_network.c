#include <inttypes.h>

#include "net/model.h"
#include "tests/unit/check.h"

/* Made by tests/reference/resnet_names.py from torchvision. */
static const struct {
    nnclr_arch arch;
    nnclr_stem stem;
    size_t parameters, keys;
    uint64_t parameter_hash, statistic_hash;
} torchvision[] = {
    {NNCLR_RESNET18, NNCLR_STEM_IMAGENET, 11176512, 120, 0x8442020f28a4312d, 0xbb55e66e2beb5a19},
    {NNCLR_RESNET18, NNCLR_STEM_CIFAR, 11168832, 120, 0x088f807ec917b20d, 0xbb55e66e2beb5a19},
    {NNCLR_RESNET34, NNCLR_STEM_IMAGENET, 21284672, 216, 0x9b2ca9a913916ca1, 0x41b2f31198caa4f7},
    {NNCLR_RESNET34, NNCLR_STEM_CIFAR, 21276992, 216, 0xea5dbe50065bb181, 0x41b2f31198caa4f7},
    {NNCLR_RESNET50, NNCLR_STEM_IMAGENET, 23508032, 318, 0x632c54066c5b5dba, 0xe6636113e57b744f},
    {NNCLR_RESNET50, NNCLR_STEM_CIFAR, 23500352, 318, 0x05bb289e7027ceda, 0xe6636113e57b744f},
    {NNCLR_RESNET101, NNCLR_STEM_IMAGENET, 42500160, 624, 0x0ab2766e21f00381, 0xb4a35a0783c52407},
    {NNCLR_RESNET101, NNCLR_STEM_CIFAR, 42492480, 624, 0x3aaf515931c28fe1, 0xb4a35a0783c52407},
    {NNCLR_RESNET152, NNCLR_STEM_IMAGENET, 58143808, 930, 0x6761bcbcb6e02883, 0xaef339a4d94aea97},
    {NNCLR_RESNET152, NNCLR_STEM_CIFAR, 58136128, 930, 0x50923914d52e3423, 0xaef339a4d94aea97},
};

static nnclr_model_spec spec_of(nnclr_arch arch, nnclr_stem stem, double width, int size) {
    return (nnclr_model_spec){.arch = arch, .stem = stem, .width = width, .size = size};
}

static nnclr_network *build(nnclr_model_spec spec) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_network *net = nnclr_model_build(&spec, &e);
    CHECK_SAYS(net, "%s", e.message);
    return net;
}

static uint64_t fnv(uint64_t hash, const char *text) {
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
    return hash;
}

static uint64_t hash_of(const nnclr_segment *segments, size_t count, const char *prefix) {
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < count; i++) {
        CHECK(strncmp(segments[i].name, prefix, strlen(prefix)) == 0);
        hash = fnv(hash, segments[i].name + strlen(prefix));
        for (int d = 0; d < segments[i].rank; d++) {
            char text[32];
            snprintf(text, sizeof text, " %" PRId64, segments[i].dims[d]);
            hash = fnv(hash, text);
        }
        hash = fnv(hash, "\n");
    }
    return hash;
}

TEST(names_and_shapes_are_torchvisions) {
    for (size_t i = 0; i < sizeof torchvision / sizeof *torchvision; i++) {
        nnclr_network *net = build(spec_of(torchvision[i].arch, torchvision[i].stem, 1, 64));
        size_t parameters = nnclr_network_segment_count(net),
               statistics = nnclr_network_statistic_segment_count(net);
        CHECK(nnclr_network_parameter_count(net) == torchvision[i].parameters);
        /* one num_batches_tracked for each pair of running statistics */
        CHECK(parameters + statistics + statistics / 2 == torchvision[i].keys);
        CHECK(hash_of(nnclr_network_segments(net), parameters, "backbone.") ==
              torchvision[i].parameter_hash);
        CHECK(hash_of(nnclr_network_statistic_segments(net), statistics, "backbone.") ==
              torchvision[i].statistic_hash);
        nnclr_network_free(net);
    }
}

/* Segments tile the flat buffers, and every operator's indices name its own segments. */
TEST(segments_tile_the_buffers) {
    nnclr_model_spec spec = spec_of(NNCLR_RESNET50, NNCLR_STEM_IMAGENET, 0.25, 64);
    spec.projector = (nnclr_layers){3, {24, 16, 8}};
    spec.predictor = (nnclr_layers){1, {40}};
    nnclr_network *net = build(spec);
    const nnclr_segment *segments = nnclr_network_segments(net);
    size_t offset = 0;
    for (size_t i = 0; i < nnclr_network_segment_count(net); i++) {
        size_t count = 1;
        for (int d = 0; d < segments[i].rank; d++)
            count *= (size_t)segments[i].dims[d];
        CHECK(segments[i].count == count && segments[i].offset == offset);
        CHECK(segments[i].decays == (segments[i].rank > 1));
        CHECK(segments[i].adapts == (segments[i].rank > 1));
        offset += count;
    }
    CHECK(offset == nnclr_network_parameter_count(net));
    for (size_t i = 0; i < nnclr_network_op_count(net); i++) {
        const nnclr_op *op = nnclr_network_op(net, i);
        char name[80];
        snprintf(name, sizeof name, "%s.weight", op->name);
        if (op->weight >= 0)
            CHECK_TEXT(segments[op->weight].name, name);
        snprintf(name, sizeof name, "%s.bias", op->name);
        if (op->bias >= 0)
            CHECK_TEXT(segments[op->bias].name, name);
        CHECK((op->second >= 0) == (op->weight2 >= 0));
        if (op->second >= 0) {
            const nnclr_value *second = nnclr_network_value(net, (size_t)op->second);
            const nnclr_op *down = nnclr_network_op(net, (size_t)second->producer);
            CHECK(strstr(segments[op->weight2].name, ".downsample.1.weight"));
            CHECK(strstr(segments[op->bias2].name, ".downsample.1.bias"));
            CHECK(strstr(segments[down->weight].name, ".downsample.0.weight"));
            CHECK(down->sums);
        }
    }
    nnclr_network_free(net);
}

TEST(heads_are_named_as_in_a_sequential) {
    nnclr_model_spec spec = spec_of(NNCLR_RESNET18, NNCLR_STEM_CIFAR, 0.125, 32);
    spec.projector = (nnclr_layers){3, {2048, 2048, 256}};
    spec.predictor = (nnclr_layers){1, {4096}};
    static const struct {
        const char *name;
        int64_t dims[2];
    } want[] = {
        {"projector.0.weight", {2048, 64}},  {"projector.1.weight", {2048}},
        {"projector.1.bias", {2048}},        {"projector.3.weight", {2048, 2048}},
        {"projector.4.weight", {2048}},      {"projector.4.bias", {2048}},
        {"projector.6.weight", {256, 2048}}, {"projector.7.weight", {256}},
        {"projector.7.bias", {256}},         {"predictor.0.weight", {4096, 256}},
        {"predictor.1.weight", {4096}},      {"predictor.1.bias", {4096}},
        {"predictor.3.weight", {256, 4096}}, {"predictor.3.bias", {256}},
    };
    size_t wanted = sizeof want / sizeof *want;
    nnclr_network *net = build(spec);
    const nnclr_segment *heads =
        nnclr_network_segments(net) + nnclr_network_segment_count(net) - wanted;
    for (size_t i = 0; i < wanted; i++) {
        CHECK_TEXT(heads[i].name, want[i].name);
        CHECK(heads[i].dims[0] == want[i].dims[0] && heads[i].dims[1] == want[i].dims[1]);
    }
    CHECK(strcmp(heads[-1].name, "backbone.layer4.1.bn2.bias") == 0);
    static const struct {
        const char *name;
        int c;
    } marks[] = {{"features", 64},
                 {"projection", 256},
                 {"projection_unit", 256},
                 {"prediction", 256},
                 {"prediction_unit", 256}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        int value = nnclr_network_find(net, marks[i].name);
        CHECK(value > 0 && nnclr_network_marked(net, value));
        CHECK(nnclr_network_value(net, (size_t)value)->c == marks[i].c);
        CHECK(nnclr_network_value(net, (size_t)value)->kind == NNCLR_ROWS);
    }
    /* z is read by its normalisation and by the predictor, the last value by nobody */
    CHECK(nnclr_network_value(net, (size_t)nnclr_network_find(net, "projection"))->readers == 2);
    CHECK(nnclr_network_value(net, (size_t)nnclr_network_find(net, "prediction_unit"))->readers ==
          0);
    CHECK(nnclr_network_find(net, "nothing") == -1);
    nnclr_network_free(net);
}

TEST(absent_heads_leave_no_marks) {
    nnclr_model_spec spec = spec_of(NNCLR_RESNET18, NNCLR_STEM_CIFAR, 0.125, 32);
    nnclr_network *net = build(spec);
    CHECK(nnclr_network_find(net, "features") > 0 && nnclr_network_find(net, "projection") == -1);
    nnclr_network_free(net);
    spec.projector = (nnclr_layers){1, {32}};
    net = build(spec);
    CHECK(nnclr_network_find(net, "projection_unit") > 0);
    CHECK(nnclr_network_find(net, "prediction") == -1);
    nnclr_network_free(net);
}

static const nnclr_value *written_by(const nnclr_network *net, const char *name) {
    for (size_t i = 0; i < nnclr_network_op_count(net); i++) {
        const nnclr_op *op = nnclr_network_op(net, i);
        if (strcmp(op->name, name) == 0)
            return nnclr_network_value(net, (size_t)op->y);
    }
    CHECK_SAYS(false, "no operator %s", name);
    return NULL;
}

TEST(shapes_follow_the_picture) {
    static const struct {
        nnclr_stem stem;
        int size, conv1, layer1, layer4;
    } cases[] = {{NNCLR_STEM_IMAGENET, 224, 112, 56, 7}, {NNCLR_STEM_IMAGENET, 33, 17, 9, 2},
                 {NNCLR_STEM_CIFAR, 32, 32, 32, 4},      {NNCLR_STEM_CIFAR, 28, 28, 28, 4},
                 {NNCLR_STEM_CIFAR, 1, 1, 1, 1},         {NNCLR_STEM_IMAGENET, 1, 1, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nnclr_network *net = build(spec_of(NNCLR_RESNET50, cases[i].stem, 0.125, cases[i].size));
        CHECK(written_by(net, "backbone.conv1")->h == cases[i].conv1);
        CHECK(written_by(net, "backbone.layer1.0.conv2")->w == cases[i].layer1);
        CHECK(written_by(net, "backbone.layer4.2.bn3")->h == cases[i].layer4);
        nnclr_network_free(net);
    }
}

TEST(widths_are_multiples_of_eight) {
    static const struct {
        double width;
        int stem, layer4;
    } cases[] = {{0.125, 8, 64}, {0.01, 8, 8}, {0.3, 16, 152}, {1.5, 96, 768}, {2, 128, 1024}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nnclr_network *net = build(spec_of(NNCLR_RESNET18, NNCLR_STEM_CIFAR, cases[i].width, 32));
        CHECK(written_by(net, "backbone.conv1")->c == cases[i].stem);
        CHECK(written_by(net, "backbone.layer4.1.bn2")->c == cases[i].layer4);
        nnclr_network_free(net);
        net = build(spec_of(NNCLR_RESNET50, NNCLR_STEM_CIFAR, cases[i].width, 32));
        CHECK(written_by(net, "backbone.layer4.0.conv1")->c == cases[i].layer4);
        CHECK(written_by(net, "backbone.layer4.2.bn3")->c == 4 * cases[i].layer4);
        nnclr_network_free(net);
    }
}

/* "R50@224 ~4.1 GMAC forward; R18 CIFAR stem ~0.56 GMAC" */
TEST(work_is_counted) {
    nnclr_network *net = build(spec_of(NNCLR_RESNET50, NNCLR_STEM_IMAGENET, 1, 224));
    size_t ops = nnclr_network_op_count(net);
    CHECK_NEAR(nnclr_network_macs(net, 0, ops), 4.09e9, 0.01e9);
    CHECK(nnclr_network_macs(net, 0, 1) == 112.0 * 112 * 64 * 147);
    CHECK(nnclr_network_macs(net, 0, 30) + nnclr_network_macs(net, 30, ops) ==
          nnclr_network_macs(net, 0, ops));
    nnclr_network_free(net);
    net = build(spec_of(NNCLR_RESNET18, NNCLR_STEM_CIFAR, 1, 32));
    CHECK_NEAR(nnclr_network_macs(net, 0, nnclr_network_op_count(net)), 0.555e9, 0.005e9);
    nnclr_network_free(net);
}

TEST(table_is_printed) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_network *net = nnclr_network_create(9, 7, 3, &e);
    int y = nnclr_add_conv(net, 0, "c", 8, 3, 2, 1, &e);
    y = nnclr_add_batchnorm(net, y, "b", true, -1, -1, NULL, &e);
    y = nnclr_add_maxpool(net, y, "m", &e);
    y = nnclr_add_average(net, y, "a", &e);
    y = nnclr_add_linear(net, y, "l", 5, true, &e);
    CHECK_SAYS(nnclr_add_l2norm(net, y, "u", &e) > 0, "%s", e.message);
    nnclr_buffer text = {0};
    CHECK(nnclr_network_print(net, &text, &e));
    CHECK_TEXT((const char *)text.data, "op\tkind\theight\twidth\tchannels\tparameters\tmacs\n"
                                        "c\tconv\t5\t4\t8\t216\t4320\n"
                                        "b\tbatchnorm\t5\t4\t8\t16\t0\n"
                                        "m\tmaxpool\t3\t2\t8\t0\t0\n"
                                        "a\taverage\t1\t1\t8\t0\t0\n"
                                        "l\tlinear\t1\t1\t5\t45\t40\n"
                                        "u\tl2norm\t1\t1\t5\t0\t0\n"
                                        "total\t\t\t\t\t277\t4360\n");
    nnclr_buffer_free(&text);
    nnclr_network_free(net);
}

#define REFUSED(call, part)                                                                        \
    do {                                                                                           \
        nnclr_error e = NNCLR_NO_ERROR;                                                            \
        CHECK((call) == -1);                                                                       \
        CHECK_SAYS(strstr(e.message, part), "\"%s\" is not in \"%s\"", part, e.message);           \
    } while (0)

TEST(impossible_lists_are_refused) {
    nnclr_error none = NNCLR_NO_ERROR;
    nnclr_network *net = nnclr_network_create(8, 8, 3, &none);
    int a = nnclr_add_conv(net, 0, "a", 8, 3, 1, 1, &none);
    int b = nnclr_add_batchnorm(net, a, "b", true, -1, -1, NULL, &none);
    int c = nnclr_add_conv(net, b, "c", 16, 3, 2, 1, &none);
    CHECK(c > 0);
    REFUSED(nnclr_add_batchnorm(net, a, "x", true, -1, -1, NULL, &e), "belongs to a batch norm");
    REFUSED(nnclr_add_conv(net, a, "x", 8, 3, 1, 1, &e), "belongs to a batch norm");
    REFUSED(nnclr_add_batchnorm(net, c, "x", true, b, -1, NULL, &e), "adds 8 x 8 x 8");
    REFUSED(nnclr_add_batchnorm(net, b, "x", true, -1, -1, NULL, &e), "another operator");
    REFUSED(nnclr_add_batchnorm(net, 0, "x", true, -1, -1, NULL, &e), "value 0");
    REFUSED(nnclr_add_batchnorm(net, 99, "x", true, -1, -1, NULL, &e), "no value 99");
    REFUSED(nnclr_add_linear(net, c, "x", 4, true, &e), "reads rows");
    REFUSED(nnclr_add_conv(net, 77, "x", 4, 1, 1, 0, &e), "no value 77");
    REFUSED(nnclr_add_conv(net, c, "x", 4, 7, 1, 1, &e), "smaller than its kernel");
    REFUSED(nnclr_add_conv(net, c, "x", 0, 3, 1, 1, &e), "impossible");
    /* a failed call's -1 passes through and leaves the first message */
    CHECK(nnclr_add_average(net, -1, "x", &none) == -1 && none.code == NNCLR_OK);
    CHECK(nnclr_network_mark(net, "here", c, &none));
    CHECK(!nnclr_network_mark(net, "here", b, &none) && none.code == NNCLR_ERROR_USAGE);
    nnclr_network_free(net);
}

TEST(impossible_models_are_refused) {
    const nnclr_model_spec good = spec_of(NNCLR_RESNET18, NNCLR_STEM_CIFAR, 0.125, 32);
    nnclr_model_spec bad[8];
    for (size_t i = 0; i < 8; i++)
        bad[i] = good;
    bad[0].width = 0;
    bad[1].width = NAN;
    bad[2].width = 1e9;
    bad[3].size = 0;
    bad[4].size = 1 << 30;
    bad[5].projector.count = NNCLR_MLP_LAYERS + 1;
    bad[6].projector = (nnclr_layers){1, {-4}};
    bad[7].predictor = (nnclr_layers){1, {16}};
    for (size_t i = 0; i < 8; i++) {
        nnclr_error e = NNCLR_NO_ERROR;
        CHECK(!nnclr_model_build(&bad[i], &e));
        CHECK(e.code == NNCLR_ERROR_USAGE);
    }
}

int main(void) {
    return check_all();
}
