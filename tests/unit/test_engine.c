/* Choosing an engine. */
#include "engine/cuda/cuda.h"
#include "engine/engine.h"
#include "engine/simd.h"
#include "tests/unit/check.h"

typedef struct choice {
    nnclr_engine_choice engine;
    nnclr_precision precision;
    const char *want, *message; /* precision given, or what the refusal says */
} choice;

TEST(what_is_built_in_is_given) {
    const choice choices[] = {
        {NNCLR_ENGINE_CPU, NNCLR_PRECISION_AUTO, "f32", NULL},
        {NNCLR_ENGINE_CPU, NNCLR_PRECISION_F32, "f32", NULL},
        {NNCLR_ENGINE_CPU, NNCLR_PRECISION_F64, "f64", NULL},
        {NNCLR_ENGINE_CPU, NNCLR_PRECISION_BF16, "bf16", NULL},
        {NNCLR_ENGINE_AUTO, NNCLR_PRECISION_F64, "f64", NULL},
        {NNCLR_ENGINE_AMX, NNCLR_PRECISION_F64, NULL,
         "precision f64 is not offered by engine amx; it offers: bf16"},
    };
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_pool *pool = nnclr_pool_create(1, &e);
    CHECK_SAYS(pool, "%s", e.message);
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        const choice *c = &choices[i];
        nnclr_engine g;
        bool opened = nnclr_engine_open(&g, c->engine, c->precision, pool, &e);
        CHECK(opened == (c->want != NULL));
        if (opened) {
            CHECK_TEXT(g.table->name, "cpu");
            CHECK_TEXT(g.table->precision, c->want);
            CHECK(nnclr_real_bytes(&g) == (strcmp(c->want, "f64") == 0 ? 8 : 4));
        } else {
            CHECK(e.code == NNCLR_ERROR_MISSING);
            CHECK_TEXT(e.message, c->message);
        }
        nnclr_engine_close(&g);
        CHECK(g.table == NULL && g.state == NULL);
    }
    nnclr_pool_free(pool);
}

/* What this CPU has according to the kernel. */
static bool cpu_has(const char *flag) {
    char line[8192], spaced[32];
    snprintf(spaced, sizeof spaced, " %s ", flag);
    FILE *file = fopen("/proc/cpuinfo", "re");
    bool has = false;
    while (file && !has && fgets(line, sizeof line, file))
        has = strstr(line, spaced) != NULL;
    if (file)
        fclose(file);
    return has;
}

static bool opens(const char *named, nnclr_engine_choice engine, nnclr_error *e) {
    nnclr_pool *pool = nnclr_pool_create(1, e);
    nnclr_engine g;
    CHECK(pool && setenv("NNCLR_ENGINE", named, 1) == 0);
    bool opened = nnclr_engine_open(&g, engine, NNCLR_PRECISION_AUTO, pool, e);
    CHECK(unsetenv("NNCLR_ENGINE") == 0);
    nnclr_engine_close(&g);
    nnclr_pool_free(pool);
    return opened;
}

TEST(auto_is_amx_where_it_is_there) {
    const bool amx = cpu_has("amx_bf16");
    const struct {
        nnclr_precision asked;
        const char *engine, *precision;
    } cases[] = {{NNCLR_PRECISION_AUTO, amx ? "amx" : "cpu", amx ? "bf16" : "f32"},
                 {NNCLR_PRECISION_F32, "cpu", "f32"},
                 {NNCLR_PRECISION_BF16, amx ? "amx" : "cpu", "bf16"}};
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_pool *pool = nnclr_pool_create(1, &e);
    CHECK(pool && unsetenv("NNCLR_ENGINE") == 0);
    if (opens("", NNCLR_ENGINE_CUDA, &e)) {
        nnclr_pool_free(pool);
        SKIP("here auto is cuda");
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        nnclr_engine g;
        CHECK_SAYS(nnclr_engine_open(&g, NNCLR_ENGINE_AUTO, cases[i].asked, pool, &e), "%s",
                   e.message);
        CHECK_TEXT(g.table->name, cases[i].engine);
        CHECK_TEXT(g.table->precision, cases[i].precision);
        nnclr_engine_close(&g);
    }
    nnclr_pool_free(pool);
}

