#include "eval/near_rows.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "engine/sift.h"
#include "eval/row_space.h"

enum {
    BLOCK_BYTES = 32 << 20, /* of rows */
    MOST_BLOCK = 4096,
    TASK_ROWS = 64,
    CALL_PRODUCTS =
        1 << 30 /* numbers multiplied in one call of the sieve: about a tenth of a second */
};

/* Rows of a set that are compared: their places and their sketches. */
typedef struct side {
    const nnclr_row_set *set;
    int64_t *list; /* [count]: rows of the set, rising */
    int64_t count;
    nnclr_row_place *place; /* [count] */
    float *sketches;        /* [count][width] */
    size_t sketch_bytes;
} side;

typedef struct join join;
struct join {
    nnclr_pool *pool;
    const nnclr_near_options *options;
    nnclr_row_space space;
    int width, block, mirror;
    side bank, asking; /* asking: for leaks */
    uint64_t pairs, pairs_done;

    /* the queries being compared: rows, and after them the mirrored ones */
    const side *from;
    int64_t *query; /* [block]: places in from->list */
    int queries;
    float *query_rows; /* [2 block][d] */
    void *query_arena; /* the sieve's workspace, then sketches [2 block][width] */
    float *query_sketches;
    size_t query_bytes;
    double *floor;                   /* [block] */
    nnclr_row_place *mirrored_place; /* [block]: scratch; they equal those of the rows */

    /* the rows being compared, bank.list[first ..] */
    int64_t first;
    float *rows;   /* [block][d] */
    int sieved;    /* queries before those of this call of the sieve */
    bool in_block; /* the rows are the queries */

    float *scratch; /* [workers][d] */
    int *bad;       /* [tasks] */

    /* What to do with a pair that is near. */
    void (*accept)(const join *j, int query, int64_t at, double cosine, bool mirrored);
    /* of groups */
    unsigned char *near;      /* [block][block]: of queries among themselves; 2: mirrored */
    _Atomic uint64_t *leader; /* [bank.count]: place of the leader * 2 + mirrored; UNASSIGNED */
    /* of leaks */
    nnclr_near *best; /* [asking rows] */
};

#define UNASSIGNED UINT64_MAX

/* ---- sides ---- */

static bool list_rows(side *s, const nnclr_row_set *set, const bool *candidate, nnclr_error *e) {
    s->set = set;
    s->list = nnclr_alloc((size_t)set->rows.n, sizeof *s->list, e);
    if (!s->list)
        return false;
    for (int64_t i = 0; i < set->rows.n; i++)
        if (candidate[i])
            s->list[s->count++] = i;
    s->place = nnclr_alloc((size_t)s->count, sizeof *s->place, e);
    return s->place != NULL;
}

static void side_free(side *s) {
    if (s->sketches)
        nnclr_block_free(s->sketches, s->sketch_bytes);
    nnclr_free(s->place);
    nnclr_free(s->list);
}

/* Rows list[first .. first + count) side by side. */
static bool read_rows(const side *s, int64_t first, int64_t count, float *rows, nnclr_error *e) {
    const nnclr_row_source *source = &s->set->rows;
    for (int64_t i = 0, end; i < count; i = end) {
        const int64_t row = s->list[first + i];
        for (end = i + 1; end < count && s->list[first + end] == row + end - i;)
            end++;
        if (!source->read(source, row, end - i, rows + i * source->d, e))
            return false;
    }
    return true;
}

/* The places and sketches of rows, shared among the threads. */
typedef struct sketching {
    const join *j;
    const float *rows;
    nnclr_row_place *place;
    float *sketches;
    int64_t count;
    int *bad; /* [tasks]: the first row that is not finite, or -1 */
} sketching;

static void sketch_task(void *context, int task, int worker) {
    const sketching *s = context;
    const int d = s->j->space.d;
    const int64_t first = (int64_t)task * TASK_ROWS;
    s->bad[task] = -1;
    for (int64_t i = first; i < first + TASK_ROWS && i < s->count; i++)
        if (!nnclr_row_space_place(&s->j->space, s->rows + i * d,
                                   s->j->scratch + (size_t)worker * (size_t)d, &s->place[i],
                                   s->sketches + i * s->j->width) &&
            s->bad[task] < 0)
            s->bad[task] = (int)i;
}

