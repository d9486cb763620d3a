/* Rows of option tables that several programs have, and what they need. */
#ifndef NNCLR_CMD_SHARED_OPTIONS_H
#define NNCLR_CMD_SHARED_OPTIONS_H

#include <stddef.h>

#include "base/error.h"
#include "cmd/option_table.h"
#include "engine/engine.h"

/* Index of a name in a NULL-terminated list; -1: not there, or NULL. */
int option_find(const char *const *names, const char *name);

/* For a CUSTOM option whose default is not shown. */
void option_show_nothing(const void *target, char *text, size_t size);

/* The targets are an int that becomes a nnclr_engine_choice, and one a nnclr_precision. */
#define ENGINE_OPTIONS(engine, precision)                                                          \
    CHOICE("engine", engine, nnclr_engine_names,                                                   \
           "what does the arithmetic (auto: cuda if it was built and there is a GPU, amx if the "  \
           "CPU has it, otherwise cpu)"),                                                          \
        CHOICE("precision", precision, nnclr_precision_names,                                      \
               "precision of the arithmetic (auto: f32 on cpu, otherwise bf16; f64 on cpu only)")

/* Asking on the command line for an engine that is not here is wrong usage. */
bool engine_asked_for(bool opened, nnclr_error *e);

/* Which of the networks in a file of weights to take. The target is a const char *: NULL is no
 * prefix, and "" is an empty one. */
#define PREFIX_OPTION(target)                                                                      \
    CUSTOM("prefix", target, "TEXT",                                                               \
           "what precedes the names of the network in weights of another program, such as "        \
           "encoder_q.; needed only if there are several networks",                                \
           prefix_parse, option_show_nothing)
bool prefix_parse(const char *text, void *target, nnclr_error *e);

#endif
