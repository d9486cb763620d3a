/* --prefix: which of the networks in a file of weights to take. */
#ifndef NNCLR_CMD_PREFIX_OPTION_H
#define NNCLR_CMD_PREFIX_OPTION_H

#include <stddef.h>

#include "base/error.h"
#include "cmd/option_table.h"

/* The target is a const char *: NULL is no prefix, and "" is an empty one. */
#define PREFIX_OPTION(target)                                                                      \
    CUSTOM("prefix", target, "TEXT",                                                               \
           "what precedes the names of the network in weights of another program, such as "        \
           "encoder_q.; needed only if there are several networks",                                \
           prefix_parse, prefix_show)

bool prefix_parse(const char *text, void *target, nnclr_error *e);
void prefix_show(const void *target, char *text, size_t size);

#endif
