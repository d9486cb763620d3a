/* The tables of nnclr-queue-inspect: neighbours, and the reports. */
#ifndef NNCLR_CMD_INSPECT_TABLES_H
#define NNCLR_CMD_INSPECT_TABLES_H

#include "cmd/inspector.h"

void print_neighbours(const inspector *x, const nnclr_inspection *found);

/* A report has one of the two functions, which print it and sum it up on standard error. */
typedef struct inspect_report {
    const char *name;
    bool (*print)(inspector *x, nnclr_error *e);
    bool (*print_graph)(const inspector *x, const nnclr_row_graph *graph, nnclr_error *e);
    bool compares; /* the rows with those of --query */
} inspect_report;

enum { REPORTS = 9 };
extern const inspect_report reports[REPORTS];

/* Makes the report that the settings choose. */
bool print_report(inspector *x, nnclr_error *e);

#endif
