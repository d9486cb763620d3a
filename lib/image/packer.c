#include "image/packer.h"

#include "base/memory.h"
#include "base/rng.h"
#include "base/threads.h"

enum { SLOTS_PER_THREAD = 4 };

/* A picture on its way from the pipeline's threads to the writer. */
typedef struct prepared {
    nnclr_buffer bytes;
    nnclr_record record;
} prepared;

typedef struct packing {
    const nnclr_pack_request *request;
    nnclr_pack_report *report;
    nnclr_shard_writer *writer;
    const uint32_t *items;  /* what the pipeline goes through: entries of the source; NULL: all */
    prepared *slots;        /* [depth] */
    nnclr_storing *storing; /* [threads] */
    int depth;
    bool *seen;           /* [classes]: one of its pictures was packed */
    uint64_t done, total; /* steps */
} packing;

static bool produce(void *context, uint64_t item, int slot, int worker, nnclr_error *e) {
    packing *p = context;
    prepared *out = &p->slots[slot];
    size_t entry = p->items ? p->items[item] : (size_t)item;
    nnclr_source_entry about = nnclr_source_entry_at(p->request->source, entry);
    out->record = (nnclr_record){.name = about.name, .label = about.label};
    if (!nnclr_source_read(p->request->source, entry, &out->bytes, e))
        return false;
    return nnclr_store_picture(&p->storing[worker], &p->request->form, &out->bytes, &out->record,
                               e) ||
           nnclr_fail_at(e, "%s", about.name);
}

/* What is done with the pictures that come out of the pipeline, one after the other; `picture`
 * NULL: it was left out. */
typedef bool (*consume)(packing *p, uint64_t item, const prepared *picture, void *context,
                        nnclr_error *e);

/* That memory or descriptors are short says nothing about the picture. */
static bool leave_out(packing *p, const nnclr_error *why) {
    if (!nnclr_is_fault_of_input(why) || !p->request->leave_out(p->request->context, why))
        return false;
    p->report->left_out++;
    return true;
}

/* Otherwise each slot would in time hold room for the largest file of all. */
static void drop_large(nnclr_buffer *bytes) {
    enum { LARGE = 8 << 20 };
    if (bytes->capacity > LARGE)
        nnclr_buffer_free(bytes);
}

static bool consume_all(packing *p, nnclr_pipeline *pipeline, consume take, void *context,
                        nnclr_error *e) {
    for (uint64_t item = 0;; item++) {
        nnclr_error why = NNCLR_NO_ERROR;
        int slot = 0;
        nnclr_next next = nnclr_pipeline_next(pipeline, &slot, &why);
        if (next == NNCLR_NEXT_END)
            return true;
        if (next == NNCLR_NEXT_FAILED && !leave_out(p, &why)) {
            *e = why;
            return false;
        }
        if (!take(p, item, next == NNCLR_NEXT_ITEM ? &p->slots[slot] : NULL, context, e))
            return false;
        drop_large(&p->slots[slot].bytes);
        nnclr_pipeline_release(pipeline);
        p->done++;
        if (!nnclr_progress_tell(p->request->progress, "pictures", (int64_t)p->done,
                                 (int64_t)p->total, NULL, e))
            return false;
    }
}

static bool go_through(packing *p, const uint32_t *items, size_t count, consume take, void *context,
                       nnclr_error *e) {
    p->items = items;
    nnclr_pipeline *pipeline =
        nnclr_pipeline_start(p->request->threads, p->depth, 0, count, produce, p, e);
    bool ok = pipeline && consume_all(p, pipeline, take, context, e);
    nnclr_pipeline_stop(pipeline);
    return ok;
}

/* ---- storing ---- */

/* `context`: the record numbers of the source's entries, or NULL for those of the stored order. */
static bool store(packing *p, uint64_t item, const prepared *picture, void *context,
                  nnclr_error *e) {
    const int64_t *numbers = context;
    if (!picture)
        return true;
    int64_t number = numbers ? numbers[p->items[item]] : -1;
    if (!nnclr_shard_writer_add(p->writer, number, &picture->record, picture->bytes.data, e))
        return false;
    const int64_t label = picture->record.label;
    if (label >= 0 && !p->seen[label]) {
        p->seen[label] = true;
        p->report->classes++;
    }
    p->report->packed++;
    p->report->bytes += picture->record.size;
    return true;
}

