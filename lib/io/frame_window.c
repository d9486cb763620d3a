#include "io/frame_window.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/memory.h"

/* A lock is held for a few instructions only: whoever meets it tries again. */
typedef struct slot {
    atomic_flag busy;
    unsigned char *content; /* NULL: not here */
    uint32_t records, left; /* that the frame has; that `epoch` has still to read */
    uint32_t epoch;         /* the latest that asked for the frame */
    uint32_t readers;
} slot;

struct nnclr_frame_window {
    slot *slots;
    size_t count;
    _Atomic size_t held;
};

nnclr_frame_window *nnclr_frame_window_create(const uint32_t *records, size_t frames,
                                              nnclr_error *e) {
    nnclr_frame_window *window = nnclr_alloc_zero(1, sizeof *window, e);
    if (!window)
        return NULL;
    window->slots = nnclr_alloc_zero(frames, sizeof *window->slots, e);
    if (!window->slots) {
        nnclr_free(window);
        return NULL;
    }
    window->count = frames;
    for (size_t i = 0; i < frames; i++) {
        atomic_flag_clear(&window->slots[i].busy);
        window->slots[i].records = window->slots[i].left = records[i];
    }
    return window;
}

void nnclr_frame_window_free(nnclr_frame_window *window) {
    if (!window)
        return;
    for (size_t i = 0; i < window->count; i++)
        nnclr_free(window->slots[i].content);
    nnclr_free(window->slots);
    nnclr_free(window);
}

static slot *lock(nnclr_frame_window *window, size_t frame) {
    slot *s = &window->slots[frame];
    while (atomic_flag_test_and_set_explicit(&s->busy, memory_order_acquire))
        sched_yield();
    return s;
}

/* An epoch comes to the frame. Nobody waits any longer for what an earlier one left unread. */
static void enter(slot *s, uint32_t epoch) {
    if (epoch > s->epoch) {
        s->epoch = epoch;
        s->left = s->records;
    }
}

static void unlock(slot *s) {
    atomic_flag_clear_explicit(&s->busy, memory_order_release);
}

const unsigned char *nnclr_frame_window_get(nnclr_frame_window *window, size_t frame,
                                            uint32_t epoch) {
    slot *s = lock(window, frame);
    enter(s, epoch);
    const unsigned char *content = s->content;
    if (content)
        s->readers++;
    unlock(s);
    return content;
}

const unsigned char *nnclr_frame_window_put(nnclr_frame_window *window, size_t frame,
                                            unsigned char *content) {
    slot *s = lock(window, frame);
    unsigned char *dropped = s->content ? content : NULL;
    if (!s->content) {
        s->content = content;
        atomic_fetch_add(&window->held, 1);
    }
    s->readers++;
    const unsigned char *kept = s->content;
    unlock(s);
    nnclr_free(dropped);
    return kept;
}

/* One record less is awaited, and so many readers: after the last the content goes. */
static void leave(nnclr_frame_window *window, size_t frame, uint32_t epoch, uint32_t readers) {
    slot *s = lock(window, frame);
    unsigned char *dropped = NULL;
    enter(s, epoch);
    s->readers -= readers;
    if (epoch == s->epoch && s->left > 0)
        s->left--;
    if (s->left == 0 && s->readers == 0 && s->content) {
        dropped = s->content;
        s->content = NULL;
        atomic_fetch_sub(&window->held, 1);
    }
    unlock(s);
    nnclr_free(dropped);
}

void nnclr_frame_window_done(nnclr_frame_window *window, size_t frame, uint32_t epoch) {
    leave(window, frame, epoch, 1);
}

void nnclr_frame_window_pass(nnclr_frame_window *window, size_t frame, uint32_t epoch) {
    leave(window, frame, epoch, 0);
}

size_t nnclr_frame_window_held(nnclr_frame_window *window) {
    return atomic_load(&window->held);
}
