/* Presets against the table of the manual, nnclr.config there and back, and options as text. */
#include <stdarg.h>

#include "tests/unit/check.h"
#include "tests/unit/plain_tiny.h"
#include "train/config.h"
#include "train/config_text.h"
#include "train/schedule.h"

static nnclr_error e; /* of the call that is checked */

/* ---- the manual's table ---- */

enum { CELL_SIZE = 100, MOST_ROWS = 40 };

typedef struct table_row {
    char label[CELL_SIZE], cell[CELL_SIZE];
} table_row;

typedef struct table {
    table_row rows[MOST_ROWS];
    int count;
} table;

/* The column of preset i in the table of man/nnclr-pretrain.1; tests run in the folder above man/.
 */
static void read_manual(int preset, table *t) {
    FILE *file = fopen("man/nnclr-pretrain.1", "r");
    CHECK_SAYS(file, "man/nnclr-pretrain.1 cannot be opened from here");
    char line[300];
    bool inside = false;
    t->count = 0;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, ".It Ta Cm imagenet Ta Cm cifar Ta Cm tiny", sizeof line) == 0) {
            inside = true;
        } else if (inside && strncmp(line, ".It ", 4) != 0) {
            break;
        } else if (inside) {
            table_row *row = &t->rows[t->count++];
            CHECK(t->count <= MOST_ROWS);
            const char *end = strstr(line, " Ta"), *cell = end;
            CHECK_SAYS(end, "no cell in \"%s\"", line);
            snprintf(row->label, sizeof row->label, "%.*s", (int)(end - line - 4), line + 4);
            for (int i = 0; i < preset && cell; i++)
                cell = strstr(cell + 1, " Ta");
            CHECK_SAYS(cell, "too few cells in \"%s\"", line);
            cell += cell[3] == ' ' ? 4 : 3;
            end = strstr(cell, " Ta");
            snprintf(row->cell, sizeof row->cell, "%.*s",
                     (int)(end ? (size_t)(end - cell) : strlen(cell)), cell);
        }
    }
    fclose(file);
}

__attribute__((format(printf, 3, 4))) static void put(table *t, const char *label,
                                                      const char *format, ...) {
    va_list arguments;
    table_row *row = &t->rows[t->count++];
    snprintf(row->label, sizeof row->label, "%s", label);
    va_start(arguments, format);
    vsnprintf(row->cell, sizeof row->cell, format, arguments);
    va_end(arguments);
}

static void tell_preset(const nnclr_config *c, table *t) {
    const nnclr_augment *a = &c->augment;
    bool lars = c->optimizer == NNCLR_LARS;
    char text[CELL_SIZE];
    t->count = 0;
    if (c->model.width == 1)
        put(t, "backbone", "%s", nnclr_arch_names[c->model.arch]);
    else
        put(t, "backbone", "%s x %.17g", nnclr_arch_names[c->model.arch], c->model.width);
    put(t, "stem", "%s", nnclr_stem_names[c->model.stem]);
    put(t, "size", "%d", c->model.size);
    nnclr_print_layers(&c->model.projector, text, sizeof text);
    put(t, "projector", "%s", text);
    nnclr_print_layers(&c->model.predictor, text, sizeof text);
    put(t, "predictor", "%s", text);
    put(t, "temperature", "%.17g", c->method.temperature);
    put(t, "queue", "%d", c->method.queue);
    nnclr_print_course(&c->method.view_weight, text, sizeof text);
    put(t, "view weight", "%s", text);
    put(t, "soft", "%d", c->method.soft ? c->method.neighbours : 0);
    put(t, "exclude self", "%s", c->method.exclude_self ? "yes" : "no");
    put(t, "batch", "%d", c->batch);
    put(t, "epochs", "%.17g", c->epochs);
    put(t, "warm-up", "%.17g", c->warmup_epochs);
    put(t, "optimiser", lars ? "LARS, %s" : "SGD", nnclr_lars_names[c->lars]);
    put(t, "trust", lars ? "%.17g" : "", c->trust);
    put(t, "momentum", "%.17g", c->momentum);
    put(t, "base rate", "%.17g", c->lr);
    put(t, "weight decay", "%.17g", c->weight_decay);
    put(t, "crop area", "%.17g,%.17g", a->area_low, a->area_high);
    put(t, "jitter p", "%.17g", a->jitter);
    put(t, "jitter", "%.17g,%.17g,%.17g,%.17g", a->brightness, a->contrast, a->saturation, a->hue);
    put(t, "gray", "%.17g", a->gray);
    put(t, "flip", "%.17g", a->flip);
    put(t, "blur", "%.17g,%.17g", a->blur[0], a->blur[1]);
    put(t, "solarize", "%.17g,%.17g", a->solarize[0], a->solarize[1]);
}

