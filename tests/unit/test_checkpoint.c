/* Checkpoints: there and back bit for bit, and files that are not what they say. */
#include <unistd.h>

#include "base/memory.h"
#include "net/model.h"
#include "tests/unit/engine_fixture.h"
#include "tests/unit/plain_tiny.h"
#include "tests/unit/scratch.h"
#include "train/checkpoint.h"
#include "train/schedule.h"

static nnclr_error e; /* of the call that is checked */

static char path[300], other[300], plain[300]; /* in the folder of scratch.h */

typedef struct state {
    fixture f;
    nnclr_network *net;
    nnclr_parameters parameters;
    nnclr_support_set support;
    nnclr_checkpoint_info info;
} state;

static nnclr_config small_config(void) {
    nnclr_config config = plain_tiny();
    config.model.size = config.augment.size = 8;
    config.method.queue = 70;
    return config;
}

static void open_state(state *s, nnclr_precision precision, const nnclr_config *config) {
    memset(s, 0, sizeof *s);
    fixture_open(&s->f, precision, 1);
    CHECK_OK(s->net = nnclr_model_build(&config->model, &e));
    CHECK_OK(nnclr_parameters_create(&s->parameters, s->net, &s->f.g, true, &e));
    CHECK_OK(nnclr_parameters_initialize(&s->parameters, 1, &e));
    CHECK_OK(nnclr_support_set_create(&s->support, &s->f.g, config->method.queue,
                                      config->model.projector.width[2], 1, &e));
}

/* Everything that training changes gets values of its own. */
static void fill_state(state *s, const nnclr_config *config) {
    uint64_t random = 4;
    size_t count = nnclr_network_parameter_count(s->net);
    double *values = random_reals(&random, count);
    s->f.t->put(&s->f.g, s->parameters.velocity, count, NNCLR_F64, values);
    for (size_t i = 0; i < nnclr_network_statistic_count(s->net); i++)
        values[i] = fabs(values[i]); /* variances among them */
    s->f.t->put(&s->f.g, s->parameters.statistics, nnclr_network_statistic_count(s->net), NNCLR_F64,
                values);
    free(values);
    s->parameters.batches = 34;
    s->support.cursor = 17;
    for (int i = 0; i < s->support.m; i++) {
        s->support.record[i] = i * 1000003 % 200;
        s->support.label[i] = i % 3 - 1;
        s->support.step[i] = i / 4;
    }
    s->info = (nnclr_checkpoint_info){.config = *config, .step = 17, .total_steps = 45};
    strcpy(s->info.engine, "cpu");
    strcpy(s->info.precision, s->f.t->precision);
    const char identity[] = "[{\"records\":200,\"crc32\":7}]";
    s->info.identity = nnclr_json_parse(identity, strlen(identity), "test", &e);
    s->info.class_count = 2;
    s->info.classes = calloc(2, sizeof *s->info.classes);
    s->info.classes[0] = strdup("caf\xc3\xa9");
    s->info.classes[1] = strdup("zebra \"quoted\"");
}

static void open_filled(state *s) {
    nnclr_config config = small_config();
    open_state(s, NNCLR_PRECISION_F32, &config);
    fill_state(s, &config);
}

static void write_state(state *s, const char *to) {
    CHECK_OK(nnclr_checkpoint_write(to, "test 1", &s->info, &s->parameters, &s->support, &e));
}

static bool load_state(state *s, const char *from) {
    nnclr_tensor_reader *reader = nnclr_checkpoint_open(from, &s->info, &e);
    bool ok = reader && nnclr_checkpoint_load_parameters(reader, &s->parameters, &e) &&
              nnclr_checkpoint_load_support_set(reader, &s->info, &s->support, &e);
    nnclr_tensor_reader_close(reader);
    return ok;
}

static void close_state(state *s) {
    nnclr_checkpoint_info_free(&s->info);
    nnclr_support_set_free(&s->support);
    nnclr_parameters_free(&s->parameters);
    nnclr_network_free(s->net);
    fixture_close(&s->f);
}

static void same_files(const char *a, const char *b) {
    nnclr_buffer x = scratch_read(a), y = scratch_read(b);
    CHECK(x.size == y.size && memcmp(x.data, y.data, x.size) == 0);
    nnclr_buffer_free(&x);
    nnclr_buffer_free(&y);
}

