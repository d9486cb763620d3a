/* Members of a struct as members of a JSON object: a table of fields, written and read by the same
 * loops whatever the struct. */
#ifndef NNCLR_IO_FIELDS_H
#define NNCLR_IO_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "io/json.h"

typedef enum nnclr_field_type {
    NNCLR_FIELD_INT,
    NNCLR_FIELD_LONG,  /* int64_t */
    NNCLR_FIELD_REAL,  /* double */
    NNCLR_FIELD_FLOAT, /* written with the digits that a float has */
    NNCLR_FIELD_BOOL,
    NNCLR_FIELD_CHOICE, /* an enum, as the name of its value */
    NNCLR_FIELD_LIST    /* an int that counts the ints after it, at most `count` */
} nnclr_field_type;

typedef struct nnclr_field {
    const char *key;
    nnclr_field_type type;
    size_t offset;              /* in the struct */
    double low, high;           /* bounds of each number */
    int count;                  /* REAL and FLOAT: above 1: so many side by side, an array */
    const char *const *choices; /* CHOICE: names by value, NULL-terminated */
    const char *fallback; /* JSON: the value in objects without the field; NULL: it must be there */
    bool sparse;          /* left out if it is the fallback */
} nnclr_field;

bool nnclr_field_put(nnclr_json *object, const nnclr_field *field, const void *from,
                     nnclr_error *e);
/* Refuses a value that is missing or impossible by its key and `what`, the object's name. */
bool nnclr_field_get(const nnclr_json *object, const char *what, const nnclr_field *field, void *to,
                     nnclr_error *e);

#endif
