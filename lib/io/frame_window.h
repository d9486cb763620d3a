/* Decompressed frames that are kept until an epoch has read all their records, for an order that
 * reads the records of few frames at a time, each once an epoch. A reader says which epoch it is
 * in, because the next one may begin while the last records of this one are still being read. A
 * frame some of whose records an epoch leaves out stays until the next one has read it.
 *
 * Any number of threads may call these. */
#ifndef NNCLR_IO_FRAME_WINDOW_H
#define NNCLR_IO_FRAME_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct nnclr_frame_window nnclr_frame_window;

/* records[i]: how many records frame i has; copied. */
nnclr_frame_window *nnclr_frame_window_create(const uint32_t *records, size_t frames,
                                              nnclr_error *e);
void nnclr_frame_window_free(nnclr_frame_window *window); /* NULL is fine */

/* The content of a frame, which stays until nnclr_frame_window_done; NULL: it is not here, and the
 * caller loads it and calls nnclr_frame_window_put. */
const unsigned char *nnclr_frame_window_get(nnclr_frame_window *window, size_t frame,
                                            uint32_t epoch);
/* Keeps the content (from nnclr_alloc), or drops it if another thread came first; returns what is
 * kept, as nnclr_frame_window_get does. */
const unsigned char *nnclr_frame_window_put(nnclr_frame_window *window, size_t frame,
                                            unsigned char *content);
/* One record of the frame was read: after the epoch's last one the content goes. */
void nnclr_frame_window_done(nnclr_frame_window *window, size_t frame, uint32_t epoch);
/* One record of the frame is not read here in this epoch: another process has it. */
void nnclr_frame_window_pass(nnclr_frame_window *window, size_t frame, uint32_t epoch);

/* Frames that are here, now. */
size_t nnclr_frame_window_held(nnclr_frame_window *window);

#endif
