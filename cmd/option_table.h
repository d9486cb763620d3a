/* Rows of an option table, one per line. */
#ifndef NNCLR_CMD_OPTION_TABLE_H
#define NNCLR_CMD_OPTION_TABLE_H

#include "cmd/cli.h"

/* clang-format off */
#define GROUP(text)  {.type = NNCLR_OPTION_GROUP, .help = text}
#define RENAMED(old, now)  RENAMED_VALUES(old, now, NULL)
#define RENAMED_VALUES(old, now, names)  {old, .type = NNCLR_OPTION_RENAMED, .help = now, .choices = names}
#define FLAG(...)  FLAG_(0, __VA_ARGS__)
#define TEXT(...)  TEXT_(0, __VA_ARGS__)
#define INPUT(...)  INPUT_(0, __VA_ARGS__)
#define OUTPUT(...)  OUTPUT_(0, __VA_ARGS__)
#define CHOICE(...)  CHOICE_(0, __VA_ARGS__)
#define INTEGER(...)  INTEGER_(0, __VA_ARGS__)
#define REAL(...)  REAL_(0, __VA_ARGS__)
#define BYTES(...)  BYTES_(0, __VA_ARGS__)
#define REALS(...)  REALS_(0, __VA_ARGS__)
#define FLOATS(...)  FLOATS_(0, __VA_ARGS__)
#define CUSTOM(...)  CUSTOM_(0, __VA_ARGS__)
/* SHORT('j', INTEGER, "threads", ...): the row INTEGER("threads", ...), with a short name too. */
#define SHORT(letter, ROW, ...)  ROW##_(letter, __VA_ARGS__)

#define FLAG_(letter, name, to, text)  {name, letter, NNCLR_OPTION_FLAG, to, .help = text}
#define TEXT_(letter, name, to, argument, text)  {name, letter, NNCLR_OPTION_TEXT, to, argument, .help = text}
#define INPUT_(letter, name, to, argument, text)  {name, letter, NNCLR_OPTION_INPUT, to, argument, .help = text}
#define OUTPUT_(letter, name, to, argument, kind, text)  {name, letter, NNCLR_OPTION_TEXT, to, argument, .help = text, .makes = kind}
#define CHOICE_(letter, name, to, names, text)  {name, letter, NNCLR_OPTION_CHOICE, to, .help = text, .choices = names}
#define INTEGER_(...)  NUMBER_(NNCLR_OPTION_INT, __VA_ARGS__)
#define REAL_(...)  NUMBER_(NNCLR_OPTION_REAL, __VA_ARGS__)
#define BYTES_(...)  NUMBER_(NNCLR_OPTION_BYTES, __VA_ARGS__)
#define NUMBER_(type, letter, name, to, argument, text, least, most)  {name, letter, type, to, argument, .help = text, .low = least, .high = most}
#define REALS_(...)  NUMBERS_(NNCLR_OPTION_REAL, __VA_ARGS__)
#define FLOATS_(...)  NUMBERS_(NNCLR_OPTION_FLOAT, __VA_ARGS__)
#define NUMBERS_(type, letter, name, to, number, argument, text, least, most)  {name, letter, type, to, argument, .help = text, .low = least, .high = most, .count = number}
#define CUSTOM_(letter, name, to, argument, text, parser, shower)  {name, letter, NNCLR_OPTION_CUSTOM, to, argument, .help = text, .parse = parser, .show = shower}
/* clang-format on */

#endif