/* As texts, or number by number: "5e-4" is 0.0005. */
static bool same_cell(const char *a, const char *b) {
    while (*a && *b) {
        char *after_a, *after_b;
        double x = strtod(a, &after_a), y = strtod(b, &after_b);
        if (after_a > a && after_b > b) {
            if (x != y)
                return false;
            a = after_a, b = after_b;
        } else if (*a++ != *b++) {
            return false;
        }
    }
    return *a == *b;
}

TEST(presets_are_those_of_the_manual) {
    static table manual, here;
    for (int i = 0; nnclr_preset_names[i]; i++) {
        const nnclr_config c = nnclr_config_preset((nnclr_preset)i);
        read_manual(i, &manual);
        tell_preset(&c, &here);
        CHECK_SAYS(manual.count == here.count, "the manual's table has %d rows, not %d",
                   manual.count, here.count);
        for (int row = 0; row < here.count; row++) {
            CHECK_TEXT(manual.rows[row].label, here.rows[row].label);
            CHECK_SAYS(same_cell(manual.rows[row].cell, here.rows[row].cell),
                       "%s, %s: the manual says %s, the preset %s", nnclr_preset_names[i],
                       here.rows[row].label, manual.rows[row].cell, here.rows[row].cell);
        }
    }
}

/* What all presets have in common, and what follows from their numbers: the width of the features,
 * the peak of the rate. */
TEST(presets_in_common) {
    static const struct {
        int features;
        double peak;
        float mean[3], std[3];
    } rows[] = {
        {2048, 4.8, {0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}},
        {512, 0.4, {0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}},
        {64, 0.06, {0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}},
    };
    for (int i = 0; nnclr_preset_names[i]; i++) {
        const nnclr_config c = nnclr_config_preset((nnclr_preset)i);
        CHECK_OK(nnclr_config_check(&c, &e));
        CHECK(c.objective == NNCLR_OBJECTIVE_NNCLR && c.method.loss == NNCLR_LOSS_ROW);
        CHECK(c.method.soft == (i > 0) && c.method.neighbours == (i > 0 ? 5 : 1));
        CHECK(c.method.enqueue == NNCLR_ENQUEUE_VIEW1);
        CHECK(c.method.positive == NNCLR_POSITIVE_NN && !c.method.queue_frozen && c.method.swap);
        CHECK(c.lr_scale == NNCLR_SCALE_LINEAR && c.schedule == NNCLR_COSINE && c.final_lr == 0);
        CHECK(c.method.negatives == NNCLR_NEGATIVES_ALL);
        CHECK(c.steps == 0 && c.warmup_steps == -1 && c.init_seed == 0 && c.data_seed == 0);
        const nnclr_augment *a = &c.augment;
        CHECK(a->size == c.model.size);
        CHECK(a->filter == NNCLR_BICUBIC && a->aspect_low == 0.75 && a->aspect_high == 4.0 / 3);
        CHECK(a->blur_low == 0.1 && a->blur_high == 2);
        CHECK(memcmp(a->mean, rows[i].mean, sizeof a->mean) == 0);
        CHECK(memcmp(a->std, rows[i].std, sizeof a->std) == 0);
        nnclr_plan plan;
        CHECK_OK(nnclr_plan_make(&c, 1281167, &plan, &e));
        CHECK_NEAR(plan.peak, rows[i].peak, 1e-15);
        CHECK(plan.warmup == (int64_t)c.warmup_epochs * (1281167 / c.batch));
        nnclr_network *net = nnclr_model_build(&c.model, &e);
        CHECK_OK(net);
        int features = nnclr_network_find(net, "features");
        CHECK(nnclr_network_value(net, (size_t)features)->c == rows[i].features);
        nnclr_network_free(net);
    }
}

