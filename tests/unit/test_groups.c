/* Groups in graphs whose division is known, against networkx and plain formulas. */
#include "tests/unit/check.h"

#include "base/memory.h"
#include "base/rng.h"
#include "eval/groups.h"
#include "tests/reference/groups.inc"

static nnclr_error e; /* of the call that is checked */

enum { MEMBERS = 34, MOST = 17 /* friends of one */, EDGES = sizeof karate / sizeof *karate };

typedef struct club {
    int64_t record[MEMBERS];
    nnclr_neighbour neighbours[MEMBERS * MOST];
    nnclr_row_set set;
    nnclr_row_graph graph;
} club;

static void add(club *c, int from, int to) {
    for (int at = from * MOST;; at++)
        if (c->neighbours[at].row < 0) {
            c->neighbours[at] = (nnclr_neighbour){1, to};
            return;
        }
}

/* Each edge from both its ends. */
static void start(club *c) {
    for (int i = 0; i < MEMBERS * MOST; i++)
        c->neighbours[i] = (nnclr_neighbour){0, -1};
    for (int i = 0; i < MEMBERS; i++)
        c->record[i] = i;
    for (int i = 0; i < EDGES; i++) {
        add(c, karate[i][0], karate[i][1]);
        add(c, karate[i][1], karate[i][0]);
    }
    c->set = (nnclr_row_set){.rows.n = MEMBERS, .record = c->record};
    c->graph = (nnclr_row_graph){&c->set, &c->set, MOST, c->neighbours};
}

TEST(karate_club_divides_well) {
    static club c;
    nnclr_groups groups;
    double known, ours, moved;
    start(&c);
    CHECK_OK(nnclr_modularity(&c.graph, karate_club, &known, &e));
    CHECK_NEAR(known, karate_club_modularity, 1e-9);
    CHECK_OK(nnclr_report_groups(&c.graph, &groups, &e));
    CHECK_OK(nnclr_modularity(&c.graph, groups.of, &ours, &e));
    CHECK_NEAR(ours, groups.modularity, 1e-12);
    CHECK(ours > karate_louvain - 0.005 && ours < karate_louvain + 1e-9);
    CHECK(groups.count >= 3 && groups.count <= 5);
    for (int i = 0; i < MEMBERS; i++) /* no one would be better off elsewhere */
        for (int64_t to = 0; to < groups.count; to++) {
            const int64_t own = groups.of[i];
            groups.of[i] = to;
            CHECK_OK(nnclr_modularity(&c.graph, groups.of, &moved, &e));
            CHECK(moved <= ours + 1e-12);
            groups.of[i] = own;
        }
    nnclr_groups_free(&groups);
}

enum { N = 400, D = 16, K = 6, PLANTED = 5 };

/* Planted clusters of 27, 53, 80, 107 and 133 rows. */
static int planted(int i) {
    static const int ends[] = {27, 80, 160, 267, N};
    int c = 0;
    while (i * 7 % N >= ends[c])
        c++;
    return c;
}

TEST(planted_groups_are_found) {
    static float rows[N * D];
    static int64_t record[N];
    static const int64_t sizes[] = {133, 107, 80, 53, 27};
    nnclr_groups groups;
    nnclr_row_graph graph;
    for (int i = 0; i < N; i++) {
        nnclr_rng rng = nnclr_rng_at(1, NNCLR_DRAW_SAMPLE, 0, (uint64_t)i, 0);
        record[i] = i == 11 ? -1 : i; /* of the largest */
        for (int j = 0; j < D; j++)
            rows[i * D + j] =
                (float)((j == planted(i) ? 3 : 0) + nnclr_rng_uniform(&rng, -0.8, 0.8));
    }
    const nnclr_row_set set = {.rows = nnclr_rows_in_memory(rows, N, D), .record = record};
    nnclr_pool *pool = nnclr_pool_create(1, &e);
    CHECK_OK(pool);
    CHECK_OK(nnclr_row_graph_make(pool, NULL, &set, &set, K, NULL, &graph, &e));
    CHECK_OK(nnclr_report_groups(&graph, &groups, &e));
    /* A cluster may be divided, where it is thin; groups never mix clusters. */
    int64_t of_cluster[PLANTED] = {0}, seen = 0;
    for (int64_t c = 0; c < groups.count; c++) {
        const nnclr_group *group = &groups.groups[c];
        CHECK(c == 0 || group->count <= group[-1].count);
        of_cluster[planted((int)group->rows[0].row)] += group->count;
        for (int64_t i = 0; i < group->count; i++) {
            const int64_t row = group->rows[i].row;
            double typical = 0;
            for (int64_t at = 0; at < N * K; at++) {
                const int64_t from = at / K, to = graph.neighbours[at].row;
                if ((from == row || to == row) && groups.of[from] == groups.of[to])
                    typical += graph.neighbours[at].cosine;
            }
            CHECK(groups.of[row] == c && planted((int)row) == planted((int)group->rows[0].row));
            CHECK_NEAR(group->rows[i].typical, typical, 1e-9);
            CHECK(i == 0 || group->rows[i].typical <= group->rows[i - 1].typical);
            seen++;
        }
    }
    CHECK(seen == N - 1 && groups.of[11] == -1);
    for (int c = 0; c < PLANTED; c++)
        CHECK(of_cluster[PLANTED - 1 - c] == sizes[c] - (planted(11) == PLANTED - 1 - c));
    CHECK(groups.count < 30 && groups.modularity > 0.75);
    nnclr_groups_free(&groups);
    nnclr_row_graph_free(&graph);
    nnclr_pool_free(pool);
}

/* Cliques that a ring of single links joins are the groups, exactly. */
TEST(cliques_are_groups) {
    enum { CLIQUES = 6, SIZE = 5, ALL = CLIQUES * SIZE };
    static nnclr_neighbour neighbours[ALL * SIZE];
    int64_t record[ALL];
    nnclr_groups groups;
    double modularity;
    for (int i = 0; i < ALL; i++) {
        record[i] = i;
        int at = i * SIZE;
        for (int j = i / SIZE * SIZE; j < i / SIZE * SIZE + SIZE; j++)
            if (j != i)
                neighbours[at++] = (nnclr_neighbour){0.9, j};
        neighbours[at] = (nnclr_neighbour){0.1, i % SIZE ? -1 : (i + SIZE + 1) % ALL};
    }
    const nnclr_row_set set = {.rows.n = ALL, .record = record};
    const nnclr_row_graph graph = {&set, &set, SIZE, neighbours};
    CHECK_OK(nnclr_report_groups(&graph, &groups, &e));
    CHECK(groups.count == CLIQUES);
    for (int i = 0; i < ALL; i++)
        CHECK(groups.of[i] == i / SIZE);
    /* 20 links within a clique and 2 half ones out: 20/21 within, a sixth of all by chance */
    modularity = 20 / 21.0 - 1 / 6.0;
    CHECK_NEAR(groups.modularity, modularity, 1e-12);
    nnclr_groups_free(&groups);

    for (int i = 0; i < ALL * SIZE; i++)
        neighbours[i].row = -1;
    CHECK_OK(nnclr_report_groups(&graph, &groups, &e));
    CHECK(groups.count == ALL && isnan(groups.modularity));
    CHECK(groups.groups[0].rows[0].row == 0 && groups.groups[ALL - 1].rows[0].row == ALL - 1);
    nnclr_groups_free(&groups);
}

int main(void) {
    return check_all();
}
