/* A contact sheet of views: each picture as it is, then its two views with what was drawn for
 * them. */
#ifndef NNCLR_IMAGE_VIEW_SHEET_H
#define NNCLR_IMAGE_VIEW_SHEET_H

#include "image/views_file.h"

/* Appends a PNG to `png`; only what the views depend on counts in the request. */
bool nnclr_view_sheet(nnclr_shard_set *set, const nnclr_views_request *request, const char *title,
                      nnclr_buffer *png, nnclr_error *e);

#endif
