/* Rows of an option table, one per line. */
#ifndef NNCLR_CMD_OPTION_TABLE_H
#define NNCLR_CMD_OPTION_TABLE_H

#include "cmd/cli.h"

/* clang-format off */
#define GROUP(help)  {NULL, 0, NNCLR_OPTION_GROUP, NULL, NULL, help, 0, 0, NULL, NULL, NULL, 0}
#define RENAMED(name, now)  {name, 0, NNCLR_OPTION_RENAMED, NULL, NULL, now, 0, 0, NULL, NULL, NULL, 0}
#define FLAG(name, target, help)  {name, 0, NNCLR_OPTION_FLAG, target, NULL, help, 0, 0, NULL, NULL, NULL, 0}
#define TEXT(name, target, argument, help)  {name, 0, NNCLR_OPTION_TEXT, target, argument, help, 0, 0, NULL, NULL, NULL, 0}
#define INPUT(name, target, argument, help)  {name, 0, NNCLR_OPTION_INPUT, target, argument, help, 0, 0, NULL, NULL, NULL, 0}
#define OUTPUT(name, target, argument, makes, help)  {name, 0, NNCLR_OPTION_TEXT, target, argument, help, 0, 0, NULL, NULL, NULL, makes}
#define CHOICE(name, target, names, help)  {name, 0, NNCLR_OPTION_CHOICE, target, NULL, help, 0, 0, names, NULL, NULL, 0}
#define NUMBER(type, name, target, argument, help, low, high)  {name, 0, type, target, argument, help, low, high, NULL, NULL, NULL, 0}
#define INTEGER(...)  NUMBER(NNCLR_OPTION_INT, __VA_ARGS__)
#define REAL(...)  NUMBER(NNCLR_OPTION_REAL, __VA_ARGS__)
#define BYTES(...)  NUMBER(NNCLR_OPTION_BYTES, __VA_ARGS__)
#define CUSTOM(name, target, argument, help, parse, show)  {name, 0, NNCLR_OPTION_CUSTOM, target, argument, help, 0, 0, NULL, parse, show, 0}
/* clang-format on */

#endif
