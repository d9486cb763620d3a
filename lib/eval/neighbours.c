#include "eval/neighbours.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "base/wide.h"
#include "engine/sift.h"
#include "eval/neighbour_search.h"

enum {
    BANK_BYTES = 64 << 20,  /* of one block of bank rows */
    BANK_ROWS = 1 << 18,    /* at most */
    PIECE_BYTES = 4 << 20,  /* of rows that are prepared together */
    MOST_QUERIES = 1 << 20, /* that go through the sieve together */
    LEAST_QUERIES = 1024,   /* fewer are slower */
    LANES = 16,             /* partial sums of a product */
    TASK_ROWS = 64          /* that one task prepares or measures */
};

/* A proposal is one number, so that the larger product is the larger number: the product's bits,
 * mapped to the order of unsigned numbers, and below them its row in the bank block, or `measured`
 * if the cosine has been computed already. */
static const uint32_t measured = UINT32_MAX;

/* Numbers multiplied in one call of the sieve, some tenths of a second. */
static const int64_t CALL_PRODUCTS = INT64_C(1) << 34;

typedef struct search {
    nnclr_pool *pool;
    const nnclr_nearest_options *options;
    const int64_t *exclude; /* [n]; NULL: none */
    int64_t bank_n;
    int64_t chunk_first, all; /* the queries' place among all of them, and how many there are */
    int ranks;                /* that search for as many queries each */
    int d, k;
    double slack; /* no product of unit rows is farther from the true cosine */

    const float *queries; /* host [n][d] */
    double *query_norm;   /* [n] */
    float *bank_rows;     /* host [bank_block][d]: the candidates of the block */
    double *bank_norm;    /* [bank_block] */
    int *bank_row;        /* [bank_block]: where in the block a candidate was */
    float *unit_rows;     /* host [piece][d] */
    int piece;            /* rows that are prepared together */
    void *arena;          /* unit rows of the bank block and of all queries, and the workspace */
    size_t arena_bytes;
    float *bank_unit, *query_unit;
    void *workspace;

    nnclr_neighbour *best; /* [n][k]: a heap of the best so far, the worst on top */
    int *held;             /* [n]: its size */
    uint64_t *proposal;    /* [n][room]: the k largest so far, and those that may still matter */
    int *proposals;        /* [n]: their number */
    int room;
    double *floor; /* [n]: no row with a smaller product is among the k best; or, for a query of
                      zeros, none should be proposed */

    /* being searched */
    int64_t bank_first, query_first;
    int bank_count;

    /* for prepare */
    const float *rows;
    double *norm;
    int *bad; /* [tasks]: the first row of a task that is not finite, or -1 */
    int count;
} search;

static NNCLR_WIDE double dot(const float *a, const float *b, int d) {
    double lane[LANES] = {0}, sum = 0;
    int i = 0;
    for (; i + LANES <= d; i += LANES)
        for (int j = 0; j < LANES; j++)
            lane[j] += (double)a[i + j] * (double)b[i + j];
    for (; i < d; i++)
        sum += (double)a[i] * (double)b[i];
    for (int j = 0; j < LANES; j++)
        sum += lane[j];
    return sum;
}

double nnclr_row_dot(const float *a, const float *b, int d) {
    return dot(a, b, d);
}

static bool read_memory(const nnclr_row_source *source, int64_t first, int64_t count, float *rows,
                        nnclr_error *e) {
    (void)e;
    const float *all = source->context;
    memcpy(rows, all + first * source->d, (size_t)count * (size_t)source->d * sizeof *rows);
    return true;
}

nnclr_row_source nnclr_rows_in_memory(const float *rows, int64_t n, int d) {
    return (nnclr_row_source){.n = n, .d = d, .read = read_memory, .context = (void *)rows};
}

/* The cosine of two rows, from their product and norms. A row of zeros has no direction: it is like
 * other rows of zeros, and like nothing else. */
static double cosine_of(double product, double a_norm, double b_norm) {
    if (a_norm > 0 && b_norm > 0)
        return product / (a_norm * b_norm);
    return a_norm == b_norm ? 1 : 0;
}

/* ---- the best so far ---- */

static bool is_worse(nnclr_neighbour a, nnclr_neighbour b) {
    return a.cosine < b.cosine || (a.cosine == b.cosine && a.row > b.row);
}

/* Sinks heap[at] below its children until none of them is worse. */
static void heap_sink(nnclr_neighbour *heap, int size, int at) {
    for (;;) {
        int child = 2 * at + 1;
        if (child >= size)
            return;
        if (child + 1 < size && is_worse(heap[child + 1], heap[child]))
            child++;
        if (!is_worse(heap[child], heap[at]))
            return;
        nnclr_neighbour swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
        at = child;
    }
}