static void check_there_and_back(nnclr_precision precision) {
    nnclr_config config = small_config();
    state s, back;
    open_state(&s, precision, &config);
    fill_state(&s, &config);
    write_state(&s, path);
    open_state(&back, precision, &config);
    CHECK_OK(load_state(&back, path));
    CHECK(back.info.step == 17 && back.info.total_steps == 45 && back.parameters.batches == 34);
    CHECK(back.support.cursor == 17 && back.info.class_count == 2);
    CHECK(back.support.record[3] == 9 && back.support.label[0] == -1);
    CHECK_TEXT(back.info.classes[0], "caf\xc3\xa9");
    CHECK(nnclr_identity_records(back.info.identity) == 200);
    write_state(&back, other);
    same_files(path, other);
    close_state(&s);
    close_state(&back);
}

TEST(there_and_back) {
    check_there_and_back(NNCLR_PRECISION_F32);
    check_there_and_back(NNCLR_PRECISION_F64);
}

/* A useless number in one place of one buffer: refused by the tensor's name, and what was at the
 * path stays. */
TEST(state_of_no_use_is_not_written) {
    static const double bad[] = {NAN, INFINITY, -1e19};
    state s;
    open_filled(&s);
    write_state(&s, path);
    write_state(&s, other);
    void *const buffers[] = {s.parameters.weights, s.parameters.velocity, s.parameters.statistics};
    static const char *const names[] = {"tensor backbone.conv1.weight holds a number",
                                        "tensor optim.momentum.backbone.conv1.weight holds",
                                        "tensor backbone.bn1.running_mean holds a number"};
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < sizeof bad / sizeof *bad; j++) {
            double kept;
            void *place = nnclr_real_at(&s.f.g, buffers[i], 3);
            s.f.t->get(&s.f.g, place, 1, NNCLR_F64, &kept);
            s.f.t->put(&s.f.g, place, 1, NNCLR_F64, &bad[j]);
            e = (nnclr_error)NNCLR_NO_ERROR;
            CHECK_FAILS_AS(
                nnclr_checkpoint_write(path, "test 1", &s.info, &s.parameters, &s.support, &e),
                NNCLR_ERROR_NUMERIC);
            CHECK_SAYS(strstr(e.message, names[i]), "%s", e.message);
            same_files(path, other);
            s.f.t->put(&s.f.g, place, 1, NNCLR_F64, &kept);
        }
    e = (nnclr_error)NNCLR_NO_ERROR;
    write_state(&s, path);
    same_files(path, other);
    close_state(&s);
}

/* Names and types that others read: torchvision's, and torch's Sequential. */
TEST(tensors_have_their_names) {
    static const struct {
        const char *name;
        nnclr_dtype dtype;
        int rank;
        int64_t dims[4];
    } want[] = {
        {"backbone.conv1.weight", NNCLR_F32, 4, {8, 3, 3, 3}},
        {"backbone.bn1.running_mean", NNCLR_F32, 1, {8}},
        {"backbone.bn1.num_batches_tracked", NNCLR_I64, 0, {0}},
        {"backbone.layer2.0.downsample.0.weight", NNCLR_F32, 4, {16, 8, 1, 1}},
        {"backbone.layer2.0.downsample.1.running_var", NNCLR_F32, 1, {16}},
        {"projector.0.weight", NNCLR_F32, 2, {64, 64}},
        {"projector.7.num_batches_tracked", NNCLR_I64, 0, {0}},
        {"predictor.3.bias", NNCLR_F32, 1, {32}},
        {"optim.momentum.backbone.bn1.weight", NNCLR_F32, 1, {8}},
        {"queue.embedding", NNCLR_F32, 2, {70, 32}},
        {"queue.record", NNCLR_I64, 1, {70}},
        {"queue.label", NNCLR_I64, 1, {70}},
        {"queue.step", NNCLR_I64, 1, {70}},
        {"queue.cursor", NNCLR_I64, 0, {0}},
    };
    state s;
    open_filled(&s);
    write_state(&s, path);
    nnclr_tensor_reader *reader = nnclr_tensor_reader_open(path, &e);
    CHECK_OK(reader);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const nnclr_tensor_info *info = nnclr_tensor_reader_find(reader, want[i].name);
        CHECK_SAYS(info, "no %s", want[i].name);
        CHECK_SAYS(info->dtype == want[i].dtype && info->rank == want[i].rank &&
                       memcmp(info->dims, want[i].dims, (size_t)info->rank * sizeof(int64_t)) == 0,
                   "%s", want[i].name);
    }
    int64_t tracked;
    CHECK_OK(nnclr_tensor_reader_read(reader, nnclr_tensor_reader_find(reader, want[2].name), 0,
                                      &tracked, sizeof tracked, &e));
    CHECK(tracked == 34);
    int backbone = 0;
    for (size_t i = 0; i < nnclr_tensor_reader_count(reader); i++)
        backbone += strncmp(nnclr_tensor_reader_info(reader, i)->name, "backbone.", 9) == 0;
    CHECK(backbone == 120);
    CHECK_TEXT(nnclr_tensor_reader_metadata(reader, "nnclr.step"), "17");
    CHECK_TEXT(nnclr_tensor_reader_metadata(reader, "nnclr.epoch"), "5"); /* 3 steps an epoch */
    CHECK_TEXT(nnclr_tensor_reader_metadata(reader, "nnclr.position"), "2");
    nnclr_tensor_reader_close(reader);
    close_state(&s);
}

