/* Steps of a network without what nnclr-pretrain and nnclr-embed do around them, on views that are
 * there already.
 *
 *     bench_step engine PRECISION
 *     bench_step bare|embed|parts PRECISION PRESET ARCH WIDTH STEM SIZE VIEWS STEPS
 *
 * engine  the engine that "auto" picks, and on a line of its own why it is not amx
 * bare    the backbone alone: upload, forward, backward, optimiser, packing
 * embed   forward in evaluation, as nnclr-embed does it, on VIEWS pictures at a time
 * parts   a whole step of the method with the preset's heads and support set: milliseconds of each
 *         kind of operator, for convolutions GFLOP/s and their share of what the machine can do
 *
 * bare and embed print one line: the median of the steps in views/s, the peak of resident memory in
 * MiB, the engine. Two steps warm up. VIEWS are both of each picture. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/strings.h"
#include "eval/embed.h"
#include "net/model.h"
#include "tests/bench/machine_limit.h"
#include "tests/bench/op_times.h"
#include "train/objective.h"

enum { WARM_UP = 2, MOST_STEPS = 1000, SIDES = 2 };

typedef struct bench {
    op_times times;
    nnclr_pool *pool;
    nnclr_config config;
    int views, steps;
    nnclr_network *net;
    nnclr_parameters parameters;
    nnclr_pass pass;
    float *pictures; /* [views][size][size][3] */
    /* of a whole step: */
    nnclr_communicator communicator;
    nnclr_objective objective;
    int64_t *record; /* [views / 2]; labels too */
    /* of embedding: */
    nnclr_embedder *embedder;
    float *rows;
    int64_t step;                             /* the one that runs, from 1 */
    double seconds[OP_KINDS + 1][MOST_STEPS]; /* by kind, and of the whole step */
} bench;

static void die(const nnclr_error *e) {
    fprintf(stderr, "bench_step: %s\n", e->message);
    exit(1);
}

static void require(bool ok, const nnclr_error *e) {
    if (!ok)
        die(e);
}

/* ---- arguments ---- */

static int choice(const char *text, const char *const *names) {
    for (int i = 0; names[i]; i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    fprintf(stderr, "bench_step: %s is not offered\n", text);
    exit(2);
}

static int number(const char *text, int high) {
    int64_t value;
    if (!nnclr_parse_int(text, 1, high, &value)) {
        fprintf(stderr, "bench_step: %s is no number up to %d\n", text, high);
        exit(2);
    }
    return (int)value;
}

static void read_arguments(bench *b, char **argv) {
    nnclr_config *c = &b->config;
    *c = nnclr_config_preset((nnclr_preset)choice(argv[0], nnclr_preset_names));
    c->model.arch = (nnclr_arch)choice(argv[1], nnclr_arch_names);
    c->model.width = atof(argv[2]);
    c->model.stem = (nnclr_stem)choice(argv[3], nnclr_stem_names);
    nnclr_config_size(c, number(argv[4], 1024));
    b->views = number(argv[5], 1 << 16);
    b->steps = number(argv[6], MOST_STEPS - WARM_UP);
    c->batch = b->views / SIDES;
    c->steps = b->steps + WARM_UP;
    c->warmup_steps = 0;
}

static nnclr_precision precision_of(const char *text) {
    static const char *const names[] = {"f32", "bf16", NULL};
    return choice(text, names) == 0 ? NNCLR_PRECISION_F32 : NNCLR_PRECISION_BF16;
}

/* ---- what all have ---- */

static void open_engine(bench *b, const char *precision) {
    nnclr_error e = NNCLR_NO_ERROR;
    b->pool = nnclr_pool_create(nnclr_cpu_count(), &e);
    require(b->pool &&
                op_times_open(&b->times, NNCLR_ENGINE_AUTO, precision_of(precision), b->pool, &e),
            &e);
}

static void print_engine(const bench *b) {
    const nnclr_engine *g = &b->times.engine;
    printf("%s %s%s%s, %d threads\n", g->table->name, g->table->precision, g->vectors ? " " : "",
           g->vectors ? g->vectors : "", nnclr_pool_threads(b->pool));
}

static void build(bench *b, bool training, bool heads) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_model_spec spec = b->config.model;
    if (!heads)
        spec.projector.count = spec.predictor.count = 0;
    b->net = nnclr_model_build(&spec, &e);
    require(b->net &&
                nnclr_parameters_create(&b->parameters, b->net, &b->times.engine, training, &e) &&
                nnclr_parameters_initialize(&b->parameters, 1, &e),
            &e);
    const size_t size = (size_t)spec.size, count = 3 * size * size;
    b->pictures = nnclr_alloc((size_t)b->views, count * sizeof *b->pictures, &e);
    require(b->pictures, &e);
    nnclr_rng rng = nnclr_rng_at(1, NNCLR_DRAW_EXAMPLE, 0, 0, 0);
    for (size_t i = 0; i < (size_t)b->views * count; i++)
        b->pictures[i] = 4 * nnclr_rng_float(&rng) - 2;
}