/* Returns the first row that is not finite, or -1. */
static int sketch_rows(const join *j, const float *rows, int64_t count, nnclr_row_place *place,
                       float *sketches) {
    sketching s = {
        .j = j, .rows = rows, .place = place, .sketches = sketches, .count = count, .bad = j->bad};
    const int tasks = (int)nnclr_pieces(count, TASK_ROWS);
    nnclr_pool_for(j->pool, tasks, sketch_task, &s);
    for (int i = 0; i < tasks; i++)
        if (j->bad[i] >= 0)
            return j->bad[i];
    return -1;
}

static bool sketch_side(join *j, side *s, nnclr_error *e) {
    const size_t width = (size_t)j->width;
    if (!nnclr_size_mul((size_t)s->count * width, sizeof *s->sketches, &s->sketch_bytes))
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%lld rows are too many", (long long)s->count);
    if (s->count == 0)
        return true;
    s->sketches = nnclr_block_alloc(s->sketch_bytes, e);
    if (!s->sketches)
        return false;
    for (int64_t first = 0; first < s->count; first += j->block) {
        const int64_t count = nnclr_min(s->count - first, j->block);
        if (!nnclr_progress_tell(j->options->progress, "rows sketched", first, s->count, NULL, e) ||
            !read_rows(s, first, count, j->rows, e))
            return false;
        const int bad =
            sketch_rows(j, j->rows, count, s->place + first, s->sketches + (size_t)first * width);
        if (bad >= 0)
            return nnclr_refuse_row("", s->list[first + bad], e);
    }
    return true;
}

/* ---- pairs ---- */

static bool may_be_copies(const join *j, int query, int64_t at) {
    const int64_t asking = j->query[query];
    if (j->from != &j->bank)
        return true;
    const int64_t *record = j->bank.set->record, *list = j->bank.list;
    if (record[list[asking]] == record[list[at]])
        return false;
    return j->in_block ? asking < at : atomic_load(&j->leader[at]) > 2 * (uint64_t)asking + 1;
}

/* Called by the sieve: measures the pairs that it could not rule out. */
static void take(void *context, int in_call, const int32_t *rows, const double *products,
                 int hits) {
    const join *j = context;
    const int d = j->space.d, number = j->sieved + in_call;
    const bool mirrored = number >= j->queries;
    const int query = mirrored ? number - j->queries : number;
    const float *row = j->query_rows + (size_t)number * (size_t)d;
    (void)products;
    for (int i = 0; i < hits; i++) {
        const int64_t at = j->in_block ? j->query[rows[i]] : j->first + rows[i];
        if (!may_be_copies(j, query, at))
            continue;
        const float *other = (j->in_block ? j->query_rows : j->rows) + (size_t)rows[i] * (size_t)d;
        const double cosine = nnclr_row_space_cosine(
            &j->space, row, &j->from->place[j->query[query]], other, &j->bank.place[at]);
        if (cosine >= j->options->threshold && j->bank.place[at].length > 0)
            j->accept(j, query, j->in_block ? rows[i] : at, cosine, mirrored);
    }
}

static float *query_sketch(const join *j, size_t query) {
    return j->query_sketches + query * (size_t)j->width;
}

/* Compares all queries with `count` rows whose sketches are at `sketches`: first the rows as they
 * are, then the mirrored ones, so that one worker at a time is busy with a query. */
static bool compare(join *j, const float *sketches, int64_t count, nnclr_error *e) {
    const int64_t fit = count ? CALL_PRODUCTS / (count * j->width) : 1;
    const int most = (int)nnclr_clamp(fit, TASK_ROWS, j->block);
    for (int turned = 0; turned <= (j->mirror > 0) && count > 0; turned++)
        for (int first = 0; first < j->queries; first += most) {
            j->sieved = turned * j->queries + first;
            const nnclr_sieve sieve = {.queries = query_sketch(j, (size_t)j->sieved),
                                       .rows = sketches,
                                       .n = nnclr_min(j->queries - first, most),
                                       .count = (int)count,
                                       .d = j->width,
                                       .floor = j->floor + first,
                                       .take = take,
                                       .context = j,
                                       .workspace = j->query_arena};
            nnclr_sift(j->pool, NNCLR_F32, &sieve);
            if (!nnclr_progress_tell(j->options->progress, "pairs", (int64_t)j->pairs_done,
                                     (int64_t)j->pairs, NULL, e))
                return false;
        }
    return true;
}

