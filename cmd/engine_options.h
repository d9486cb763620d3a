/* The choice of engine and precision on the command line. */
#ifndef NNCLR_CMD_ENGINE_OPTIONS_H
#define NNCLR_CMD_ENGINE_OPTIONS_H

#include "engine/engine.h"

/* In the order of nnclr_engine_choice and nnclr_precision; NULL ends them. */
extern const char *const engine_names[], *const precision_names[];

#define ENGINE_HELP                                                                                \
    "what does the arithmetic (auto: amx if the CPU has it, otherwise cpu; this version has no "   \
    "cuda)"
#define PRECISION_HELP                                                                             \
    "precision of the arithmetic (auto: bf16 on amx, f32 on cpu; f64 on cpu only)"

/* Asking on the command line for an engine that is not here is wrong usage. */
bool engine_asked_for(bool opened, nnclr_error *e);

#endif