TEST(augmentations) {
    nnclr_config c = nnclr_config_preset(NNCLR_PRESET_IMAGENET);
    nnclr_config_augment(&c, NNCLR_AUGMENT_SIMCLR);
    CHECK(c.augment.blur[1] == 0.5 && c.augment.saturation == 0.8 && c.augment.solarize[1] == 0);
    nnclr_config_size(&c, 63);
    CHECK(c.augment.blur[0] == 0 && c.augment.blur[1] == 0 && c.augment.size == 63);
    nnclr_config_augment(&c, NNCLR_AUGMENT_BYOL);
    CHECK(c.augment.blur[0] == 0 && c.augment.filter == NNCLR_BICUBIC);
    nnclr_config_augment(&c, NNCLR_AUGMENT_NONE);
    CHECK(c.augment.area_low == 1 && c.augment.aspect_low == 1 && c.augment.aspect_high == 1);
    CHECK(c.augment.flip == 0 && c.augment.jitter == 0 && c.augment.gray == 0);
    CHECK(c.augment.mean[0] == 0.485f && c.augment.std[2] == 0.225f);
    CHECK(c.augment.operators == NNCLR_JITTER_TORCH);
    c.augment.operators = NNCLR_JITTER_TF;
    nnclr_config_augment(&c, NNCLR_AUGMENT_BYOL);
    CHECK(c.augment.operators == NNCLR_JITTER_TF);
}

/* ---- nnclr.config ---- */

static char *print_config(const nnclr_config *config) {
    nnclr_buffer text = {0};
    nnclr_json *json = nnclr_config_to_json(config, &e);
    CHECK_OK(json && nnclr_json_print(json, false, &text, &e));
    nnclr_json_free(json);
    return (char *)text.data;
}

static bool parse_config(const char *text, nnclr_config *config) {
    e = (nnclr_error)NNCLR_NO_ERROR;
    nnclr_json *json = nnclr_json_parse(text, strlen(text), "test", &e);
    bool ok = json && nnclr_config_from_json(json, config, &e);
    nnclr_json_free(json);
    return ok;
}

TEST(there_and_back) {
    for (int i = 0; nnclr_preset_names[i]; i++) {
        nnclr_config c = nnclr_config_preset((nnclr_preset)i), back;
        c.init_seed = 8999999999999999999;
        c.data_seed = 12345;
        c.micro_batch = c.batch / 4;
        c.lr = 0.1 + 0.2;
        c.steps = 77;
        c.warmup_steps = 3;
        c.method.positive = NNCLR_POSITIVE_VIEW;
        c.method.queue_frozen = true;
        c.augment.std[1] = 0.1f;
        c.augment.operators = i % 2 ? NNCLR_JITTER_TORCH : NNCLR_JITTER_TF;
        c.augment.std[2] = 1e-6f; /* the least that --std takes */
        char *text = print_config(&c);
        CHECK_OK(parse_config(text, &back));
        char *again = print_config(&back);
        CHECK_TEXT(again, text);
        CHECK(back.init_seed == c.init_seed && back.lr == c.lr && back.steps == 77);
        CHECK(back.method.positive == NNCLR_POSITIVE_VIEW && back.method.queue_frozen);
        CHECK(memcmp(back.augment.std, c.augment.std, sizeof c.augment.std) == 0);
        CHECK(memcmp(&back.model, &c.model, sizeof c.model) == 0);
        CHECK(back.augment.size == c.augment.size && back.augment.operators == c.augment.operators);
        free(text);
        free(again);
    }
}