TEST(the_environment_says_what_auto_is) {
    nnclr_error e = NNCLR_NO_ERROR;
    CHECK(opens("", NNCLR_ENGINE_AUTO, &e) && opens("auto", NNCLR_ENGINE_AUTO, &e));
    CHECK(opens("cpu", NNCLR_ENGINE_AUTO, &e));
    CHECK(opens("cuda", NNCLR_ENGINE_CPU, &e));
    CHECK(!opens("gpu", NNCLR_ENGINE_AUTO, &e) && e.code == NNCLR_ERROR_USAGE);
    CHECK_TEXT(e.message, "NNCLR_ENGINE=gpu is none of auto, cpu, amx, cuda");
}

/* Not everywhere: what it lacks is said, by name or by the environment alike. */
TEST(cuda_is_a_library_of_its_own) {
    static const char absent[] = "engine cuda is not built into this program; it offers: cpu, amx";
    nnclr_error e = NNCLR_NO_ERROR, named = NNCLR_NO_ERROR;
    const bool opened = opens("", NNCLR_ENGINE_CUDA, &e);
    CHECK(opens("cuda", NNCLR_ENGINE_AUTO, &named) == opened);
    CHECK_TEXT(named.message, e.message);
    if (opened)
        return;
    CHECK(e.code == NNCLR_ERROR_MISSING && strncmp(e.message, "engine cuda ", 12) == 0);
    if (strcmp(e.message, absent) != 0)
        SKIP("%s", e.message);
}

TEST(vectors_that_are_none_are_refused) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_simd simd;
    CHECK(setenv("NNCLR_SIMD", "mmx", 1) == 0);
    const bool chosen = nnclr_simd_choose(&simd, &e), opened = opens("cpu", NNCLR_ENGINE_CPU, &e);
    CHECK(unsetenv("NNCLR_SIMD") == 0);
    CHECK(!chosen && (!opened || !nnclr_simd_has(NNCLR_SIMD_AVX2)));
    CHECK_TEXT(e.message, "NNCLR_SIMD=mmx is none of avx512, avx2, none");
}

/* The name says which function an incomplete engine lacks; a complete one has them all. */
TEST(tables_are_complete) {
    const nnclr_engine_table *tables[] = {&nnclr_engine_cpu_tiles, &nnclr_engine_cpu_f32,
                                          &nnclr_engine_cpu_f64,   &nnclr_engine_cpu_bf16,
                                          &nnclr_engine_amx_bf16,  &nnclr_engine_cuda_f32,
                                          &nnclr_engine_cuda_bf16};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        void *const *entries = (void *const *)(const void *)&tables[i]->open;
        size_t count = (sizeof *tables[i] - offsetof(nnclr_engine_table, open)) / sizeof *entries;
        for (size_t k = 0; k < count; k++)
            CHECK_SAYS(entries[k], "%s: entry %zu is missing", tables[i]->precision, k);
    }
}

TEST(memory_moves_and_overflows) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_pool *pool = nnclr_pool_create(1, &e);
    nnclr_engine g;
    CHECK(pool && nnclr_engine_open(&g, NNCLR_ENGINE_CPU, NNCLR_PRECISION_F32, pool, &e));
    float pictures[24], halves[2] = {.5f, -1.5f};
    double back[24];
    for (int i = 0; i < 24; i++)
        pictures[i] = (float)i / 4;
    const nnclr_shape s = {2, 1, 2, 2, 3};
    const size_t bytes = g.table->tensor_bytes(&g, s, NNCLR_ACTIVATION) + 4096;
    unsigned char *arena = g.table->arena_create(&g, bytes, &e);
    CHECK_SAYS(arena, "%s", e.message);
    nnclr_tensor x = {s, NNCLR_ACTIVATION, arena};
    g.table->upload(&g, pictures, &x);
    g.table->download(&g, &x, back);
    for (int i = 0; i < 24; i++)
        CHECK(back[i] == i / 4.0);
    g.table->put(&g, arena + 1024, 2, NNCLR_F32, halves);
    g.table->copy(&g, arena, arena + 1024, 8);
    g.table->get(&g, arena, 3, NNCLR_F64, back);
    CHECK(back[0] == .5 && back[1] == -1.5 && back[2] == .5);
    g.table->zero(&g, arena, 4);
    g.table->get(&g, arena, 2, NNCLR_F32, pictures);
    CHECK(pictures[0] == 0 && pictures[1] == -1.5f);
    nnclr_shape vast = {2, 1 << 30, 1 << 20, 1 << 20, 3};
    CHECK(g.table->tensor_bytes(&g, vast, NNCLR_ACTIVATION) == SIZE_MAX);
    CHECK(g.table->sync(&g, &e));
    g.table->arena_free(&g, arena, bytes);
    nnclr_engine_close(&g);
    nnclr_pool_free(pool);
}

int main(void) {
    return check_all();
}