/* Keeps the k best, the worst of them on top. */
static void heap_push(nnclr_neighbour *heap, int *size, int k, nnclr_neighbour one) {
    if (*size == k) {
        if (is_worse(heap[0], one)) {
            heap[0] = one;
            heap_sink(heap, k, 0);
        }
        return;
    }
    int at = (*size)++;
    for (; at > 0 && is_worse(one, heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = one;
}

/* Heap -> best first; unfilled places are marked. */
static void heap_sort(nnclr_neighbour *heap, int size, int k) {
    for (int left = size - 1; left > 0; left--) {
        nnclr_neighbour worst = heap[0];
        heap[0] = heap[left];
        heap[left] = worst;
        heap_sink(heap, left, 0);
    }
    for (int i = size; i < k; i++)
        heap[i] = (nnclr_neighbour){.cosine = 0, .row = -1};
}

/* ---- proposals ---- */

/* How far a product of unit rows in f32 can be from the true cosine: a dot product of d products
 * rounds at most d times, by 2^-24 of at most |a||b| = 1 each, and each unit number twice. */
static double proposal_slack(int d) {
    return ldexp(1.01 * (d + 8), -24);
}

static uint64_t make_proposal(float product, uint32_t row) {
    uint32_t bits;
    memcpy(&bits, &product, sizeof bits);
    bits ^= bits >> 31 ? UINT32_MAX : UINT32_C(1) << 31;
    return (uint64_t)bits << 32 | row;
}

static double product_of(uint64_t proposal) {
    uint32_t bits = (uint32_t)(proposal >> 32);
    float product;
    bits ^= bits >> 31 ? UINT32_C(1) << 31 : UINT32_MAX;
    memcpy(&product, &bits, sizeof product);
    return (double)product;
}

/* Moves the k largest of `count` >= k numbers to the front, the least of them to place k - 1
 * (Hoare's FIND, the middle one of three as pivot). */
static void bring_forward(uint64_t *x, int count, int k) {
    int low = 0, high = count - 1;
    while (low < high) {
        const uint64_t a = x[low], b = x[low + (high - low) / 2], c = x[high];
        const uint64_t pivot = nnclr_max(nnclr_min(a, b), nnclr_min(nnclr_max(a, b), c));
        int i = low, j = high;
        while (i <= j) {
            while (x[i] > pivot)
                i++;
            while (x[j] < pivot)
                j--;
            if (i <= j) {
                const uint64_t swap = x[i];
                x[i++] = x[j];
                x[j--] = swap;
            }
        }
        if (k - 1 <= j)
            high = j;
        else if (k - 1 >= i)
            low = i;
        else
            return;
    }
}

/* Raises the floor to what a product must reach so that its row may be among the k best: none of
 * the k rows with the k largest products is below its product by more than the slack, nor is any
 * row above its own by more. Proposals that do not reach it are dropped. */
static void raise_floor(const search *s, int64_t query) {
    uint64_t *x = s->proposal + query * s->room;
    const int count = s->proposals[query];
    int kept = s->k;
    if (count < s->k)
        return;
    bring_forward(x, count, s->k);
    s->floor[query] = product_of(x[s->k - 1]) - 2 * s->slack;
    for (int i = s->k; i < count; i++)
        if (product_of(x[i]) >= s->floor[query])
            x[kept++] = x[i];
    s->proposals[query] = kept;
}

/* From place i on, the first proposal that is not measured. */
static int next_to_measure(const uint64_t *x, int count, int i) {
    while (i < count && (uint32_t)x[i] == measured)
        i++;
    return i;
}

static const float *proposed_row(const search *s, uint64_t proposal) {
    return s->bank_rows + (size_t)(uint32_t)proposal * (size_t)s->d;
}

/* Asks for a row ahead of its use: it is anywhere in the block. */
static void fetch(const float *row, int d) {
    enum { LINE = 16, MOST = 64 * LINE };
    for (int i = 0; i < d && i < MOST; i += LINE)
        __builtin_prefetch(row + i);
}

static void push(const search *s, int64_t query, int in_block, double cosine) {
    heap_push(s->best + query * s->k, &s->held[query], s->k,
              (nnclr_neighbour){.cosine = cosine, .row = s->bank_first + s->bank_row[in_block]});
}

/* Computes the cosines of the proposed rows, and keeps only the k largest products as proposals, in
 * front. */
static void measure(const search *s, int64_t query) {
    uint64_t *x = s->proposal + query * s->room;
    const float *row = s->queries + query * s->d;
    const int count = s->proposals[query];
    for (int i = next_to_measure(x, count, 0), next; i < count; i = next) {
        const uint32_t at = (uint32_t)x[i];
        next = next_to_measure(x, count, i + 1);
        if (next < count)
            fetch(proposed_row(s, x[next]), s->d);
        const double product = nnclr_row_dot(row, proposed_row(s, x[i]), s->d);
        push(s, query, (int)at, cosine_of(product, s->query_norm[query], s->bank_norm[at]));
        x[i] |= measured;
    }
    if (count > s->k)
        s->proposals[query] = s->k;
}

static bool is_excluded(const search *s, int64_t query, int in_block) {
    return s->exclude && s->exclude[query] >= 0 &&
           s->options->bank_record[s->bank_first + s->bank_row[in_block]] == s->exclude[query];
}

/* Called by the sieve. If so many products are nearly equal that there is no room, they are
 * measured at once. */
static void take_hits(void *context, int in_block, const int32_t *rows, const double *products,
                      int hits) {
    const search *s = context;
    const int64_t query = s->query_first + in_block;
    uint64_t *x = s->proposal + query * s->room;
    for (int i = 0; i < hits; i++) {
        if (!is_excluded(s, query, rows[i]))
            x[s->proposals[query]++] = make_proposal((float)products[i], (uint32_t)rows[i]);
    }
    if (s->proposals[query] <= s->room - NNCLR_SIEVE_MOST)
        return;
    raise_floor(s, query);
    if (s->proposals[query] > s->room - NNCLR_SIEVE_MOST)
        measure(s, query);
}

/* ---- rows of zeros ---- */

/* A query of zeros needs no products: rows of zeros have cosine 1 to it, the others 0, and among
 * equal ones the lower row wins. */
static void measure_zeros(const search *s, int64_t query) {
    for (int pass = 0; pass < 2; pass++) {
        const double cosine = pass == 0;
        for (int i = 0; i < s->bank_count; i++) {
            if (s->held[query] == s->k && s->best[query * s->k].cosine >= cosine)
                break;
            if ((s->bank_norm[i] == 0) == (pass == 0) && !is_excluded(s, query, i))
                push(s, query, i, cosine);
        }
    }
}

/* ---- blocks ---- */

static void measure_task(void *context, int task, int worker) {
    (void)worker;
    const search *s = context;
    const int64_t first = (int64_t)task * TASK_ROWS;
    for (int64_t i = first; i < first + TASK_ROWS && i < s->count; i++) {
        if (s->query_norm[i] == 0) {
            measure_zeros(s, i);
            continue;
        }
        raise_floor(s, i);
        measure(s, i);
    }
}

static void sort_task(void *context, int task, int worker) {
    (void)worker;
    const search *s = context;
    const int64_t first = (int64_t)task * TASK_ROWS;
    for (int64_t i = first; i < first + TASK_ROWS && i < s->count; i++)
        heap_sort(s->best + i * s->k, s->held[i], s->k);
}

/* Over the first `count` queries or rows. */
static void for_rows(search *s, int64_t count, nnclr_task task) {
    s->count = (int)count;
    nnclr_pool_for(s->pool, (int)nnclr_pieces(count, TASK_ROWS), task, s);
}

static void prepare_task(void *context, int task, int worker) {
    (void)worker;
    const search *s = context;
    const int first = task * TASK_ROWS;
    const int count = nnclr_min(s->count - first, TASK_ROWS);
    const size_t at = (size_t)first * (size_t)s->d;
    s->bad[task] = nnclr_unit_rows(s->rows + at, count, s->d, s->norm + first, s->unit_rows + at);
}

/* Norms, and unit rows on the host, for at most a piece of rows. */
static bool prepare(search *s, const float *rows, int count, double *norm, const char *what,
                    int64_t first, nnclr_error *e) {
    s->rows = rows;
    s->norm = norm;
    for_rows(s, count, prepare_task);
    for (int i = 0; i * TASK_ROWS < count; i++)
        if (s->bad[i] >= 0)
            return nnclr_refuse_row(what, first + i * TASK_ROWS + s->bad[i], e);
    return true;
}

/* Unit rows of the host become rows `first` and on at `place`. */
static void put_rows(const search *s, int count, float *place, int64_t first) {
    const size_t d = (size_t)s->d;
    memcpy(place + (size_t)first * d, s->unit_rows, (size_t)count * d * sizeof *place);
}

static bool load_queries(search *s, int64_t n, nnclr_error *e) {
    for (int64_t first = 0; first < n; first += s->piece) {
        const int count = nnclr_min(n - first, s->piece);
        if (!prepare(s, s->queries + first * s->d, count, s->query_norm + first, "query ",
                     s->chunk_first + first, e))
            return false;
        put_rows(s, count, s->query_unit, first);
        for (int i = 0; i < count; i++)
            s->floor[first + i] = s->query_norm[first + i] > 0 ? -INFINITY : INFINITY;
    }
    return true;
}

static void move_row(float *rows, int d, int to, int from) {
    if (to != from)
        memcpy(rows + (size_t)to * (size_t)d, rows + (size_t)from * (size_t)d,
               (size_t)d * sizeof *rows);
}

/* Moves the candidates of a piece, which starts at row `first` of the block, up to those before
 * them, and their unit rows to the front. */
static void keep_candidates(search *s, int first, int count) {
    const bool *candidate = s->options->candidate;
    for (int i = 0, kept = 0; i < count; i++) {
        if (candidate && !candidate[s->bank_first + first + i])
            continue;
        const int to = s->bank_count++;
        move_row(s->bank_rows, s->d, to, first + i);
        move_row(s->unit_rows, s->d, kept++, i);
        s->bank_norm[to] = s->bank_norm[first + i];
        s->bank_row[to] = first + i;
    }
}

static bool load_bank(search *s, const nnclr_row_source *bank, int rows, nnclr_error *e) {
    if (!bank->read(bank, s->bank_first, rows, s->bank_rows, e))
        return false;
    s->bank_count = 0;
    for (int first = 0; first < rows; first += s->piece) {
        const int count = nnclr_min(rows - first, s->piece);
        const int before = s->bank_count;
        if (!prepare(s, s->bank_rows + (size_t)first * (size_t)s->d, count, s->bank_norm + first,
                     "bank ", s->bank_first + first, e))
            return false;
        keep_candidates(s, first, count);
        put_rows(s, s->bank_count - before, s->bank_unit, before);
    }
    return true;
}

/* As many queries as keep the sieve busy for some tenths of a second, so that the caller can end
 * the work in between. */
static int call_queries(const search *s, int query_block) {
    const int64_t fit = CALL_PRODUCTS / ((int64_t)(s->bank_count ? s->bank_count : 1) * s->d);
    return fit < query_block ? (fit < LEAST_QUERIES ? LEAST_QUERIES : (int)fit) : query_block;
}

/* After `count` queries have met the block of the bank, of `rows` rows. */
static bool tell(const search *s, int64_t n, int64_t count, int rows, nnclr_error *e) {
    const double pairs = (double)n * (double)s->bank_first + (double)count * rows;
    const int64_t done = (int64_t)(s->ranks * pairs / (double)s->bank_n);
    return nnclr_progress_tell(s->options->progress, "rows",
                               nnclr_min(s->chunk_first + done, s->all), s->all, NULL, e);
}

/* Searches the block of the bank, of `rows` rows, for all queries, `query_block` at a time. */
static bool search_bank(search *s, int64_t n, int query_block, int rows, nnclr_error *e) {
    query_block = call_queries(s, query_block);
    for (s->query_first = 0; s->query_first < n; s->query_first += query_block) {
        const int64_t left = n - s->query_first;
        const nnclr_sieve sieve = {.queries = s->query_unit + s->query_first * s->d,
                                   .rows = s->bank_unit,
                                   .n = left < query_block ? (int)left : query_block,
                                   .count = s->bank_count,
                                   .d = s->d,
                                   .floor = s->floor + s->query_first,
                                   .take = take_hits,
                                   .context = s,
                                   .workspace = s->workspace};
        nnclr_sift(s->pool, NNCLR_F32, &sieve);
        if (!tell(s, n, s->query_first + sieve.n, rows, e))
            return false;
    }
    for_rows(s, n, measure_task);
    return true;
}

static int rows_of(size_t bytes, int d) {
    const size_t rows = bytes / ((size_t)d * sizeof(float));
    return (int)nnclr_clamp(rows, 1, BANK_ROWS);
}

/* Everything that the search needs. */
static bool allocate(search *s, int64_t n, int bank_block, nnclr_error *e) {
    const size_t d = (size_t)s->d, bank = (size_t)bank_block;
    const size_t piece = (size_t)s->piece;
    const size_t rows = (size_t)n + bank;
    const size_t workspace = nnclr_sift_bytes(s->pool, NNCLR_F32, s->d);
    size_t reals;
    s->bank_rows = nnclr_alloc(bank, d * sizeof *s->bank_rows, e);
    s->unit_rows = nnclr_alloc(piece, d * sizeof *s->unit_rows, e);
    s->bank_norm = nnclr_alloc(bank, sizeof *s->bank_norm, e);
    s->bank_row = nnclr_alloc(bank, sizeof *s->bank_row, e);
    s->bad = nnclr_alloc(piece / TASK_ROWS + 1, sizeof *s->bad, e);
    s->query_norm = nnclr_alloc((size_t)n, sizeof *s->query_norm, e);
    s->held = nnclr_alloc_zero((size_t)n, sizeof *s->held, e);
    s->proposals = nnclr_alloc_zero((size_t)n, sizeof *s->proposals, e);
    s->proposal = nnclr_alloc((size_t)n, (size_t)s->room * sizeof *s->proposal, e);
    s->floor = nnclr_alloc((size_t)n, sizeof *s->floor, e);
    if (!s->bank_rows || !s->unit_rows || !s->bank_norm || !s->bank_row || !s->bad ||
        !s->query_norm || !s->held || !s->proposals || !s->proposal || !s->floor)
        return false;
    if (!nnclr_size_mul(rows, d, &reals) ||
        !nnclr_size_mul(reals, sizeof(float), &s->arena_bytes) ||
        !nnclr_size_add(s->arena_bytes, workspace, &s->arena_bytes))
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%lld queries of %d numbers are too many",
                          (long long)n, s->d);
    s->arena = nnclr_block_alloc(s->arena_bytes, e);
    if (!s->arena)
        return false;
    s->workspace = s->arena;
    s->bank_unit = (float *)((unsigned char *)s->arena + workspace);
    s->query_unit = s->bank_unit + bank * d;
    return true;
}

static void release(search *s) {
    if (s->arena)
        nnclr_block_free(s->arena, s->arena_bytes);
    nnclr_free(s->floor);
    nnclr_free(s->proposal);
    nnclr_free(s->proposals);
    nnclr_free(s->held);
    nnclr_free(s->query_norm);
    nnclr_free(s->bad);
    nnclr_free(s->bank_row);
    nnclr_free(s->bank_norm);
    nnclr_free(s->unit_rows);
    nnclr_free(s->bank_rows);
}

bool nnclr_nearest_of(nnclr_pool *pool, const nnclr_row_source *bank, const float *queries,
                      const nnclr_query_range *range, const nnclr_nearest_options *options,
                      nnclr_neighbour *out, nnclr_error *e) {
    const int64_t first = range->first, n = range->count;
    const int d = bank->d;
    const int bank_block = (int)nnclr_min(
        options->bank_block ? options->bank_block : rows_of(BANK_BYTES, d), bank->n ? bank->n : 1);
    const int query_block =
        (int)nnclr_min(options->query_block ? options->query_block : MOST_QUERIES, n ? n : 1);
    search s = {.pool = pool,
                .options = options,
                .exclude = options->exclude ? options->exclude + first : NULL,
                .chunk_first = first,
                .all = range->all,
                .ranks = range->ranks,
                .bank_n = bank->n,
                .d = d,
                .k = options->k,
                .slack = proposal_slack(d),
                .piece = rows_of(PIECE_BYTES, d),
                .best = out,
                .queries = queries};
    bool ok = false;
    if (s.k > INT32_MAX / 2 - NNCLR_SIEVE_MOST || n > INT32_MAX) {
        nnclr_fail(e, NNCLR_ERROR_LIMIT, "%d neighbours of %lld rows are too many", s.k,
                   (long long)n);
        goto done;
    }
    s.room = 2 * s.k + NNCLR_SIEVE_MOST;
    if (!allocate(&s, n, bank_block, e) || !load_queries(&s, n, e))
        goto done;
    for (s.bank_first = 0; s.bank_first < bank->n; s.bank_first += bank_block) {
        const int rows = (int)nnclr_min(bank_block, bank->n - s.bank_first);
        if (!load_bank(&s, bank, rows, e) || !search_bank(&s, n, query_block, rows, e))
            goto done;
    }
    for_rows(&s, n, sort_task);
    ok = true;
done:
    release(&s);
    return ok;
}

bool nnclr_nearest(nnclr_pool *pool, const nnclr_row_source *bank, const float *queries, int64_t n,
                   const nnclr_nearest_options *options, nnclr_neighbour *out, nnclr_error *e) {
    const nnclr_query_range all = {.count = n, .all = n, .ranks = 1};
    return nnclr_nearest_of(pool, bank, queries, &all, options, out, e);
}