/* ---- a random order ---- */

/* The first time through: which entries can be read, and so which numbers they get. */
static bool number(packing *p, uint64_t item, const prepared *picture, void *context,
                   nnclr_error *e) {
    (void)e;
    int64_t *numbers = context;
    numbers[item] = picture ? (int64_t)(item - p->report->left_out) : -1;
    return true;
}

/* Takes those without a number out of the order. */
static size_t keep_numbered(uint32_t *order, size_t count, const int64_t *numbers) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (numbers[order[i]] >= 0)
            order[kept++] = order[i];
    return kept;
}

static bool pack_in_random_order(packing *p, size_t count, nnclr_error *e) {
    if (count > UINT32_MAX)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%zu pictures in random order are more than %u",
                          count, UINT32_MAX);
    bool split = p->request->shard.shard_size > 0;
    uint32_t *order = nnclr_alloc(count, sizeof *order, e);
    int64_t *numbers = nnclr_alloc(count, sizeof *numbers, e);
    bool ok = order && numbers;
    if (!ok)
        goto exit;
    nnclr_permutation(p->request->seed, NNCLR_DRAW_PACK, 0, (uint32_t)count, order);
    if (split) {
        ok = go_through(p, order, count, store, NULL, e);
        goto exit;
    }
    p->total = 2 * count;
    ok = go_through(p, NULL, count, number, numbers, e);
    if (!ok)
        goto exit;
    uint64_t left_out = p->report->left_out;
    ok = go_through(p, order, keep_numbered(order, count, numbers), store, numbers, e);
    if (ok && p->report->left_out > left_out)
        ok = nnclr_fail(e, NNCLR_ERROR_INPUT,
                        "pictures that could be read cannot be read any more: they must not change "
                        "while they are packed");
exit:
    nnclr_free(order);
    nnclr_free(numbers);
    return ok;
}

/* ---- all of it ---- */

static nnclr_shard_writer *open_writer(const nnclr_pack_request *request, nnclr_error *e) {
    size_t count = nnclr_source_class_count(request->source);
    const char **classes = nnclr_alloc(count, sizeof *classes, e);
    if (!classes)
        return NULL;
    for (size_t i = 0; i < count; i++)
        classes[i] = nnclr_source_class(request->source, i);
    nnclr_shard_options options = request->shard;
    options.classes = classes;
    options.class_count = count;
    nnclr_shard_writer *writer = nnclr_shard_writer_open(&options, e);
    nnclr_free(classes);
    return writer;
}

static bool pack_all(packing *p, nnclr_error *e) {
    size_t count = nnclr_source_count(p->request->source);
    p->total = count;
    if (!(p->request->random ? pack_in_random_order(p, count, e)
                             : go_through(p, NULL, count, store, NULL, e)))
        return false;
    return p->report->packed > 0 ||
           nnclr_fail(e, NNCLR_ERROR_INPUT, "none of the %zu files is a picture that can be read",
                      count);
}

bool nnclr_pack(const nnclr_pack_request *request, nnclr_pack_report *report, nnclr_error *e) {
    size_t threads = (size_t)request->threads;
    packing p = {
        .request = request, .report = report, .depth = request->threads * SLOTS_PER_THREAD};
    *report = (nnclr_pack_report){0};
    p.writer = open_writer(request, e);
    if (!p.writer)
        return false;
    p.slots = nnclr_alloc_zero((size_t)p.depth, sizeof *p.slots, e);
    p.storing = nnclr_alloc_zero(threads, sizeof *p.storing, e);
    p.seen = nnclr_alloc_zero(nnclr_source_class_count(request->source), sizeof *p.seen, e);
    bool ok = p.slots && p.storing && p.seen && pack_all(&p, e);
    for (int i = 0; p.slots && i < p.depth; i++)
        nnclr_buffer_free(&p.slots[i].bytes);
    for (size_t i = 0; p.storing && i < threads; i++)
        nnclr_storing_free(&p.storing[i]);
    nnclr_free(p.slots);
    nnclr_free(p.storing);
    nnclr_free(p.seen);
    if (ok)
        return nnclr_shard_writer_commit(p.writer, e);
    nnclr_shard_writer_abandon(p.writer);
    return false;
}
