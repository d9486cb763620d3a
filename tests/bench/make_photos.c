/* Pictures that cost a decoder what photographs cost: detail of all scales with amplitudes that
 * fall as they do in nature, edges, and the grain of a sensor.
 *
 *     make_photos COUNT WIDTH HEIGHT FOLDER
 *
 * writes FOLDER/photo-NNNN.jpg, quality 90, the same ones every time. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/strings.h"
#include "image/encode.h"

enum { OCTAVES = 8, BLOBS = 12, QUALITY = 90, GRID = 1 << (OCTAVES - 1) };

typedef struct blob {
    double x, y, radius, flatness, color[3];
} blob;

/* Smooth noise of one scale: values on a grid, mixed linearly. */
static double noise(const float *grid, double x, double y, int cells) {
    double gx = x * cells, gy = y * cells;
    int column = (int)gx, row = (int)gy;
    double fx = gx - column, fy = gy - row;
    const float *at = grid + row % GRID * GRID, *below = grid + (row + 1) % GRID * GRID;
    int left = column % GRID, right = (column + 1) % GRID;
    return (1 - fy) * ((1 - fx) * (double)at[left] + fx * (double)at[right]) +
           fy * ((1 - fx) * (double)below[left] + fx * (double)below[right]);
}

static void draw(nnclr_rng *rng, const float *grid, nnclr_image *image) {
    blob blobs[BLOBS];
    double shift[OCTAVES];
    for (int i = 0; i < BLOBS; i++) {
        blobs[i] = (blob){nnclr_rng_float(rng),
                          nnclr_rng_float(rng),
                          nnclr_rng_uniform(rng, 0.05, 0.3),
                          nnclr_rng_uniform(rng, 0.5, 2),
                          {0}};
        for (int c = 0; c < 3; c++)
            blobs[i].color[c] = nnclr_rng_uniform(rng, 40, 220);
    }
    for (int i = 0; i < OCTAVES; i++)
        shift[i] = nnclr_rng_float(rng);
    uint8_t *pixel = image->pixels;
    double longer = image->width > image->height ? image->width : image->height;
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++, pixel += 3) {
            double u = x / longer, v = y / longer, light = 0, tint = 0;
            const double *color = (const double[]){110, 120, 130};
            for (int i = 0; i < BLOBS; i++)
                if (hypot(u - blobs[i].x, (v - blobs[i].y) * blobs[i].flatness) < blobs[i].radius)
                    color = blobs[i].color;
            for (int i = 0; i < OCTAVES; i++)
                light += noise(grid, u + shift[i], v + shift[i], 4 << i) * 40 * pow(0.62, i);
            tint = noise(grid, u + shift[1], v + shift[0], 6) * 25;
            double grain = (double)nnclr_rng_float(rng) * 16 - 8;
            for (int c = 0; c < 3; c++)
                pixel[c] = (uint8_t)fmin(fmax(color[c] + light + tint * (c - 1) + grain, 0), 255);
        }
}

static bool write_file(const char *path, const nnclr_buffer *bytes, nnclr_error *e) {
    nnclr_output *output = nnclr_output_open(path, e);
    if (!output)
        return false;
    if (nnclr_output_write(output, bytes->data, bytes->size, e))
        return nnclr_output_commit(output, e);
    nnclr_output_abandon(output);
    return false;
}

static bool make_all(int count, int width, int height, const char *folder, nnclr_error *e) {
    static float grid[GRID * GRID];
    nnclr_rng rng = nnclr_rng_at(1, NNCLR_DRAW_EXAMPLE, 0, 0, 0);
    for (int i = 0; i < GRID * GRID; i++)
        grid[i] = 2 * nnclr_rng_float(&rng) - 1;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return nnclr_fail_errno(e, "%s", folder);
    nnclr_image image;
    nnclr_buffer bytes = {0};
    bool ok = nnclr_image_create(&image, width, height, e);
    for (int i = 0; ok && i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/photo-%04d.jpg", folder, i);
        draw(&rng, grid, &image);
        bytes.size = 0;
        ok = nnclr_encode_jpeg(&image, QUALITY, &bytes, e) && write_file(path, &bytes, e);
    }
    nnclr_buffer_free(&bytes);
    nnclr_image_free(&image);
    return ok;
}

int main(int argc, char **argv) {
    int64_t number[3];
    bool fit = argc == 5;
    for (int i = 0; fit && i < 3; i++)
        fit = nnclr_parse_int(argv[i + 1], 1, 20000, &number[i]);
    if (!fit) {
        fprintf(stderr, "usage: make_photos COUNT WIDTH HEIGHT FOLDER\n");
        return 2;
    }
    nnclr_error e = NNCLR_NO_ERROR;
    if (make_all((int)number[0], (int)number[1], (int)number[2], argv[4], &e))
        return 0;
    fprintf(stderr, "make_photos: %s\n", e.message);
    return 1;
}
