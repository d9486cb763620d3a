/* Maps against scikit-learn, finite differences and plain formulas. */
#include "tests/unit/check.h"

#include "base/memory.h"
#include "base/rng.h"
#include "eval/map.h"
#include "eval/tsne.h"
#include "tests/reference/map.inc"

static nnclr_error e; /* of the call that is checked */

enum { N = sizeof map_rows / sizeof *map_rows, D = 8, CLUSTERS = 9, NEAREST = 12 };

typedef struct fixture {
    nnclr_pool *pool;
    float rows[N * D];
    int64_t record[N], label[N];
    nnclr_row_set set;
} fixture;

static fixture f;

static void start(int threads) {
    e = (nnclr_error)NNCLR_NO_ERROR;
    f.pool = nnclr_pool_create(threads, &e);
    CHECK_OK(f.pool);
    for (int i = 0; i < N; i++) {
        f.record[i] = i;
        f.label[i] = i % CLUSTERS;
        for (int j = 0; j < D; j++)
            f.rows[i * D + j] = map_rows[i][j];
    }
    f.set = (nnclr_row_set){
        .rows = nnclr_rows_in_memory(f.rows, N, D), .record = f.record, .label = f.label};
}

static nnclr_map make(const nnclr_row_set *set, int64_t most, double perplexity) {
    nnclr_map map;
    const nnclr_map_options options = {.perplexity = perplexity, .most = most};
    CHECK_OK(nnclr_map_make(f.pool, set, &options, &map, &e));
    return map;
}

static void stop(void) {
    nnclr_pool_free(f.pool);
}

/* ---- affinities, and what they attract ---- */

static void make_affinities(int64_t n, int k, double perplexity, nnclr_affinities *p) {
    nnclr_row_graph graph;
    f.set.rows.n = n;
    CHECK_OK(nnclr_row_graph_make(f.pool, NULL, &f.set, &f.set, k, NULL, &graph, &e));
    CHECK_OK(nnclr_affinities_make(f.pool, graph.neighbours, n, k, perplexity, p, &e));
    nnclr_row_graph_free(&graph);
}

static double affinity(const nnclr_affinities *p, int i, int j) {
    for (size_t at = p->first[i]; at < p->first[i + 1]; at++)
        if (p->other[at] == j)
            return p->p[at];
    return 0;
}

TEST(affinities_are_those_of_scikit_learn) {
    nnclr_affinities p;
    double sum = 0;
    start(2);
    make_affinities(N, 60, 20, &p);
    for (size_t i = 0; i < sizeof map_affinities / sizeof *map_affinities; i++) {
        const double wanted = map_affinities[i].p;
        CHECK_NEAR(affinity(&p, map_affinities[i].i, map_affinities[i].j), wanted,
                   2e-3 * wanted + 1e-12);
    }
    for (int i = 0; i < p.n; i++)
        for (size_t at = p.first[i]; at < p.first[i + 1]; at++) {
            sum += p.p[at];
            CHECK(p.other[at] != i && (at == p.first[i] || p.other[at] > p.other[at - 1]));
            CHECK(affinity(&p, p.other[at], i) == p.p[at]);
        }
    CHECK_NEAR(sum, 1, 1e-12);
    nnclr_affinities_free(&p);
    stop();
}

static void draw_places(double *y, int n, double wide) {
    for (int i = 0; i < n; i++) {
        nnclr_rng rng = nnclr_rng_at(5, NNCLR_DRAW_SAMPLE, 0, (uint64_t)i, 0);
        nnclr_rng_normal2(&rng, y + 2 * i);
        y[2 * i] *= wide;
        y[2 * i + 1] *= wide;
    }
}

TEST(gradient_is_that_of_the_divergence) {
    enum { FEW = 60 };
    nnclr_affinities p;
    double y[2 * FEW], gradient[2 * FEW];
    start(2);
    make_affinities(FEW, 15, 5, &p);
    nnclr_tsne *t = nnclr_tsne_create(f.pool, &p, &e);
    CHECK_OK(t);
    draw_places(y, FEW, 2);
    nnclr_tsne_gradient(t, y, 1, 0, gradient);
    for (int i = 0; i < 2 * FEW; i++) {
        const double at = y[i], h = 1e-5;
        y[i] = at + h;
        const double above = nnclr_tsne_divergence(t, y, 0);
        y[i] = at - h;
        const double below = nnclr_tsne_divergence(t, y, 0);
        y[i] = at;
        CHECK_NEAR(gradient[i], (above - below) / (2 * h), 1e-8);
    }
    nnclr_tsne_free(t);
    nnclr_affinities_free(&p);
    stop();
}

