#include "eval/map_picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "image/encode.h"
#include "image/font.h"
#include "image/resize.h"

enum {
    SIDE = 1200, /* width of the map, and the most of its height */
    MARGIN = 24,
    LEGEND = 220, /* its width, right of the map */
    THUMB = 36,   /* longer side of a picture, */
    FRAME = 3,    /* with its frame all around */
    CELL = THUMB + 2 * FRAME,
    CELLS = SIDE / CELL + 1,
    LINE = 2 * NNCLR_FONT_HEIGHT
};

typedef struct canvas {
    const nnclr_map_scene *scene;
    nnclr_map_legend legend;
    nnclr_image image;
    double low[2], scale; /* place -> pixel */
    int width, height;    /* of the map */
} canvas;

static void fill(nnclr_image *image, int left, int top, int width, int height,
                 const uint8_t color[3]) {
    for (int y = nnclr_max(top, 0); y < nnclr_min(top + height, image->height); y++)
        for (int x = nnclr_max(left, 0); x < nnclr_min(left + width, image->width); x++)
            memcpy(image->pixels + 3 * ((size_t)y * (size_t)image->width + (size_t)x), color, 3);
}

static void draw_dot(nnclr_image *image, int x, int y, int radius, const uint8_t color[3]) {
    for (int dy = -radius; dy <= radius; dy++) {
        const int half = (int)sqrt((radius + 0.5) * (radius + 0.5) - dy * dy);
        fill(image, x - half, y + dy, 2 * half + 1, 1, color);
    }
}

/* With room for a picture at the edges; y grows upwards. */
static void fit(canvas *c) {
    const nnclr_map *map = c->scene->map;
    double high[2] = {-INFINITY, -INFINITY};
    c->low[0] = c->low[1] = INFINITY;
    for (int64_t i = 0; i < 2 * map->count; i++) {
        c->low[i % 2] = fmin(c->low[i % 2], map->place[i]);
        high[i % 2] = fmax(high[i % 2], map->place[i]);
    }
    const double wide = high[0] - c->low[0], tall = high[1] - c->low[1];
    c->scale = (SIDE - CELL) / fmax(fmax(wide, tall), 1e-9);
    c->width = CELL + (int)lrint(wide * c->scale);
    c->height = CELL + (int)lrint(tall * c->scale);
}

static void place(const canvas *c, int64_t i, int *x, int *y) {
    const double *at = c->scene->map->place + 2 * i;
    *x = MARGIN + CELL / 2 + (int)lrint((at[0] - c->low[0]) * c->scale);
    *y = MARGIN + LINE + c->height - CELL / 2 - (int)lrint((at[1] - c->low[1]) * c->scale);
}

static void draw_dots(canvas *c) {
    const int64_t count = c->scene->map->count;
    const int radius = count > 4000 ? 2 : count > 1000 ? 3 : 5;
    for (int64_t i = 0; i < count; i++) {
        int x, y;
        place(c, i, &x, &y);
        draw_dot(&c->image, x, y, radius, nnclr_map_colors[c->legend.color[i]]);
    }
}

static bool draw_thumb(canvas *c, int64_t i, int x, int y, nnclr_error *e) {
    nnclr_image whole = {0}, small = {0};
    const int64_t record = c->scene->set->record[c->scene->map->row[i]];
    bool ok = nnclr_check_record(c->scene->shards, record, e) &&
              nnclr_record_picture(c->scene->shards, record, &whole, e) &&
              nnclr_shrink(&whole, THUMB, &small, e);
    if (ok) {
        const int left = x - small.width / 2, top = y - small.height / 2;
        fill(&c->image, left - FRAME, top - FRAME, small.width + 2 * FRAME,
             small.height + 2 * FRAME, nnclr_map_colors[c->legend.color[i]]);
        for (int row = 0; row < small.height; row++)
            memcpy(c->image.pixels +
                       3 * ((size_t)(top + row) * (size_t)c->image.width + (size_t)left),
                   small.pixels + 3 * (size_t)row * (size_t)small.width, 3 * (size_t)small.width);
    }
    nnclr_image_free(&small);
    nnclr_image_free(&whole);
    return ok;
}