static void open_pass(bench *b) {
    nnclr_error e = NNCLR_NO_ERROR;
    require(nnclr_pass_create(&b->pass, &b->parameters, SIDES, b->views / SIDES, 0, &e), &e);
    nnclr_pass_pack(&b->pass);
}

/* ---- a step of the backbone ---- */

/* The gradient of the pooled features, as some loss might give it. */
static void set_gradient(bench *b, int features) {
    nnclr_error e = NNCLR_NO_ERROR;
    const nnclr_tensor *gradient = nnclr_execution_gradient(b->pass.execution, features);
    size_t count = (size_t)b->views * (size_t)gradient->shape.c;
    float *values = nnclr_alloc(count, sizeof *values, &e);
    require(values, &e);
    for (size_t i = 0; i < count; i++)
        values[i] = 1e-4f * b->pictures[i % (size_t)b->views];
    b->times.inner->put(&b->times.engine, gradient->place, count, NNCLR_F32, values);
    nnclr_free(values);
}

static void bare_step(bench *b) {
    const nnclr_config *c = &b->config;
    const int features = nnclr_network_find(b->net, "features");
    const nnclr_update_call update = {
        .optimizer = c->optimizer,
        .lars = c->lars,
        .lr = 1e-3,
        .momentum = c->momentum,
        .weight_decay = c->weight_decay,
        .trust = c->trust,
        .segments = nnclr_network_segments(b->net),
        .segment_count = nnclr_network_segment_count(b->net),
        .weights = b->parameters.weights,
        .velocity = b->parameters.velocity,
        .gradients = b->parameters.gradients,
    };
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_engine *g = &b->times.engine;
    nnclr_pass_forward(&b->pass, b->pictures, features);
    nnclr_pass_seed(&b->pass, features);
    nnclr_pass_backward(&b->pass, b->pictures, features);
    g->table->update(g, &update);
    nnclr_pass_pack(&b->pass);
    require(g->table->sync(g, &e), &e);
}

static void open_bare(bench *b) {
    build(b, true, false);
    open_pass(b);
    set_gradient(b, nnclr_network_find(b->net, "features"));
}

/* ---- a step of the method ---- */

static void open_whole(bench *b) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_config *c = &b->config;
    const int n = c->batch;
    build(b, true, true);
    open_pass(b);
    b->communicator = nnclr_communicator_self();
    b->record = nnclr_alloc_zero((size_t)n, sizeof *b->record, &e);
    require(b->record, &e);
    for (int i = 0; i < n; i++)
        b->record[i] = i;
    require(nnclr_objective_create(&b->objective, c, n, &b->pass, &b->communicator, &e), &e);
}

static void whole_step(bench *b) {
    nnclr_error e = NNCLR_NO_ERROR;
    const nnclr_method_batch batch = {b->pictures, b->record, b->record, b->step};
    require(nnclr_objective_compute(&b->objective, &batch, &e), &e);
    nnclr_objective_update(&b->objective, &batch);
    require(nnclr_objective_finish(&b->objective, &batch, &e), &e);
}

/* ---- embedding ---- */

static void open_embed(bench *b) {
    nnclr_error e = NNCLR_NO_ERROR;
    build(b, false, false);
    const int features = nnclr_network_find(b->net, "features");
    nnclr_evaluation_options view = nnclr_embed_view(&b->config, 1);
    view.batch = b->views;
    b->embedder = nnclr_embedder_create(&b->parameters, features, &view, &e);
    b->rows = nnclr_alloc((size_t)b->views * sizeof *b->rows,
                          (size_t)nnclr_network_value(b->net, (size_t)features)->c, &e);
    require(b->embedder && b->rows, &e);
    nnclr_embedder_pack(b->embedder);
}