TEST(either_width_loads_into_either_engine) {
    nnclr_config config = small_config();
    state s, wide;
    open_state(&s, NNCLR_PRECISION_F32, &config);
    fill_state(&s, &config);
    write_state(&s, path);
    open_state(&wide, NNCLR_PRECISION_F64, &config);
    CHECK_OK(load_state(&wide, path));
    size_t count = nnclr_network_parameter_count(s.net);
    double *a = host_reals(&s.f, s.parameters.weights, count);
    double *b = host_reals(&wide.f, wide.parameters.weights, count);
    CHECK(memcmp(a, b, count * sizeof *a) == 0);
    free(a);
    free(b);
    close_state(&s);
    close_state(&wide);
}

/* The file's own nnclr.config asks for another network: the first tensor that does not fit is
 * named. */
static void check_misfit(void (*change)(nnclr_config *), const char *words) {
    nnclr_config config = small_config(), lie = config;
    state s, reader;
    open_state(&s, NNCLR_PRECISION_F32, &config);
    change(&lie);
    fill_state(&s, &lie);
    write_state(&s, path);
    open_state(&reader, NNCLR_PRECISION_F32, &lie);
    CHECK(!load_state(&reader, path) && e.code == NNCLR_ERROR_INPUT);
    CHECK_SAYS(strstr(e.message, words), "%s", e.message);
    close_state(&s);
    close_state(&reader);
}

static void wider(nnclr_config *c) {
    c->model.width = 0.25;
}
static void deeper(nnclr_config *c) {
    c->model.arch = NNCLR_RESNET34;
}
static void longer_queue(nnclr_config *c) {
    c->method.queue = 80;
}
static void other_head(nnclr_config *c) {
    c->model.projector.width[0] = 48;
}

TEST(tensors_that_do_not_fit_their_config) {
    check_misfit(wider,
                 "tensor backbone.conv1.weight has shape [8,3,3,3], but its nnclr.config asks "
                 "for [16,3,3,3]");
    check_misfit(deeper, "there is no tensor backbone.layer1.2.conv1.weight");
    check_misfit(other_head, "tensor projector.0.weight has shape [64,64]");
    check_misfit(longer_queue, "no tensor queue.embedding of shape [80,32]");
}

/* A terabyte of weights: once they are asked for, the reason would be another. */
static void huge(nnclr_config *c) {
    c->model.arch = NNCLR_RESNET152;
    c->model.width = 64;
}

TEST(a_huge_network_is_refused_before_it_is_made) {
    nnclr_config config = small_config(), lie = config;
    nnclr_checkpoint_info info;
    state s;
    open_state(&s, NNCLR_PRECISION_F32, &config);
    huge(&lie);
    fill_state(&s, &lie);
    write_state(&s, path);
    nnclr_tensor_reader *reader = nnclr_checkpoint_open(path, &info, &e);
    CHECK_OK(reader);
    nnclr_network *net = nnclr_model_build(&info.config.model, &e);
    CHECK_OK(net);
    CHECK_FAILS_AS(nnclr_checkpoint_check(reader, net, true, &e), NNCLR_ERROR_INPUT);
    CHECK_SAYS(strstr(e.message, "tensor backbone.conv1.weight has shape [8,3,3,3], but"), "%s",
               e.message);
    CHECK_OK(nnclr_checkpoint_check(reader, s.net, true, &e));
    nnclr_network_free(net);
    nnclr_checkpoint_info_free(&info);
    nnclr_tensor_reader_close(reader);
    close_state(&s);
}