/* Replaces the first `from` by `to`. */
static char *replaced(const char *text, const char *from, const char *to) {
    const char *at = strstr(text, from);
    CHECK_SAYS(at, "no %s in %s", from, text);
    char *out = malloc(strlen(text) + strlen(to) + 1);
    sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

/* Checkpoints of versions that had only torchvision's operators do not say so. */
TEST(without_a_jitter_it_is_torch) {
    nnclr_config c = nnclr_config_preset(NNCLR_PRESET_TINY);
    c.augment.operators = NNCLR_JITTER_TF;
    char *text = print_config(&c), *older = replaced(text, "\"jitter\":\"tf\",", "");
    CHECK_OK(parse_config(older, &c));
    CHECK(c.augment.operators == NNCLR_JITTER_TORCH);
    free(older);
    free(text);
}

TEST(impossible_values_are_named) {
    static const struct {
        const char *from, *to, *words;
    } cases[] = {
        {"\"batch\":64", "\"patch\":64", "no \"batch\""},
        {"\"batch\":64", "\"batch\":0", "\"batch\" of nnclr.config"},
        {"\"batch\":64", "\"batch\":\"64\"", "\"batch\" of nnclr.config"},
        {"\"batch\":64", "\"batch\":1024", "smaller than a batch of 1024"},
        {"\"micro_batch\":0", "\"micro_batch\":48", "cannot be cut into micro-batches of 48"},
        {"\"micro_batch\":0", "\"micro_batch\":-1", "\"micro_batch\" of nnclr.config"},
        {"\"jitter\":\"torch\"", "\"jitter\":\"pil\"", "\"jitter\" of nnclr.config"},
        {"\"arch\":\"resnet18\"", "\"arch\":\"resnet19\"", "\"arch\" of nnclr.config"},
        {"\"proj\":[64,64,32]", "\"proj\":[64,0,32]", "\"proj\" of nnclr.config"},
        {"\"proj\":[64,64,32]", "\"proj\":[1,2,3,4,5,6,7,8,9]", "\"proj\" of nnclr.config"},
        {"\"proj\":[64,64,32]", "\"proj\":[]", "at least one layer"},
        {"\"solarize\":[", "\"solarize\":[0,", "\"solarize\" of nnclr.config"},
        {"\"swap\":true", "\"swap\":1", "\"swap\""},
        {"\"lr\":", "\"lr\":-1,\"old\":", "\"lr\" of nnclr.config"},
    };
    nnclr_config c = nnclr_config_preset(NNCLR_PRESET_TINY);
    char *text = print_config(&c);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *bad = replaced(text, cases[i].from, cases[i].to);
        CHECK_SAYS(!parse_config(bad, &c) && e.code == NNCLR_ERROR_INPUT, "%s", cases[i].to);
        CHECK_SAYS(strstr(e.message, cases[i].words), "%s", e.message);
        free(bad);
    }
    free(text);
}

TEST(files_of_earlier_versions_are_read) {
    nnclr_config c = nnclr_config_preset(NNCLR_PRESET_TINY), back;
    char *text = print_config(&c), *older = replaced(text, "\"micro_batch\":0,", "");
    CHECK_OK(parse_config(older, &back));
    CHECK(back.micro_batch == 0 && back.batch == 64);
    free(older);
    free(text);
}