static void mirror_row(const float *row, int side_length, float *out) {
    const int stride = 3 * side_length;
    for (int y = 0; y < side_length; y++)
        for (int x = 0; x < side_length; x++)
            memcpy(out + y * stride + 3 * x, row + y * stride + 3 * (side_length - 1 - x),
                   3 * sizeof *row);
}

/* The queries' rows are in place: fetches their sketches, and makes those of the mirrored ones. */
static void ready_queries(join *j) {
    const size_t d = (size_t)j->space.d, count = (size_t)j->queries;
    const size_t width = (size_t)j->width;
    for (size_t i = 0; i < count; i++) {
        memcpy(query_sketch(j, i), j->from->sketches + (size_t)j->query[i] * width,
               width * sizeof *j->query_sketches);
        j->floor[i] = j->from->place[j->query[i]].length > 0
                          ? j->options->threshold - NNCLR_SKETCH_SLACK
                          : INFINITY;
    }
    if (!j->mirror)
        return;
    for (size_t i = 0; i < count; i++)
        mirror_row(j->query_rows + i * d, j->mirror, j->query_rows + (count + i) * d);
    sketch_rows(j, j->query_rows + count * d, j->queries, j->mirrored_place,
                query_sketch(j, count));
}

/* Compares the queries with the bank from `start` on; each of its rows counts as `weight` pairs of
 * the work. */
static bool compare_bank(join *j, int64_t start, uint64_t weight, nnclr_error *e) {
    j->in_block = false;
    for (j->first = start; j->first < j->bank.count && j->queries > 0; j->first += j->block) {
        const int64_t left = j->bank.count - j->first, count = nnclr_min(left, j->block);
        const float *sketches = j->bank.sketches + j->first * j->width;
        if (!read_rows(&j->bank, j->first, count, j->rows, e) || !compare(j, sketches, count, e))
            return false;
        j->pairs_done += (uint64_t)count * weight;
    }
    return true;
}

/* ---- groups ---- */

static void accept_in_block(const join *j, int query, int64_t at, double cosine, bool mirrored) {
    unsigned char *near = j->near + (size_t)query * (size_t)j->block + (size_t)at;
    (void)cosine;
    if (*near != 1)
        *near = mirrored ? 2 : 1;
}

/* The lowest leader wins, and the row as it is goes before the mirrored one. */
static void accept_leader(const join *j, int query, int64_t at, double cosine, bool mirrored) {
    const uint64_t own = 2 * (uint64_t)j->query[query] + mirrored;
    uint64_t held = atomic_load(&j->leader[at]);
    (void)cosine;
    while (own < held && !atomic_compare_exchange_weak(&j->leader[at], &held, own))
        ;
}

/* Gathers the rows of the block that no leader before it has taken. */
static bool gather_free(join *j, int64_t first, int64_t count, nnclr_error *e) {
    const size_t d = (size_t)j->space.d;
    j->from = &j->bank;
    j->queries = 0;
    if (!read_rows(&j->bank, first, count, j->query_rows, e))
        return false;
    for (int64_t i = 0; i < count; i++) {
        if (atomic_load(&j->leader[first + i]) != UNASSIGNED)
            continue;
        memmove(j->query_rows + (size_t)j->queries * d, j->query_rows + (size_t)i * d,
                d * sizeof *j->query_rows);
        j->query[j->queries++] = first + i;
    }
    ready_queries(j);
    return true;
}

/* Finds the leaders among the block's own rows, and keeps them as queries. */
static bool lead_block(join *j, nnclr_error *e) {
    const size_t d = (size_t)j->space.d, block = (size_t)j->block;
    int kept = 0;
    memset(j->near, 0, block * block);
    j->in_block = true;
    j->accept = accept_in_block;
    if (!compare(j, j->query_sketches, j->queries, e))
        return false;
    for (int i = 0; i < j->queries; i++) {
        const unsigned char *near = j->near + (size_t)i * block;
        if (atomic_load(&j->leader[j->query[i]]) != UNASSIGNED)
            continue;
        for (int other = i + 1; other < j->queries; other++) {
            _Atomic uint64_t *leader = &j->leader[j->query[other]];
            if (near[other] && atomic_load(leader) == UNASSIGNED)
                atomic_store(leader, 2 * (uint64_t)j->query[i] + (near[other] == 2));
        }
        memmove(j->query_rows + (size_t)kept * d, j->query_rows + (size_t)i * d,
                d * sizeof *j->query_rows);
        j->query[kept++] = j->query[i];
    }
    j->queries = kept;
    ready_queries(j);
    return true;
}