TEST(a_deeper_file_than_its_config) {
    nnclr_config config = small_config(), deep = config;
    deep.model.arch = NNCLR_RESNET34;
    state s, reader;
    open_state(&s, NNCLR_PRECISION_F32, &deep);
    fill_state(&s, &config);
    write_state(&s, path);
    open_state(&reader, NNCLR_PRECISION_F32, &config);
    CHECK_FAILS(load_state(&reader, path), "has no place in the network");
    close_state(&s);
    close_state(&reader);
}

/* Written as it is, and refused when it is read. */
static void check_not_loaded(state *s, const char *why) {
    write_state(s, path);
    nnclr_checkpoint_info_free(&s->info);
    CHECK_FAILS(load_state(s, path), why);
}

/* What is counted on from there must not overflow. */
TEST(steps_that_no_run_has) {
    nnclr_config config = small_config();
    const int64_t steps[] = {NNCLR_MOST_STEPS + 1, INT64_MAX};
    for (int i = 0; i < 2; i++) {
        state s;
        open_state(&s, NNCLR_PRECISION_F32, &config);
        fill_state(&s, &config);
        s.info.step = s.info.total_steps = steps[i];
        check_not_loaded(&s, "nnclr.total_steps of the checkpoint is not a number from 0 to "
                             "1000000000000000");
        close_state(&s);
    }
}

/* A number of the state, another in the file: a checkpoint is not written with numbers of no use.
 */
static void check_flipped(state *s, void *place, float in_file, const char *why) {
    const float mark = 1234.5678f;
    const double there = (double)mark;
    size_t at = 0;
    s->f.t->put(&s->f.g, place, 1, NNCLR_F64, &there);
    write_state(s, plain);
    nnclr_buffer bytes = scratch_read(plain);
    while (at + sizeof mark <= bytes.size && memcmp(bytes.data + at, &mark, sizeof mark) != 0)
        at++;
    CHECK(at + sizeof mark <= bytes.size);
    memcpy(bytes.data + at, &in_file, sizeof in_file);
    scratch_write(plain, bytes.data, bytes.size);
    nnclr_buffer_free(&bytes);
    nnclr_checkpoint_info_free(&s->info);
    CHECK_FAILS(load_state(s, plain), why);
}

TEST(numbers_that_nothing_goes_on_from) {
    state s;
    open_filled(&s);
    check_flipped(&s, s.parameters.weights, NAN,
                  "tensor backbone.conv1.weight holds nan, which is not a finite number");
    const double zero = 0;
    s.f.t->put(&s.f.g, s.parameters.weights, 1, NNCLR_F64, &zero);
    const nnclr_segment *statistics = nnclr_network_statistic_segments(s.net);
    size_t i = 0;
    while (!strstr(statistics[i].name, "bn1.running_var"))
        i++;
    check_flipped(&s, nnclr_real_at(&s.f.g, s.parameters.statistics, statistics[i].offset), -1e-3f,
                  "bn1.running_var holds -0.001, which is not a variance");
    close_state(&s);
}

