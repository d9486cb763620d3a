/* Libraries of this program's own, which are loaded only if they are asked for. */
#ifndef NNCLR_ENGINE_PLUGIN_H
#define NNCLR_ENGINE_PLUGIN_H

#include <limits.h>
#include <stdbool.h>

/* Finds a library next to the program's file, or in ../lib/nnclr from there. False: it is in
 * neither. `folder` is the program's, empty if /proc does not say. */
bool nnclr_plugin_find(const char *name, char folder[PATH_MAX], char path[PATH_MAX]);

#endif