static bool find_groups(join *j, nnclr_error *e) {
    const int64_t n = j->bank.count;
    j->pairs = (uint64_t)n * (uint64_t)n;
    for (int64_t first = 0; first < n; first += j->block) {
        const int64_t left = n - first, count = nnclr_min(left, j->block);
        j->pairs_done = j->pairs - (uint64_t)left * (uint64_t)left;
        if (!gather_free(j, first, count, e) || !lead_block(j, e))
            return false;
        j->accept = accept_leader;
        if (!compare_bank(j, first + count, 2 * (uint64_t)count, e))
            return false;
    }
    return true;
}

/* The cosine of a member and its leader, whose rows are read again. */
static bool measure_member(const join *j, int64_t at, float *rows, nnclr_near *out,
                           nnclr_error *e) {
    const side *b = &j->bank;
    const int d = j->space.d;
    const uint64_t own = atomic_load(&j->leader[at]);
    const int64_t leader = (int64_t)(own / 2);
    float *row = rows, *other = rows + d, *turned = rows + 2 * (size_t)d;
    if (!read_rows(b, at, 1, row, e) || !read_rows(b, leader, 1, other, e))
        return false;
    *out = (nnclr_near){.row = b->list[leader], .mirrored = own & 1};
    if (out->mirrored)
        mirror_row(other, j->mirror, turned);
    out->cosine = nnclr_row_space_cosine(&j->space, out->mirrored ? turned : other,
                                         &b->place[leader], row, &b->place[at]);
    return true;
}

/* ---- leaks ---- */

static void accept_best(const join *j, int query, int64_t at, double cosine, bool mirrored) {
    nnclr_near *best = &j->best[j->from->list[j->query[query]]];
    const int64_t row = j->bank.list[at];
    if (best->row < 0 || cosine > best->cosine || (cosine == best->cosine && row < best->row))
        *best = (nnclr_near){row, cosine, mirrored};
}

static bool find_leaks(join *j, nnclr_error *e) {
    const int64_t n = j->asking.count;
    j->pairs = (uint64_t)n * (uint64_t)j->bank.count;
    j->accept = accept_best;
    j->from = &j->asking;
    for (int64_t first = 0; first < n; first += j->block) {
        j->queries = (int)(n - first < j->block ? n - first : j->block);
        j->pairs_done = (uint64_t)first * (uint64_t)j->bank.count;
        for (int i = 0; i < j->queries; i++)
            j->query[i] = first + i;
        if (!read_rows(&j->asking, first, j->queries, j->query_rows, e))
            return false;
        ready_queries(j);
        if (!compare_bank(j, 0, (uint64_t)j->queries, e))
            return false;
    }
    return true;
}

/* ---- both ---- */

static int block_rows(const nnclr_near_options *options, int64_t n, int d) {
    const int64_t fit = BLOCK_BYTES / ((int64_t)d * (int64_t)sizeof(float));
    int64_t rows = options->block ? options->block : nnclr_min(fit, MOST_BLOCK);
    rows = nnclr_min(rows, n);
    return rows < 1 ? 1 : (int)rows;
}