/* Keys that say nothing in most runs are in files of the others alone. */
TEST(what_a_run_does_not_use_is_not_in_its_file) {
    static const char *const keys[] = {"\"view_weight\":[1.0,0.25],",
                                       "\"view_weight_over\":20.0,",
                                       "\"view_weight_unit\":\"epochs\",",
                                       "\"soft\":true,",
                                       "\"agree\":true,",
                                       "\"decoupled\":true,"};
    nnclr_config c = plain_tiny(), back;
    char *plain = print_config(&c);
    c.method.view_weight = (nnclr_course){{1, 0.25}, 20, NNCLR_OVER_EPOCHS};
    c.method.soft = c.method.agree = c.method.decoupled = true;
    char *text = print_config(&c);
    CHECK_OK(parse_config(text, &back));
    CHECK(back.method.view_weight.share[0] == 1 && back.method.view_weight.share[1] == 0.25);
    CHECK(back.method.view_weight.over == 20 && back.method.view_weight.unit == NNCLR_OVER_EPOCHS);
    CHECK(back.method.soft && back.method.agree && back.method.decoupled);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char *shorter = replaced(text, keys[i], "");
        free(text);
        text = shorter;
    }
    CHECK_TEXT(text, plain);
    CHECK_OK(parse_config(plain, &back));
    CHECK(back.method.view_weight.share[0] == 0 && back.method.view_weight.share[1] == 0);
    CHECK(!back.method.soft && !back.method.agree && !back.method.decoupled);
    char *bad = replaced(plain, "\"batch\":64", "\"view_weight\":[1,1.5],\"batch\":64");
    CHECK(!parse_config(bad, &back));
    CHECK_SAYS(strstr(e.message, "\"view_weight\" of nnclr.config"), "%s", e.message);
    free(bad);
    free(text);
    free(plain);
}

TEST(contradictions) {
    nnclr_config c = plain_tiny();
    c.method.queue = 63;
    CHECK_FAILS_AS(nnclr_config_check(&c, &e), NNCLR_ERROR_USAGE);
    CHECK_TEXT(e.message, "a support set of 63 rows is smaller than a batch of 64: give a larger "
                          "--queue or a smaller --batch");
    c.method.queue = 100;
    CHECK_OK(nnclr_config_check(&c, &e));
    c.method.enqueue = NNCLR_ENQUEUE_BOTH;
    CHECK(!nnclr_config_check(&c, &e));
    c.method.queue = 127;
    CHECK_FAILS(nnclr_config_check(&c, &e), "two views of a batch of 64");
    c.method.queue = 128;
    CHECK_OK(nnclr_config_check(&c, &e));
    c.objective = NNCLR_OBJECTIVE_SIMCLR;
    CHECK_FAILS(nnclr_config_check(&c, &e), "--pred none");
    c.model.predictor.count = 0;
    CHECK_OK(nnclr_config_check(&c, &e));
    c.objective = NNCLR_OBJECTIVE_BARLOW;
    CHECK_OK(nnclr_config_check(&c, &e));
    c.model.predictor.count = 1;
    CHECK_FAILS(nnclr_config_check(&c, &e), "barlow has no predictor");
    c.model.predictor.count = 0;
    c.objective = NNCLR_OBJECTIVE_SIMSIAM;
    CHECK_FAILS(nnclr_config_check(&c, &e), "leave out --pred none");
    c.model.predictor.count = 1;
    CHECK_OK(nnclr_config_check(&c, &e));
    c.method.queue = 127;
    CHECK_FAILS(nnclr_config_check(&c, &e), "two views of a batch of 64");
    c.method.positive = NNCLR_POSITIVE_VIEW;
    CHECK_OK(nnclr_config_check(&c, &e));
}

/* ---- text ---- */

