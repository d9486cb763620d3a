/* The tables of nnclr-queue-inspect: neighbours, and the reports. */
#ifndef NNCLR_CMD_INSPECT_TABLES_H
#define NNCLR_CMD_INSPECT_TABLES_H

#include "cmd/inspector.h"

void print_neighbours(const inspector *x, const nnclr_inspection *found);

/* Makes the report that the settings name, prints it, and sums it up on standard error. */
bool print_report(inspector *x, nnclr_error *e);

#endif