/* Both forces, and what stands for points that are far away. */
TEST(cells_stand_for_their_points) {
    nnclr_affinities p;
    double y[2 * N], exact[2 * N], near[2 * N], twelve[2 * N], off = 0, all = 0, forces = 0;
    start(2);
    make_affinities(N, 60, 20, &p);
    nnclr_tsne *t = nnclr_tsne_create(f.pool, &p, &e);
    CHECK_OK(t);
    draw_places(y, N, 20);
    memcpy(y, y + 20, 20 * sizeof *y); /* ten points are where ten others are */
    nnclr_tsne_gradient(t, y, 1, 0, exact);
    nnclr_tsne_gradient(t, y, 12, 0, twelve);
    nnclr_tsne_gradient(t, y, 1, 0.5, near);
    for (int i = 0; i < 2 * N; i++) {
        off += pow(near[i] - exact[i], 2);
        all += pow(exact[i], 2);
    }
    CHECK_SAYS(sqrt(off / all) < 0.02, "%g of the gradient is lost", sqrt(off / all));
    CHECK(off > 0);
    for (int i = 0; i < N; i++) {
        double pull = 0;
        for (size_t at = p.first[i]; at < p.first[i + 1]; at++) {
            const double *z = y + 2 * p.other[at];
            const double dx = y[2 * i] - z[0], dy = y[2 * i + 1] - z[1];
            pull += 4 * p.p[at] * dx / (1 + dx * dx + dy * dy);
        }
        CHECK_NEAR(twelve[2 * i] - exact[2 * i], 11 * pull, 1e-12);
        forces += exact[2 * i];
    }
    CHECK_NEAR(forces, 0, 1e-12); /* action and reaction */
    nnclr_tsne_free(t);
    nnclr_affinities_free(&p);
    stop();
}

/* ---- whole maps ---- */

/* Venna and Kaski 2001, as scikit-learn has it: rows that are among the nearest on the map but not
 * in truth cost as much as their rank exceeds NEAREST. */
static double trustworthiness(const double *place) {
    static double truth[N], seen[N];
    double cost = 0;
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            double dot = 0, a = 0, b = 0;
            for (int c = 0; c < D; c++) {
                dot += map_rows[i][c] * map_rows[j][c];
                a += map_rows[i][c] * map_rows[i][c];
                b += map_rows[j][c] * map_rows[j][c];
            }
            truth[j] = j == i ? INFINITY : -dot / sqrt(a * b);
            seen[j] = j == i
                          ? INFINITY
                          : hypot(place[2 * i] - place[2 * j], place[2 * i + 1] - place[2 * j + 1]);
        }
        for (int j = 0; j < N; j++) {
            int rank = 1, on_map = 1;
            for (int o = 0; o < N; o++) {
                rank += truth[o] < truth[j];
                on_map += seen[o] < seen[j];
            }
            if (j != i && on_map <= NEAREST && rank > NEAREST)
                cost += rank - NEAREST;
        }
    }
    return 1 - cost * 2 / (N * NEAREST * (2.0 * N - 3 * NEAREST - 1));
}

TEST(map_is_as_trustworthy_as_that_of_scikit_learn) {
    start(2);
    nnclr_map map = make(&f.set, N, 20);
    CHECK(map.count == N && map.shown == N && map.perplexity == 20);
    CHECK_NEAR(trustworthiness(map.principal), map_trust_pca, 1e-6);
    const double trust = trustworthiness(map.place);
    CHECK_SAYS(trust > map_trust_tsne - 0.02, "%.4f, but scikit-learn's map has %.4f", trust,
               map_trust_tsne);
    for (size_t i = 0; i < sizeof map_plane / sizeof *map_plane; i++)
        for (int c = 0; c < 2; c++)
            CHECK_NEAR(map.principal[54 * i + (size_t)c], map_plane[i][c], 1e-5);
    nnclr_map_free(&map);

    nnclr_affinities p;
    make_affinities(N, 60, 20, &p);
    nnclr_tsne *t = nnclr_tsne_create(f.pool, &p, &e);
    map = make(&f.set, N, 20);
    CHECK_NEAR(nnclr_tsne_divergence(t, map.principal, 0), map_divergence_pca, 1e-4);
    CHECK_NEAR(nnclr_tsne_divergence(t, map.place, 0), map.divergence, 0.02);
    CHECK(map.divergence < map_divergence_pca / 2);
    nnclr_tsne_free(t);
    nnclr_affinities_free(&p);
    nnclr_map_free(&map);
    stop();
}

TEST(separate_clusters_stay_separate) {
    start(2);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < D; j++) /* 5 of them, along axes */
            f.rows[i * D + j] = (i % 5 == j ? 100 : 0) + map_rows[i][j] / 10.0F;
    nnclr_map map = make(&f.set, N, 15);
    double within = 0, between = INFINITY;
    for (int i = 0; i < N; i++) {
        double nearest = INFINITY;
        for (int j = 0; j < N; j++) {
            const double apart = hypot(map.place[2 * i] - map.place[2 * j],
                                       map.place[2 * i + 1] - map.place[2 * j + 1]);
            if (j != i && j % 5 == i % 5)
                nearest = fmin(nearest, apart);
            else if (j % 5 != i % 5)
                between = fmin(between, apart);
        }
        within = fmax(within, nearest);
    }
    CHECK_SAYS(between > 2 * within, "%g between clusters, %g within", between, within);
    nnclr_map_free(&map);
    stop();
}

