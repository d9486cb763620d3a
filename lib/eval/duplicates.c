#include "eval/duplicates.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/sorted.h"
#include "eval/neighbours.h"

const char *nnclr_sameness_name(nnclr_sameness sameness) {
    static const char *const names[] = {[NNCLR_SAME_BYTES] = "bytes",
                                        [NNCLR_SAME_NEAR] = "near",
                                        [NNCLR_SAME_MIRRORED] = "mirrored"};
    return names[sameness];
}

/* ---- the same bytes ---- */

/* What the index says about a row's picture. */
typedef struct print {
    int64_t bytes, crc32, record, row;
} print;

static int by_print(const void *a, const void *b) {
    const int64_t *x = a, *y = b; /* member by member */
    for (size_t i = 0; i < sizeof(print) / sizeof *x; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

static print print_of(const nnclr_row_set *set, int64_t row) {
    return (print){set->bytes[row], set->crc32[row], set->record[row], row};
}

static bool same_print(const print *a, const print *b) {
    return a->bytes == b->bytes && a->crc32 == b->crc32;
}

/* The pictures of a set, sorted by their prints; the caller's. */
static print *list_prints(const nnclr_row_set *set, size_t *count, nnclr_error *e) {
    print *prints = nnclr_alloc((size_t)set->rows.n, sizeof *prints, e);
    *count = 0;
    for (int64_t i = 0; prints && i < set->rows.n; i++)
        if (set->record[i] >= 0 && set->bytes[i] > 0)
            prints[(*count)++] = print_of(set, i);
    if (prints)
        qsort(prints, *count, sizeof *prints, by_print);
    return prints;
}

/* A row and the set and shards that it belongs to. */
typedef struct placed_row {
    const nnclr_row_set *set;
    nnclr_shard_set *shards;
    int64_t row;
} placed_row;

static bool rows_agree(const placed_row *a, const placed_row *b, bool *agree, nnclr_error *e) {
    const int d = a->set->rows.d;
    float *rows = nnclr_alloc(2, (size_t)d * sizeof *rows, e);
    bool ok = rows && a->set->rows.read(&a->set->rows, a->row, 1, rows, e) &&
              b->set->rows.read(&b->set->rows, b->row, 1, rows + d, e);
    if (ok) {
        const double ab = nnclr_row_dot(rows, rows + d, d), aa = nnclr_row_dot(rows, rows, d),
                     bb = nnclr_row_dot(rows + d, rows + d, d);
        *agree = aa + bb - 2 * ab <= 1e-4 * (aa + bb);
    }
    nnclr_free(rows);
    return ok;
}

static bool pictures_agree(const placed_row *a, const placed_row *b, bool *agree, nnclr_error *e) {
    nnclr_buffer x = {0}, y = {0};
    const bool ok = nnclr_shard_set_read(a->shards, (size_t)a->set->record[a->row], &x, e) &&
                    nnclr_shard_set_read(b->shards, (size_t)b->set->record[b->row], &y, e);
    if (ok)
        *agree = x.size == y.size && memcmp(x.data, y.data, x.size) == 0;
    nnclr_buffer_free(&y);
    nnclr_buffer_free(&x);
    return ok;
}

/* With many pictures of one size, sizes and checksums also agree by chance. So the bytes are read
 * if they are at hand; otherwise the rows that were made from them are compared. Those of a support
 * set were made from different views. */
static bool are_same(const placed_row *a, const placed_row *b, bool *same, nnclr_error *e) {
    *same = true;
    if (a->shards && b->shards)
        return pictures_agree(a, b, same, e);
    return a->set->step || b->set->step || rows_agree(a, b, same, e);
}

/* ---- duplicates ---- */

typedef struct finding {
    const nnclr_row_set *set;
    const nnclr_copy_options *options;
    bool *candidate; /* [n]: rows that are compared as rows, not as bytes */
    nnclr_near *near;
    nnclr_duplicate_report *out; /* has room for all rows in both kinds of groups */
} finding;

static void put(finding *f, nnclr_duplicate one) {
    f->out->rows[f->out->count++] = one;
}

/* Takes equal prints, those of one record side by side, and makes a group of the records that are
 * the same as the first, with the first row of each. */
static bool put_same(finding *f, const print *prints, size_t count, nnclr_error *e) {
    nnclr_shard_set *shards = f->options->shards;
    const placed_row first = {f->set, shards, prints[0].row};
    size_t members = 0;
    bool same = false;
    for (size_t i = 1; i < count; i++) {
        const placed_row other = {f->set, shards, prints[i].row};
        const bool new_record = prints[i].record != prints[i - 1].record;
        if (prints[i].record == prints[0].record)
            continue;
        if (new_record && !are_same(&first, &other, &same, e))
            return false;
        if (!same)
            continue;
        f->candidate[other.row] = false;
        if (!new_record)
            continue;
        const int64_t group = f->out->groups;
        if (members++ == 0)
            put(f, (nnclr_duplicate){group, first.row, {1, other.row}, NNCLR_SAME_BYTES, false});
        put(f, (nnclr_duplicate){group, other.row, {1, first.row}, NNCLR_SAME_BYTES, false});
    }
    f->out->groups += members > 0;
    return true;
}

static int by_group(const void *a, const void *b) {
    const nnclr_duplicate *x = a, *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* Groups are found in the order of their prints, and numbered by their first row. */
static bool number_groups(nnclr_duplicate_report *out, nnclr_error *e) {
    int64_t *first = nnclr_alloc((size_t)out->groups, sizeof *first, e);
    if (!first)
        return false;
    for (size_t i = out->count; i-- > 0;)
        first[out->rows[i].group] = out->rows[i].row;
    for (size_t i = 0; i < out->count; i++)
        out->rows[i].group = first[out->rows[i].group];
    nnclr_free(first);
    qsort(out->rows, out->count, sizeof *out->rows, by_group);
    int64_t number = -1, last = -1;
    for (size_t i = 0; i < out->count; i++) {
        number += out->rows[i].group != last;
        last = out->rows[i].group;
        out->rows[i].group = number;
    }
    return true;
}

static bool find_same(finding *f, nnclr_error *e) {
    size_t count;
    f->out->bytes_known = f->set->bytes != NULL;
    if (!f->out->bytes_known)
        return true;
    print *prints = list_prints(f->set, &count, e);
    bool ok = prints != NULL;
    for (size_t i = 0, end; ok && i < count; i = end) {
        for (end = i + 1; end < count && same_print(&prints[end], &prints[i]);)
            end++;
        ok = put_same(f, prints + i, end - i, e);
    }
    nnclr_free(prints);
    ok = ok && number_groups(f->out, e);
    f->out->same_bytes = f->out->count;
    f->out->byte_groups = f->out->groups;
    return ok;
}

/* A member of a group of near copies on its way into the list. */
typedef struct member {
    double best, cosine; /* of the group; with its leader */
    int64_t leader, row;
    bool mirrored;
} member;

static int by_cosine(const void *a, const void *b) {
    const member *x = a, *y = b;
    if (x->best != y->best)
        return x->best > y->best ? -1 : 1;
    if (x->leader != y->leader)
        return x->leader < y->leader ? -1 : 1;
    if (x->cosine != y->cosine)
        return x->cosine > y->cosine ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* members [n]; best [n] is scratch: the largest cosine of each leader. */
static size_t list_members(const finding *f, double *best, member *members) {
    const int64_t n = f->set->rows.n;
    size_t count = 0;
    for (int64_t i = 0; i < n; i++)
        best[i] = -2;
    for (int64_t i = 0; i < n; i++)
        if (f->near[i].row >= 0 && f->near[i].cosine > best[f->near[i].row])
            best[f->near[i].row] = f->near[i].cosine;
    for (int64_t i = 0; i < n; i++)
        if (f->near[i].row >= 0)
            members[count++] = (member){.best = best[f->near[i].row],
                                        .cosine = f->near[i].cosine,
                                        .leader = f->near[i].row,
                                        .row = i,
                                        .mirrored = f->near[i].mirrored};
    qsort(members, count, sizeof *members, by_cosine);
    return count;
}

static void put_members(finding *f, const member *members, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const member *m = &members[i];
        const nnclr_sameness same = m->mirrored ? NNCLR_SAME_MIRRORED : NNCLR_SAME_NEAR;
        if (i == 0 || m->leader != m[-1].leader)
            put(f,
                (nnclr_duplicate){f->out->groups++, m->leader, {m->cosine, m->row}, same, false});
        put(f, (nnclr_duplicate){f->out->groups - 1, m->row, {m->cosine, m->leader}, same, false});
    }
}

/* A support set may hold a picture in several rows of a group: it is not its own copy. */
static bool mark_surplus(const nnclr_row_set *set, nnclr_duplicate_report *out, nnclr_error *e) {
    const size_t labels = set->class_count + 1; /* with -1, none */
    const nnclr_duplicate **kept = nnclr_alloc_zero(labels, sizeof *kept, e);
    int64_t *records = nnclr_alloc(out->count, sizeof *records, e);
    const bool ok = kept && records;
    size_t count = 0;
    for (size_t i = 0; ok && i < out->count; i++) {
        nnclr_duplicate *one = &out->rows[i];
        const int64_t label = nnclr_row_set_class(set, one->row) ? set->label[one->row] : -1;
        const nnclr_duplicate **first = &kept[label + 1];
        if (!*first || (*first)->group != one->group)
            *first = one;
        one->surplus = set->record[(*first)->row] != set->record[one->row];
        if (one->surplus)
            records[count++] = set->record[one->row];
    }
    out->surplus = ok ? nnclr_count_different(records, count) : 0;
    nnclr_free(records);
    nnclr_free(kept);
    return ok;
}

bool nnclr_report_duplicates(nnclr_pool *pool, const nnclr_row_set *set,
                             const nnclr_copy_options *options, nnclr_duplicate_report *out,
                             nnclr_error *e) {
    const size_t n = (size_t)set->rows.n;
    finding f = {.set = set, .options = options, .out = out};
    *out = (nnclr_duplicate_report){.rows = nnclr_alloc(n, 2 * sizeof *out->rows, e)};
    member *members = nnclr_alloc(n, sizeof *members, e);
    double *best = nnclr_alloc(n, sizeof *best, e);
    f.candidate = nnclr_alloc(n, sizeof *f.candidate, e);
    f.near = nnclr_alloc(n, sizeof *f.near, e);
    const nnclr_near_options near = {.threshold = options->threshold,
                                     .progress = options->progress};
    bool ok = out->rows && members && best && f.candidate && f.near;
    for (size_t i = 0; ok && i < n; i++)
        f.candidate[i] = set->record[i] >= 0;
    ok = ok && find_same(&f, e) && nnclr_near_groups(pool, set, f.candidate, &near, f.near, e);
    if (ok)
        put_members(&f, members, list_members(&f, best, members));
    ok = ok && mark_surplus(set, out, e);
    nnclr_free(f.near);
    nnclr_free(f.candidate);
    nnclr_free(best);
    nnclr_free(members);
    if (!ok)
        nnclr_duplicate_report_free(out);
    return ok;
}

/* ---- leaks ---- */

static int by_sameness(const void *a, const void *b) {
    const nnclr_duplicate *x = a, *y = b;
    const bool same_x = x->same == NNCLR_SAME_BYTES, same_y = y->same == NNCLR_SAME_BYTES;
    if (same_x != same_y)
        return same_x ? -1 : 1;
    if (x->twin.cosine != y->twin.cosine)
        return x->twin.cosine > y->twin.cosine ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* The first print that does not sort before `one`. */
static size_t find_print(const print *prints, size_t count, const print *one) {
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (by_print(&prints[middle], one) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The queries whose bytes the bank has are put into the report, and are not candidates any more. */
static bool leak_same(finding *f, const nnclr_row_set *bank, nnclr_error *e) {
    size_t count;
    f->out->bytes_known = bank->bytes && f->set->bytes;
    if (!f->out->bytes_known)
        return true;
    print *prints = list_prints(bank, &count, e);
    bool ok = prints != NULL;
    for (int64_t row = 0; ok && row < f->set->rows.n; row++) {
        print one = print_of(f->set, row);
        bool same = false;
        if (!f->candidate[row] || one.bytes == 0)
            continue;
        one.record = one.row = -1;
        for (size_t i = find_print(prints, count, &one);
             ok && !same && i < count && same_print(&prints[i], &one); i++) {
            ok = are_same(&(placed_row){bank, f->options->shards, prints[i].row},
                          &(placed_row){f->set, f->options->query_shards, row}, &same, e);
            if (ok && same)
                put(f, (nnclr_duplicate){0, row, {1, prints[i].row}, NNCLR_SAME_BYTES, false});
        }
        f->candidate[row] = !same;
    }
    nnclr_free(prints);
    f->out->same_bytes = f->out->count;
    return ok;
}

static bool count_leaked(const nnclr_row_set *bank, nnclr_duplicate_report *out, nnclr_error *e) {
    int64_t *records = nnclr_alloc(out->count, sizeof *records, e);
    for (size_t i = 0; records && i < out->count; i++)
        records[i] = bank->record[out->rows[i].twin.row];
    out->surplus = records ? nnclr_count_different(records, out->count) : 0;
    nnclr_free(records);
    return records != NULL;
}

bool nnclr_report_leaks(nnclr_pool *pool, const nnclr_row_set *bank, const nnclr_row_set *queries,
                        const nnclr_copy_options *options, nnclr_duplicate_report *out,
                        nnclr_error *e) {
    const size_t n = (size_t)queries->rows.n;
    finding f = {.set = queries, .options = options, .out = out};
    *out = (nnclr_duplicate_report){.rows = nnclr_alloc(n, sizeof *out->rows, e)};
    f.candidate = nnclr_alloc(n, sizeof *f.candidate, e);
    f.near = nnclr_alloc(n, sizeof *f.near, e);
    const nnclr_near_options near = {.threshold = options->threshold,
                                     .progress = options->progress};
    bool ok = out->rows && f.candidate && f.near;
    for (size_t i = 0; ok && i < n; i++)
        f.candidate[i] = queries->record[i] >= 0;
    ok = ok && leak_same(&f, bank, e) &&
         nnclr_near_leaks(pool, bank, queries, f.candidate, &near, f.near, e);
    for (size_t i = 0; ok && i < n; i++) {
        const nnclr_near *one = &f.near[i];
        const nnclr_sameness same = one->mirrored ? NNCLR_SAME_MIRRORED : NNCLR_SAME_NEAR;
        if (one->row >= 0)
            put(&f, (nnclr_duplicate){0, (int64_t)i, {one->cosine, one->row}, same, false});
    }
    ok = ok && count_leaked(bank, out, e);
    nnclr_free(f.near);
    nnclr_free(f.candidate);
    if (!ok)
        nnclr_duplicate_report_free(out);
    else if (out->count > 1)
        qsort(out->rows, out->count, sizeof *out->rows, by_sameness);
    return ok;
}

void nnclr_duplicate_report_free(nnclr_duplicate_report *report) {
    nnclr_free(report->rows);
    *report = (nnclr_duplicate_report){0};
}
