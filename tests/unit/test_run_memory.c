/* How much memory a run would hold, and what is offered to one that does not fit. */
#include "train/run_memory.h"

#include "net/execution.h"
#include "net/model.h"
#include "tests/unit/check.h"

static nnclr_error e; /* of the call that is checked */
static nnclr_pool *pool;
static nnclr_engine engine;

static nnclr_config small_config(void) {
    nnclr_config c = nnclr_config_preset(NNCLR_PRESET_TINY);
    c.model.size = c.augment.size = 64;
    c.batch = 96;
    return c;
}

static size_t need(const nnclr_config *c) {
    nnclr_run_bytes bytes;
    CHECK_OK(nnclr_run_memory(c, 1, 1000, &engine, &bytes, &e));
    return nnclr_run_bytes_sum(&bytes);
}

/* The plan that is measured is the one that is made; the views and the weights come on top. */
TEST(the_plan_is_that_of_the_network) {
    const nnclr_config c = small_config();
    nnclr_network *net = nnclr_model_build(&c.model, &e);
    nnclr_parameters p;
    CHECK_OK(net && nnclr_parameters_create(&p, net, &engine, true, &e));
    nnclr_execution *x = nnclr_execution_create(&p, NNCLR_TRAINING, 2, c.batch, -1, &e);
    size_t bytes;
    CHECK_OK(x &&
             nnclr_execution_measure(net, &engine, NNCLR_TRAINING, 2, c.batch, 0, -1, &bytes, &e));
    CHECK(bytes == nnclr_execution_bytes(x));
    size_t views = 3 * 2 * 96 * 3 * 64 * 64 * sizeof(float),
           weights = 3 * nnclr_network_parameter_count(net) * sizeof(float);
    CHECK(need(&c) > bytes + views + weights);
    CHECK(need(&c) < bytes + views + weights + (16 << 20));
    nnclr_execution_free(x);
    nnclr_parameters_free(&p);
    nnclr_network_free(net);
}

/* However much there is: the micro-batch that is named fits, and the next larger divisor does
 * not. */
TEST(the_largest_micro_batch_is_offered) {
    static const int divisors[] = {8, 12, 16, 24, 32, 48, 96};
    const nnclr_config whole = small_config();
    nnclr_config c = whole;
    CHECK_OK(nnclr_run_fits(&whole, 1, 1000, &engine, need(&whole), &e));
    for (int i = 0; i < 6; i++) {
        c.micro_batch = divisors[i];
        const size_t least = need(&c);
        c.micro_batch = divisors[i + 1];
        const size_t next = i == 5 ? need(&whole) : need(&c);
        CHECK(least < next);
        for (int k = 0; k < 2; k++) {
            char wanted[60];
            snprintf(wanted, sizeof wanted, "give --micro-batch %d (", divisors[i]);
            CHECK_FAILS_AS(nnclr_run_fits(&whole, 1, 1000, &engine, k ? next - 1 : least, &e),
                           NNCLR_ERROR_MEMORY);
            CHECK_SAYS(strstr(e.message, wanted), "%s: %s", wanted, e.message);
        }
    }
    CHECK_FAILS(nnclr_run_fits(&whole, 1, 1000, &engine, 1 << 20, &e),
                "give a smaller --batch, or a smaller network");
}

TEST(a_preset_that_fits_is_offered) {
    const nnclr_config large = nnclr_config_preset(NNCLR_PRESET_IMAGENET),
                       cifar = nnclr_config_preset(NNCLR_PRESET_CIFAR);
    size_t available = need(&cifar);
    CHECK_FAILS(nnclr_run_fits(&large, 1, 1000, &engine, available, &e), "--preset cifar (");
    CHECK_FAILS(nnclr_run_fits(&large, 1, 1000, &engine, available - 1, &e), "--preset tiny (");
}

int main(void) {
    pool = nnclr_pool_create(1, &e);
    CHECK_OK(pool && nnclr_engine_open(&engine, NNCLR_ENGINE_CPU, NNCLR_PRECISION_F32, pool, &e));
    const int status = check_all();
    nnclr_engine_close(&engine);
    nnclr_pool_free(pool);
    return status;
}
