/* The choice of engine and precision on the command line. */
#ifndef NNCLR_CMD_ENGINE_OPTIONS_H
#define NNCLR_CMD_ENGINE_OPTIONS_H

#include "engine/engine.h"

/* In the order of nnclr_engine_choice and nnclr_precision; NULL ends them. */
extern const char *const engine_names[], *const precision_names[];

/* What was asked for on the command line and is not here is a mistake in its use. */
bool engine_asked_for(bool opened, nnclr_error *e);

#endif
