/* A map as a picture: each row a dot in the colour of its class, or of its group if the rows have
 * no labels; with shards, pictures wherever there is room for them; and a legend. */
#ifndef NNCLR_EVAL_MAP_PICTURE_H
#define NNCLR_EVAL_MAP_PICTURE_H

#include "eval/map.h"

typedef struct nnclr_map_scene {
    const nnclr_row_set *set;
    const nnclr_map *map;
    const nnclr_groups *groups;
    nnclr_shard_set *shards; /* NULL: dots alone */
    const char *title;
    const nnclr_progress *progress;
} nnclr_map_scene;

/* Appends a PNG file. */
bool nnclr_map_picture(const nnclr_map_scene *scene, nnclr_buffer *png, nnclr_error *e);

#endif
