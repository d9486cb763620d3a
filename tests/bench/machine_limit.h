/* What this machine multiplies at most. */
#ifndef NNCLR_TESTS_MACHINE_LIMIT_H
#define NNCLR_TESTS_MACHINE_LIMIT_H

#include "engine/engine.h"

/* GFLOP/s of the instruction that the engine's convolutions rest on, on all threads of its pool:
 * for an engine on tiles their product, on tiles that stay in L1 or L2; otherwise fused
 * multiply-adds of registers. A multiply-add counts as two. About a second. */
bool machine_limit(const nnclr_engine *g, double *gflops, nnclr_error *e);

#endif
