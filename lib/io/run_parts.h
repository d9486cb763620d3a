/* What run_folder.c and run_metrics.c share. */
#ifndef NNCLR_IO_RUN_PARTS_H
#define NNCLR_IO_RUN_PARTS_H

#include "io/run_folder.h"

struct nnclr_run {
    char *folder;
    bool made, locked;                /* the folder by this run; the lock is held */
    bool staged;                      /* a new run that has not begun */
    nnclr_buffer checkpoint, metrics; /* paths of now */
    int lock, metrics_fd;
};

#endif