TEST(lists) {
    double pair[2];
    CHECK_OK(nnclr_parse_reals("0.2,1", pair, 2, 0, 1, &e) && pair[0] == 0.2 && pair[1] == 1);
    static const char *const bad[] = {"0.2",     "0.2,1,1", "0.2,", ",1",
                                      "0.2,1.5", "a,b",     "",     "0.2, 1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_SAYS(!nnclr_parse_reals(bad[i], pair, 2, 0, 1, &e), "%s", bad[i]);
    nnclr_layers layers;
    CHECK_OK(nnclr_parse_layers("none", &layers, &e) && layers.count == 0);
    CHECK_OK(nnclr_parse_layers("512,512,128", &layers, &e) && layers.count == 3);
    CHECK(layers.width[0] == 512 && layers.width[2] == 128);
    CHECK(!nnclr_parse_layers("512,,128", &layers, &e) && !nnclr_parse_layers("", &layers, &e));
    CHECK(!nnclr_parse_layers("1,1,1,1,1,1,1,1,1", &layers, &e));
}

TEST(durations) {
    static const struct {
        const char *text, *shown;
        double count;
        nnclr_unit unit;
    } good[] = {
        {"10m", "10m", 600, NNCLR_SECONDS},
        {"90s", "1.5m", 90, NNCLR_SECONDS},
        {"2h", "120m", 7200, NNCLR_SECONDS},
        {"0.5s", "0.5s", 0.5, NNCLR_SECONDS},
        {"500steps", "500steps", 500, NNCLR_STEPS},
        {"1epoch", "1epoch", 1, NNCLR_EPOCHS},
        {"2.5epochs", "2.5epochs", 2.5, NNCLR_EPOCHS},
    };
    static const char *const bad[] = {"10", "0s", "m", "1.5steps", "-1s", "1d", "10 m", "1e3s", ""};
    nnclr_duration d;
    char text[40];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CHECK_OK(nnclr_parse_duration(good[i].text, &d, &e));
        CHECK(d.count == good[i].count && d.unit == good[i].unit);
        nnclr_print_duration(&d, text, sizeof text);
        CHECK_TEXT(text, good[i].shown);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_SAYS(!nnclr_parse_duration(bad[i], &d, &e), "%s", bad[i]);
}

TEST(courses) {
    static const struct {
        const char *text, *shown;
        nnclr_course course;
    } good[] = {
        {"0", "0", {{0, 0}, 0, NNCLR_OVER_RUN}},
        {"0.5", "0.5", {{0.5, 0.5}, 0, NNCLR_OVER_RUN}},
        {"1,0.5", "1,0.5", {{1, 0.5}, 0, NNCLR_OVER_RUN}},
        {"0,1,0.3", "0,1,0.3", {{0, 1}, 0.3, NNCLR_OVER_RUN}},
        {"1,0.5,20epochs", "1,0.5,20epochs", {{1, 0.5}, 20, NNCLR_OVER_EPOCHS}},
        {"1,0.5,0.5epochs", "1,0.5,0.5epochs", {{1, 0.5}, 0.5, NNCLR_OVER_EPOCHS}},
        {"1,0.5,1step", "1,0.5,1steps", {{1, 0.5}, 1, NNCLR_OVER_STEPS}},
        {"1,0.5,500steps", "1,0.5,500steps", {{1, 0.5}, 500, NNCLR_OVER_STEPS}},
        {"0.5,0.5,500steps", "0.5", {{0.5, 0.5}, 500, NNCLR_OVER_STEPS}},
    };
    static const char *const bad[] = {
        "",          "1.5",       "-0.1",           "a",       "1,",
        "1,2",       ",1",        "1,0.5,",         "1,0.5,0", "1,0.5,2",
        "1,0.5,10m", "1,0.5,2,3", "1,0.5,1.5steps", "1, 0.5"};
    char text[80];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        nnclr_course c, again;
        CHECK_OK(nnclr_parse_course(good[i].text, &c, &e));
        CHECK_SAYS(c.share[0] == good[i].course.share[0] && c.share[1] == good[i].course.share[1] &&
                       c.over == good[i].course.over && c.unit == good[i].course.unit,
                   "%s", good[i].text);
        nnclr_print_course(&c, text, sizeof text);
        CHECK_TEXT(text, good[i].shown);
        CHECK_OK(nnclr_parse_course(text, &again, &e));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        nnclr_course c = {{0.125, 0.25}, 3, NNCLR_OVER_STEPS};
        CHECK_SAYS(!nnclr_parse_course(bad[i], &c, &e) && c.share[0] == 0.125, "%s", bad[i]);
        CHECK_SAYS(strstr(e.message, "needs a share from 0 to 1"), "%s", e.message);
    }
}

int main(void) {
    return check_all();
}