/* Rows in their order, each unless an earlier picture is in its way. */
static bool draw_thumbs(canvas *c, nnclr_error *e) {
    const int64_t count = c->scene->map->count;
    int(*taken)[CELLS][2] = nnclr_alloc_zero(CELLS, sizeof *taken, e); /* 0: by nothing */
    bool ok = taken != NULL;
    for (int64_t i = 0; ok && i < count; i++) {
        int x, y;
        bool room = true;
        place(c, i, &x, &y);
        const int column = (x - MARGIN) / CELL, row = (y - MARGIN - LINE) / CELL;
        for (int r = nnclr_max(row - 1, 0); r <= nnclr_min(row + 1, CELLS - 1); r++)
            for (int k = nnclr_max(column - 1, 0); k <= nnclr_min(column + 1, CELLS - 1); k++)
                room = room && (taken[r][k][0] == 0 || abs(taken[r][k][0] - x) >= CELL ||
                                abs(taken[r][k][1] - y) >= CELL);
        if (!room)
            continue;
        taken[row][column][0] = x;
        taken[row][column][1] = y;
        ok = nnclr_progress_tell(c->scene->progress, "rows drawn", i, count, NULL, e) &&
             draw_thumb(c, i, x, y, e);
    }
    nnclr_free(taken);
    return ok;
}

static void write_line(canvas *c, int left, int line, const char *text) {
    const size_t most = (size_t)((c->image.width - left) / NNCLR_FONT_WIDTH);
    nnclr_draw_text(&c->image, left, MARGIN + line * LINE, text, nnclr_min(strlen(text), most));
}

static void draw_legend(canvas *c) {
    const int left = MARGIN + c->width + MARGIN;
    const bool labelled = nnclr_row_set_is_labelled(c->scene->set);
    char text[120];
    write_line(c, MARGIN, 0, c->scene->title);
    for (int i = 0; i <= c->legend.count; i++) {
        const bool other = i == c->legend.count;
        const nnclr_map_key *key = &c->legend.keys[i];
        if (other && c->legend.others == 0)
            continue;
        if (other)
            snprintf(text, sizeof text, "others: %lld", (long long)c->legend.others);
        else if (labelled)
            snprintf(text, sizeof text, "%s: %lld",
                     key->kind < (int64_t)c->scene->set->class_count
                         ? c->scene->set->classes[key->kind]
                         : "?",
                     (long long)key->rows);
        else
            snprintf(text, sizeof text, "group %lld: %lld", (long long)key->kind + 1,
                     (long long)key->rows);
        fill(&c->image, left, MARGIN + (i + 1) * LINE - 1, 12, 12,
             nnclr_map_colors[other ? NNCLR_MAP_COLORS : i]);
        write_line(c, left + LINE, i + 1, text);
    }
}

bool nnclr_map_picture(const nnclr_map_scene *scene, nnclr_buffer *png, nnclr_error *e) {
    canvas c = {.scene = scene};
    const int64_t *kind =
        nnclr_row_set_is_labelled(scene->set) ? scene->set->label : scene->groups->of;
    fit(&c);
    bool ok = nnclr_map_legend_make(scene->map, kind, &c.legend, e);
    const int lines = c.legend.count + 2;
    ok = ok && nnclr_image_create(&c.image, c.width + 3 * MARGIN + LEGEND,
                                  LINE + nnclr_max(c.height, lines * LINE) + 2 * MARGIN, e);
    if (ok) {
        memset(c.image.pixels, 255, (size_t)c.image.width * (size_t)c.image.height * 3);
        draw_dots(&c);
        draw_legend(&c);
        ok = (!scene->shards || draw_thumbs(&c, e)) && nnclr_encode_png(&c.image, png, e);
    }
    nnclr_image_free(&c.image);
    nnclr_map_legend_free(&c.legend);
    return ok;
}
