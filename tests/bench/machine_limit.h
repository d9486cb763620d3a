/* What this machine multiplies at most. */
#ifndef NNCLR_TESTS_MACHINE_LIMIT_H
#define NNCLR_TESTS_MACHINE_LIMIT_H

#include "engine/engine.h"

/* GFLOP/s of the instruction that the engine's convolutions stand on, on all threads of its pool:
 * of an engine on tiles their product, on tiles that stay in L1 or L2; else fused multiply-adds of
 * registers. A multiply-add is two. Where a value is three bfloat16, that of the short products,
 * which backward passes take; the exact ones of forward passes have half of it. About a second. */
bool machine_limit(const nnclr_engine *g, double *gflops, nnclr_error *e);

#endif