TEST(rows_beyond_the_data) {
    nnclr_config config = small_config();
    state s;
    open_state(&s, NNCLR_PRECISION_F32, &config);
    fill_state(&s, &config);
    const struct {
        int64_t *place, value;
        const char *why;
    } cases[] = {
        {&s.support.record[9], 200, "queue.record of row 9 is 200, of 200 pictures"},
        {&s.support.label[8], 2, "queue.label of row 8 is 2, of 2 classes"},
        {&s.support.step[7], 18, "queue.step of row 7 is 18, of 18 steps"},
        {&s.support.step[6], -1, "row 6 of the queue contradicts itself"},
        {&s.support.record[4], -1, "row 4 of the queue contradicts itself"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t old = *cases[i].place;
        *cases[i].place = cases[i].value;
        check_not_loaded(&s, cases[i].why);
        nnclr_checkpoint_info_free(&s.info);
        *cases[i].place = old;
        fill_state(&s, &config);
    }
    write_state(&s, path);
    nnclr_checkpoint_info_free(&s.info);
    CHECK_OK(load_state(&s, path));

    /* A file of views of 10 records of a larger set, whose labels have no names. */
    const char views[] = "[{\"kind\":\"views\",\"records\":10,\"crc32\":7}]";
    nnclr_json_free(s.info.identity);
    s.info.identity = nnclr_json_parse(views, strlen(views), "test", &e);
    for (; s.info.class_count > 0; s.info.class_count--)
        nnclr_free(s.info.classes[s.info.class_count - 1]);
    write_state(&s, path);
    nnclr_checkpoint_info_free(&s.info);
    CHECK_OK(load_state(&s, path));
    close_state(&s);
}

/* A row of `value` and zeros. */
static void put_queue_row(state *s, int row, double value) {
    double numbers[32] = {value};
    void *place = fixture_reals(&s->f, numbers, 32);
    s->f.t->search_update(&s->f.g, s->support.search, row, 1, place);
}

TEST(batches_that_cannot_be_counted_on) {
    nnclr_config config = small_config();
    state s, reader;
    open_state(&s, NNCLR_PRECISION_F32, &config);
    fill_state(&s, &config);
    open_state(&reader, NNCLR_PRECISION_F32, &config);
    const int64_t counts[] = {-1, INT64_MAX};
    for (int i = 0; i < 2; i++) {
        s.parameters.batches = counts[i];
        write_state(&s, path);
        CHECK_FAILS(load_state(&reader, path), "not a count of batches");
        nnclr_checkpoint_info_free(&reader.info);
    }
    close_state(&s);
    close_state(&reader);
}

TEST(a_queue_that_is_none) {
    nnclr_config config = small_config();
    state s, reader;
    open_state(&s, NNCLR_PRECISION_F32, &config);
    fill_state(&s, &config);
    open_state(&reader, NNCLR_PRECISION_F32, &config);
    s.support.cursor = 70;
    write_state(&s, path);
    CHECK_FAILS(load_state(&reader, path), "queue.cursor is 70, not a row of 70");
    s.support.cursor = 0;
    s.support.record[9] = -2;
    write_state(&s, path);
    nnclr_checkpoint_info_free(&reader.info);
    CHECK_FAILS(load_state(&reader, path), "queue.record of row 9 is -2");
    s.support.record[9] = 0;
    put_queue_row(&s, 11, 0.5);
    write_state(&s, path);
    nnclr_checkpoint_info_free(&reader.info);
    CHECK_FAILS(load_state(&reader, path), "row 11 of queue.embedding is not a unit vector");
    /* A blank picture's projection: nothing to normalise. */
    put_queue_row(&s, 11, 0);
    write_state(&s, path);
    nnclr_checkpoint_info_free(&reader.info);
    CHECK_OK(load_state(&reader, path));
    close_state(&s);
    close_state(&reader);
}

TEST(cut_and_flipped_files) {
    state s;
    open_filled(&s);
    write_state(&s, path);
    nnclr_checkpoint_info_free(&s.info);
    nnclr_buffer bytes = scratch_read(path);
    for (size_t part = 0; part < 20; part++) {
        scratch_write(other, bytes.data, bytes.size * part / 20);
        CHECK_FAILS(load_state(&s, other), ": ");
        nnclr_checkpoint_info_free(&s.info);
        size_t at = bytes.size * part / 20 + 40;
        bytes.data[at] ^= 4;
        scratch_write(other, bytes.data, bytes.size);
        bytes.data[at] ^= 4;
        CHECK_FAILS(load_state(&s, other), ": ");
        nnclr_checkpoint_info_free(&s.info);
    }
    nnclr_buffer_free(&bytes);
    close_state(&s);
}

TEST(files_of_another_kind) {
    nnclr_checkpoint_info info;
    const nnclr_tensor_info tensor = {"embedding", NNCLR_F32, 2, {1, 1}};
    nnclr_tensor_writer *writer =
        nnclr_tensor_writer_open(path, "embedding", "test 1", NULL, &tensor, 1, &e);
    CHECK_OK(writer && nnclr_tensor_writer_put(writer, "1234", 4, &e) &&
             nnclr_tensor_writer_commit(writer, &e));
    CHECK_FAILS_AS(nnclr_checkpoint_open(path, &info, &e), NNCLR_ERROR_INPUT);
    CHECK_SAYS(strstr(e.message, "embedding"), "%s", e.message);
}

TEST(a_full_disk) {
    if (access("/dev/full", W_OK) != 0)
        SKIP("no /dev/full");
    state s;
    open_filled(&s);
    CHECK_FAILS(
        nnclr_checkpoint_write("/dev/full", "test 1", &s.info, &s.parameters, &s.support, &e),
        "/dev/full");
    CHECK(e.code == NNCLR_ERROR_IO);
    close_state(&s);
}

int main(void) {
    strcpy(path, scratch("a.safetensors.zst"));
    strcpy(other, scratch("b.safetensors.zst"));
    strcpy(plain, scratch("c.safetensors"));
    return check_all();
}