static bool join_open(join *j, nnclr_pool *pool, const nnclr_row_set *bank, const bool *candidate,
                      int64_t most_rows, const nnclr_near_options *options, nnclr_error *e) {
    const size_t d = (size_t)bank->rows.d;
    *j = (join){.pool = pool,
                .options = options,
                .mirror = bank->pixels,
                .block = block_rows(options, most_rows, bank->rows.d)};
    const size_t block = (size_t)j->block, workers = (size_t)nnclr_pool_threads(pool);
    if (!nnclr_row_space_make(&bank->rows, candidate, bank->pixels > 0, options->progress,
                              &j->space, e))
        return false;
    j->width = j->space.r + 1;
    const size_t width = (size_t)j->width;
    j->query = nnclr_alloc(block, sizeof *j->query, e);
    j->query_rows = nnclr_alloc(2 * block, d * sizeof *j->query_rows, e);
    j->floor = nnclr_alloc(block, sizeof *j->floor, e);
    j->mirrored_place = nnclr_alloc(block, sizeof *j->mirrored_place, e);
    j->rows = nnclr_alloc(block, d * sizeof *j->rows, e);
    j->scratch = nnclr_alloc(workers, d * sizeof *j->scratch, e);
    j->bad = nnclr_alloc(block / TASK_ROWS + 1, sizeof *j->bad, e);
    if (!j->query || !j->query_rows || !j->floor || !j->mirrored_place || !j->rows || !j->scratch ||
        !j->bad)
        return false;
    const size_t workspace = nnclr_sift_bytes(j->pool, NNCLR_F32, j->width);
    j->query_bytes = workspace + 2 * block * width * sizeof *j->query_sketches;
    j->query_arena = nnclr_block_alloc(j->query_bytes, e);
    if (!j->query_arena)
        return false;
    j->query_sketches = (float *)((unsigned char *)j->query_arena + workspace);
    return list_rows(&j->bank, bank, candidate, e) && sketch_side(j, &j->bank, e);
}

static void join_close(join *j) {
    side_free(&j->asking);
    side_free(&j->bank);
    if (j->query_arena)
        nnclr_block_free(j->query_arena, j->query_bytes);
    nnclr_free(j->leader);
    nnclr_free(j->near);
    nnclr_free(j->bad);
    nnclr_free(j->scratch);
    nnclr_free(j->rows);
    nnclr_free(j->mirrored_place);
    nnclr_free(j->floor);
    nnclr_free(j->query_rows);
    nnclr_free(j->query);
    nnclr_row_space_free(&j->space);
}

bool nnclr_near_groups(nnclr_pool *pool, const nnclr_row_set *set, const bool *candidate,
                       const nnclr_near_options *options, nnclr_near *out, nnclr_error *e) {
    join j;
    float *rows = NULL;
    for (int64_t i = 0; i < set->rows.n; i++)
        out[i] = (nnclr_near){.row = -1};
    bool ok = join_open(&j, pool, set, candidate, set->rows.n, options, e);
    if (!ok)
        goto done;
    j.near = nnclr_alloc((size_t)j.block, (size_t)j.block, e);
    j.leader = nnclr_alloc((size_t)j.bank.count, sizeof *j.leader, e);
    rows = nnclr_alloc(3, (size_t)set->rows.d * sizeof *rows, e);
    ok = j.near && j.leader && rows;
    for (int64_t i = 0; ok && i < j.bank.count; i++)
        atomic_init(&j.leader[i], UNASSIGNED);
    ok = ok && find_groups(&j, e);
    for (int64_t i = 0; ok && i < j.bank.count; i++)
        if (atomic_load(&j.leader[i]) != UNASSIGNED)
            ok = measure_member(&j, i, rows, &out[j.bank.list[i]], e);
done:
    nnclr_free(rows);
    join_close(&j);
    return ok;
}

bool nnclr_near_leaks(nnclr_pool *pool, const nnclr_row_set *bank, const nnclr_row_set *queries,
                      const bool *candidate, const nnclr_near_options *options, nnclr_near *out,
                      nnclr_error *e) {
    join j;
    const int64_t most = nnclr_max(bank->rows.n, queries->rows.n);
    bool *shown = nnclr_alloc((size_t)bank->rows.n, sizeof *shown, e);
    if (!shown)
        return false;
    for (int64_t i = 0; i < bank->rows.n; i++)
        shown[i] = bank->record[i] >= 0;
    for (int64_t i = 0; i < queries->rows.n; i++)
        out[i] = (nnclr_near){.row = -1};
    bool ok = join_open(&j, pool, bank, shown, most, options, e);
    j.best = out;
    ok = ok && list_rows(&j.asking, queries, candidate, e) && sketch_side(&j, &j.asking, e) &&
         find_leaks(&j, e);
    join_close(&j);
    nnclr_free(shown);
    return ok;
}