static void embed_step(bench *b) {
    nnclr_error e = NNCLR_NO_ERROR;
    require(nnclr_embedder_rows(b->embedder, b->pictures, b->views, b->rows, &e), &e);
}

/* ---- measuring ---- */

static void run_steps(bench *b, void (*step)(bench *b)) {
    for (int i = -WARM_UP; i < b->steps; i++) {
        memset(b->times.seconds, 0, sizeof b->times.seconds);
        memset(b->times.flops, 0, sizeof b->times.flops);
        b->step++;
        double start = nnclr_now();
        step(b);
        if (i < 0)
            continue;
        b->seconds[OP_KINDS][i] = nnclr_now() - start;
        for (int kind = 0; kind < OP_KINDS; kind++)
            b->seconds[kind][i] = b->times.seconds[kind];
    }
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, compare);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static void print_rate(bench *b) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%.4g\t%ld\t", b->views / median(b->seconds[OP_KINDS], b->steps), usage.ru_maxrss >> 10);
    print_engine(b);
}

static void print_row(const char *name, double seconds, double whole, double flops, double limit) {
    printf("%s\t%.1f\t%.1f", name, 1e3 * seconds, 100 * seconds / whole);
    if (flops > 0 && seconds > 0)
        printf("\t%.0f\t%.2f", 1e-9 * flops / seconds, 1e-9 * flops / seconds / limit);
    else
        printf("\t\t");
    printf("\n");
}

static void print_parts(bench *b, double limit) {
    double whole = median(b->seconds[OP_KINDS], b->steps), sum = 0, convs = 0, flops = 0;
    printf("part\tms\tpercent\tGFLOP_per_s\tof_limit\n");
    for (int kind = 0; kind < OP_KINDS; kind++) {
        bool conv = kind < OP_CONVS;
        double seconds = median(b->seconds[kind], b->steps);
        sum += seconds;
        if (conv) {
            convs += seconds;
            flops += b->times.flops[kind];
        }
        print_row(op_kind_names[kind], seconds, whole, conv ? b->times.flops[kind] : 0, limit);
    }
    print_row("rest", whole > sum ? whole - sum : 0, whole, 0, limit);
    print_row("step", whole, whole, 0, limit);
    print_row("convolutions", convs, whole, flops, limit);
    printf("limit\t\t\t%.0f\t\n", limit);
}

/* ---- */

static void close_bench(bench *b) {
    nnclr_objective_free(&b->objective);
    nnclr_embedder_free(b->embedder);
    nnclr_pass_free(&b->pass);
    nnclr_parameters_free(&b->parameters);
    nnclr_network_free(b->net);
    nnclr_engine_close(&b->times.engine);
    nnclr_pool_free(b->pool);
    nnclr_free(b->rows);
    nnclr_free(b->record);
    nnclr_free(b->pictures);
}

static void tell_engine(bench *b) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_engine amx;
    print_engine(b);
    if (nnclr_engine_open(&amx, NNCLR_ENGINE_AMX, NNCLR_PRECISION_BF16, b->pool, &e))
        nnclr_engine_close(&amx);
    else
        printf("%s\n", e.message);
}

int main(int argc, char **argv) {
    static bench b;
    nnclr_error e = NNCLR_NO_ERROR;
    bool engine = argc == 3 && strcmp(argv[1], "engine") == 0;
    if (!engine && argc != 10) {
        fprintf(stderr, "usage: bench_step engine PRECISION\n"
                        "       bench_step bare|embed|parts PRECISION PRESET ARCH WIDTH STEM SIZE "
                        "VIEWS STEPS\n");
        return 2;
    }
    open_engine(&b, argv[2]);
    if (engine) {
        tell_engine(&b);
    } else {
        static const char *const names[] = {"bare", "embed", "parts", NULL};
        static void (*const opens[])(bench *) = {open_bare, open_embed, open_whole};
        static void (*const steps[])(bench *) = {bare_step, embed_step, whole_step};
        const int what = choice(argv[1], names);
        read_arguments(&b, argv + 3);
        double before = 0, after = 0;
        bool limited = what == 2;
        require(!limited || machine_limit(&b.times.engine, &before, &e), &e);
        opens[what](&b);
        run_steps(&b, steps[what]);
        require(!limited || machine_limit(&b.times.engine, &after, &e), &e);
        if (limited)
            print_parts(&b, before > after ? before : after);
        else
            print_rate(&b);
    }
    close_bench(&b);
    return 0;
}
