#include "image/epoch_order.h"

#include "base/memory.h"
#include "base/rng.h"

/* The draws from the window are separate from those of the permutation. */
enum { DRAW_FROM_WINDOW = 1 };

/* The records of the set, frame after frame. */
typedef struct frames {
    size_t count;
    uint32_t *record; /* [records] */
    size_t *end;      /* [count]; the records of frame i begin where those of i - 1 end */
} frames;

static void free_frames(frames *f) {
    nnclr_free(f->record);
    nnclr_free(f->end);
}

/* A counting sort of the records by their frames. */
static bool sort_by_frame(const nnclr_shard_set *set, size_t records, frames *f, nnclr_error *e) {
    f->count = nnclr_shard_set_frame_count(set);
    f->record = nnclr_alloc(records, sizeof *f->record, e);
    f->end = nnclr_alloc_zero(f->count + 1, sizeof *f->end, e);
    if (!f->record || !f->end)
        return false;
    for (size_t i = 0; i < records; i++)
        f->end[nnclr_shard_set_frame(set, i) + 1]++; /* counts, one place on */
    for (size_t k = 1; k <= f->count; k++)
        f->end[k] += f->end[k - 1]; /* now starts */
    for (size_t i = 0; i < records; i++)
        f->record[f->end[nnclr_shard_set_frame(set, i)]++] = (uint32_t)i;
    return true;
}

typedef struct held {
    uint32_t record, frame;
} held;

/* Draws from at most `window` frames; `next_frame` is their permutation. */
static bool draw_all(const frames *f, const uint32_t *next_frame, size_t window, size_t records,
                     nnclr_rng rng, uint32_t *out, nnclr_error *e) {
    held *pool = NULL;
    size_t capacity = 0, count = 0, next = 0, frames_held = 0;
    uint32_t *left = nnclr_alloc_zero(f->count, sizeof *left, e); /* of each frame, in the pool */
    bool ok = left != NULL;
    for (size_t i = 0; ok && i < records; i++) {
        for (; frames_held < window && next < f->count; next++) {
            uint32_t frame = next_frame[next];
            size_t begin = frame > 0 ? f->end[frame - 1] : 0, size = f->end[frame] - begin;
            if (size == 0) /* an index, or the end record */
                continue;
            ok = nnclr_reserve(&pool, &capacity, count + size, sizeof *pool, e);
            if (!ok)
                goto exit;
            for (size_t k = 0; k < size; k++)
                pool[count++] = (held){f->record[begin + k], frame};
            left[frame] = (uint32_t)size;
            frames_held++;
        }
        size_t at = (size_t)nnclr_rng_below(&rng, count);
        out[i] = pool[at].record;
        if (--left[pool[at].frame] == 0)
            frames_held--;
        pool[at] = pool[--count];
    }
exit:
    nnclr_free(left);
    nnclr_free(pool);
    return ok;
}

bool nnclr_epoch_order(const nnclr_shard_set *set, uint64_t seed, uint32_t epoch, size_t window,
                       uint32_t *out, nnclr_error *e) {
    size_t records = nnclr_shard_set_count(set);
    if (window == 0) {
        nnclr_permutation(seed, NNCLR_DRAW_ORDER, epoch, (uint32_t)records, out);
        return true;
    }
    frames f = {0};
    uint32_t *next_frame = NULL;
    bool ok = false;
    if (!sort_by_frame(set, records, &f, e))
        goto exit;
    next_frame = nnclr_alloc(f.count, sizeof *next_frame, e);
    if (!next_frame)
        goto exit;
    nnclr_permutation(seed, NNCLR_DRAW_ORDER, epoch, (uint32_t)f.count, next_frame);
    ok = draw_all(&f, next_frame, window, records,
                  nnclr_rng_at(seed, NNCLR_DRAW_ORDER, epoch, 0, DRAW_FROM_WINDOW), out, e);
exit:
    nnclr_free(next_frame);
    free_frames(&f);
    return ok;
}