TEST(threads_do_not_matter) {
    enum {
        MANY = 1100
    }; /* several tasks, whose points are the same ones again, each moved a bit */
    static float rows[MANY * D];
    static int64_t record[MANY], label[MANY];
    nnclr_map maps[2];
    for (int i = 0; i < MANY; i++) {
        record[i] = i;
        for (int j = 0; j < D; j++)
            rows[i * D + j] = map_rows[i % N][j] + (float)(i / N) * 0.3F * (float)(i * j % 7);
    }
    const nnclr_row_set set = {
        .rows = nnclr_rows_in_memory(rows, MANY, D), .record = record, .label = label};
    for (int i = 0; i < 2; i++) {
        start(i ? 3 : 1);
        maps[i] = make(&set, MANY, 10);
        stop();
    }
    CHECK(memcmp(maps[0].place, maps[1].place, 2 * MANY * sizeof *maps[0].place) == 0);
    CHECK(memcmp(maps[0].principal, maps[1].principal, 2 * MANY * sizeof(double)) == 0);
    nnclr_map_free(&maps[0]);
    nnclr_map_free(&maps[1]);
}

TEST(sample_is_drawn_from_rows_that_show_a_picture) {
    start(1);
    for (int i = 0; i < 70; i++)
        f.record[i] = -1;
    nnclr_map map = make(&f.set, 100, 30);
    CHECK(map.count == 100 && map.shown == N - 70);
    CHECK_NEAR(map.perplexity, 30, 0);
    bool gap = false;
    for (int i = 0; i < 100; i++) {
        CHECK(map.row[i] >= 70 && (i == 0 || map.row[i] > map.row[i - 1]));
        gap = gap || map.row[i] != 70 + i;
    }
    CHECK(gap && map.row[99] > 200);
    nnclr_map_free(&map);
    for (int i = 0; i < N; i++)
        f.record[i] = -1;
    const nnclr_map_options options = {.perplexity = 30, .most = 9};
    CHECK_FAILS(nnclr_map_make(f.pool, &f.set, &options, &map, &e), "no picture to map");
    stop();
}

/* Also of rows that are all the same, or nothing but zeros, or of one number. */
TEST(few_and_equal_rows_have_places) {
    static const int counts[] = {1, 2, 3, 4, 7, 30};
    start(1);
    for (int kind = 0; kind < 4; kind++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            nnclr_row_set set = f.set;
            for (int i = 0; i < 30 * D; i++)
                f.rows[i] = kind == 0 ? map_rows[i / D][i % D] : kind == 1 ? 3.0F : 0.0F;
            set.rows =
                nnclr_rows_in_memory(kind == 3 ? f.rows + D : f.rows, counts[c], kind == 3 ? 1 : D);
            nnclr_map map = make(&set, N, 30);
            CHECK(map.count == counts[c]);
            for (int64_t i = 0; i < 2 * map.count; i++)
                CHECK_SAYS(fabs(map.place[i]) < 1e5 && fabs(map.principal[i]) <= 2,
                           "kind %d, %d rows: at %g, %g", kind, (int)map.count, map.place[i],
                           map.principal[i]);
            for (int64_t i = 0; i < map.count; i++)
                for (int64_t j = 0; j < i; j++)
                    CHECK(map.place[2 * i] != map.place[2 * j]);
            nnclr_map_free(&map);
        }
    stop();
}

TEST(legend_has_the_most_frequent_kinds) {
    int64_t kind[N];
    double doubted = 0;
    nnclr_map_legend legend;
    nnclr_label_doubt doubts[] = {{.row = 8, .doubt = 0.5}, {.row = 3, .doubt = 0.25}};
    const nnclr_label_report labels = {.doubts = doubts, .count = 2};
    start(1);
    for (int i = 0; i < N; i++)
        kind[i] = i < 100 ? 30 : i < 150 ? 7 : i < 160 ? -1 : i % 20 + 40;
    nnclr_map map = make(&f.set, N, 10);
    CHECK_OK(nnclr_map_legend_make(&map, kind, &legend, &e));
    CHECK(legend.count == NNCLR_MAP_COLORS && legend.keys[0].kind == 30);
    CHECK(legend.keys[0].rows == 100 && legend.keys[1].kind == 7 && legend.keys[1].rows == 50);
    CHECK(legend.keys[2].kind == 40 && legend.keys[2].rows == 6);
    CHECK(legend.color[0] == 0 && legend.color[120] == 1 && legend.color[160] == 2);
    CHECK(legend.color[155] == NNCLR_MAP_COLORS);
    int64_t rows = legend.others;
    for (int i = 0; i < legend.count; i++)
        rows += legend.keys[i].rows;
    CHECK(rows == N && legend.others == 10 + 6 * 5);
    nnclr_map_legend_free(&legend);

    f.label[5] = -1;
    CHECK_OK(nnclr_map_judge(&map, &f.set, &labels, &e));
    for (int i = 0; i < N; i++)
        doubted += isnan(map.doubt[i]) ? 100 : map.doubt[i];
    CHECK(map.doubt[8] == 0.5 && map.doubt[3] == 0.25 && doubted == 100.75);
    nnclr_map_free(&map);
    stop();
}

int main(void) {
    return check_all();
}
