/* Whether all ranks train the same run, and still have the same state: each computes it for itself,
 * so a difference would go unnoticed and be trained on. Every rank calls these; of one rank they
 * ask nothing. */
#ifndef NNCLR_TRAIN_RANKS_ALIKE_H
#define NNCLR_TRAIN_RANKS_ALIKE_H

#include "engine/communicator.h"
#include "train/run_writer.h"

/* The same configuration and data, and an engine that rounds alike. */
bool nnclr_ranks_start_alike(nnclr_communicator *c, const nnclr_checkpoint_info *info,
                             const nnclr_engine *engine, nnclr_error *e);
/* The same bits in what there is of weights, momentum, statistics and support set, after the same
 * step; otherwise WHAT differs. */
bool nnclr_ranks_are_alike(nnclr_communicator *c, const nnclr_run_state *state, const char *what,
                           nnclr_error *e);

#endif
