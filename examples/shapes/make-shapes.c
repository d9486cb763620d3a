/* make-shapes: draws labelled pictures of ten shapes, half of them JPEG, half PNG.
 *
 * What must not matter is within what the augmentation of the tiny preset removes: position and
 * size (the crop), brightness, contrast, saturation and hue (the jitter; they are varied by its own
 * operators), mirror images (the flip). What belongs to the class varies continuously and outside
 * of that: angle, aspect, and one deformation per class. No view of a picture shows these
 * differently, so only a neighbour can say that they do not matter. The backgrounds are a few
 * textures that all classes share: with many, the nearest neighbour of a picture would be one with
 * the same background. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/strings.h"
#include "image/augment.h"
#include "image/encode.h"

enum { OVERSAMPLE = 4, TEXTURES = 4, JPEG_QUALITY = 90 };

static const double PI = 3.14159265358979323846;

/* ---- the shapes ----
 *
 * Each answers whether a point is inside, in coordinates in which the shape roughly fills the
 * circle of radius 1; `v` in [0,1] is its deformation. None is the mirror image of another. */

static bool in_bars(double x, double y, double v) {
    double centre = y > 0.33 ? 0.66 : y < -0.33 ? -0.66 : 0;
    return fabs(x) < 0.9 && fabs(y - centre) < 0.11 + 0.1 * v;
}

static bool in_crescent(double x, double y, double v) {
    return hypot(x, y) < 1 && hypot(x - 0.4 - 0.3 * v, y) > 0.85;
}

static bool in_cross(double x, double y, double v) {
    return fmax(fabs(x), fabs(y)) < 0.95 && fmin(fabs(x), fabs(y)) < 0.14 + 0.14 * v;
}

static bool in_disc(double x, double y, double v) {
    return hypot(x, y) < 1 - 0.12 * v * (1 + cos(3 * atan2(y, x)));
}

static bool in_dots(double x, double y, double v) {
    double turn = atan2(y, x) / (2 * PI) * 6, nearest = round(turn) * 2 * PI / 6;
    return hypot(x - 0.72 * cos(nearest), y - 0.72 * sin(nearest)) < 0.18 + 0.12 * v;
}

static bool in_gear(double x, double y, double v) {
    double radius = hypot(x, y);
    return radius < (cos(8 * atan2(y, x)) > 0 ? 1 : 0.72) && radius > 0.2 + 0.2 * v;
}

static bool in_ring(double x, double y, double v) {
    double radius = hypot(x, y);
    return radius < 1 && radius > 0.75 - 0.2 * v;
}

static bool in_square(double x, double y, double v) {
    return fabs(y) < 0.8 && fabs(x) < 0.8 - 0.25 * v * (y + 0.8);
}

/* Between a tip (radius 1) and the next notch the outline is a straight line. */
static bool in_star(double x, double y, double v) {
    double step = PI / 5, notch = 0.3 + 0.15 * v;
    double angle = fabs(remainder(atan2(y, x), 2 * step));
    return hypot(x, y) < notch * sin(step) / (sin(angle) + notch * sin(step - angle));
}

static bool in_triangle(double x, double y, double v) {
    double apex = 0.5 * v, left = -0.9, right = 0.9, height = (y + 0.75) / 1.6;
    return height > 0 && x > left + (apex - left) * height && x < right + (apex - right) * height;
}

typedef struct shape {
    const char *name;
    bool (*inside)(double x, double y, double v);
} shape;

static const shape shapes[] = {
    {"bars", in_bars}, {"crescent", in_crescent}, {"cross", in_cross}, {"disc", in_disc},
    {"dots", in_dots}, {"gear", in_gear},         {"ring", in_ring},   {"square", in_square},
    {"star", in_star}, {"triangle", in_triangle},
};

enum { SHAPES = sizeof shapes / sizeof *shapes };

/* ---- one picture ---- */

/* How a shape is placed in its picture; lengths are shares of the picture's side. */
typedef struct placement {
    double x, y, radius, cosine, sine, aspect, deformation;
    double texture_x, texture_y;
    int texture;
} placement;

static placement place(nnclr_rng *rng) {
    double angle = nnclr_rng_uniform(rng, 0, 2 * PI);
    return (placement){
        .x = nnclr_rng_uniform(rng, 0.32, 0.68),
        .y = nnclr_rng_uniform(rng, 0.32, 0.68),
        .radius = nnclr_rng_uniform(rng, 0.26, 0.42),
        .cosine = cos(angle),
        .sine = sin(angle),
        .aspect = nnclr_rng_uniform(rng, 0.7, 1),
        .deformation = nnclr_rng_float(rng),
        .texture_x = nnclr_rng_float(rng),
        .texture_y = nnclr_rng_float(rng),
        .texture = (int)nnclr_rng_below(rng, TEXTURES),
    };
}

static bool covers(const shape *s, const placement *p, double x, double y) {
    double dx = (x - p->x) / p->radius, dy = (y - p->y) / p->radius;
    double across = dx * p->cosine + dy * p->sine, along = dy * p->cosine - dx * p->sine;
    return s->inside(across / p->aspect, along, p->deformation);
}

/* In [-1, 1]. */
static double texture_at(const placement *p, double x, double y) {
    double a = sin(2 * PI * (5 * x + p->texture_x)), b = sin(2 * PI * (5 * y + p->texture_y));
    switch (p->texture) {
    case 0:
        return 0;
    case 1:
        return sin(2 * PI * (4 * (x + y) + p->texture_x));
    case 2:
        return a * b > 0 ? 0.8 : -0.8;
    default:
        return a * b;
    }
}

/* Share of the pixel at (column, row) that the shape covers, and the texture there. */
static double coverage(const shape *s, const placement *p, int column, int row, int size) {
    int hits = 0;
    for (int i = 0; i < OVERSAMPLE * OVERSAMPLE; i++) {
        double x = (column + (i % OVERSAMPLE + 0.5) / OVERSAMPLE) / size;
        double y = (row + (double)(i / OVERSAMPLE) / OVERSAMPLE + 0.5 / OVERSAMPLE) / size;
        hits += covers(s, p, x, y);
    }
    return (double)hits / (OVERSAMPLE * OVERSAMPLE);
}

static void draw(const shape *s, nnclr_rng *rng, int size, float *rgb) {
    static const double ground[3] = {0.25, 0.32, 0.45}, figure[3] = {0.85, 0.65, 0.4};
    placement p = place(rng);
    for (int i = 0; i < size * size; i++) {
        int column = i % size, row = i / size;
        double cover = coverage(s, &p, column, row, size);
        double shade = 1 + 0.25 * texture_at(&p, (column + 0.5) / size, (row + 0.5) / size);
        for (int c = 0; c < 3; c++)
            rgb[3 * i + c] = (float)(cover * figure[c] + (1 - cover) * ground[c] * shade);
    }
    nnclr_adjust_brightness(rgb, size * size, nnclr_rng_uniform(rng, 0.8, 1.2));
    nnclr_adjust_contrast(rgb, size * size, nnclr_rng_uniform(rng, 0.8, 1.2));
    nnclr_adjust_saturation(rgb, size * size, nnclr_rng_uniform(rng, 0.9, 1.1));
    nnclr_adjust_hue(rgb, size * size, nnclr_rng_uniform(rng, -0.05, 0.05));
}

/* ---- files ---- */

typedef struct maker {
    const char *folder;
    int size;
    uint64_t seed, made;
    float *rgb;
    nnclr_image image;
    nnclr_buffer bytes;
} maker;

static bool make_folder(const char *path, nnclr_error *e) {
    return mkdir(path, 0777) == 0 || errno == EEXIST || nnclr_fail_errno(e, "%s", path);
}

static bool make_picture(maker *m, const char *part, int label, int index, nnclr_error *e) {
    const shape *s = &shapes[label];
    bool jpeg = index % 2 == 0;
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s/%s/%04d.%s", m->folder, part, s->name, index,
                          jpeg ? "jpg" : "png");
    if (length >= (int)sizeof path)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: the name is too long", m->folder);

    nnclr_rng rng = nnclr_rng_at(m->seed, NNCLR_DRAW_EXAMPLE, 0, m->made++, 0);
    draw(s, &rng, m->size, m->rgb);
    for (int i = 0; i < m->size * m->size * 3; i++)
        m->image.pixels[i] = (uint8_t)lrintf(fminf(fmaxf(m->rgb[i], 0), 1) * 255);
    m->bytes.size = 0;
    if (!(jpeg ? nnclr_encode_jpeg(&m->image, JPEG_QUALITY, &m->bytes, e)
               : nnclr_encode_png(&m->image, &m->bytes, e)))
        return false;

    nnclr_output *output = nnclr_output_open(path, e);
    if (!output)
        return false;
    if (!nnclr_output_write(output, m->bytes.data, m->bytes.size, e)) {
        nnclr_output_abandon(output);
        return false;
    }
    return nnclr_output_commit(output, e);
}

static bool make_part(maker *m, const char *part, int count, nnclr_error *e) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", m->folder, part);
    if (!make_folder(path, e))
        return false;
    for (int label = 0; label < SHAPES; label++) {
        snprintf(path, sizeof path, "%s/%s/%s", m->folder, part, shapes[label].name);
        if (!make_folder(path, e))
            return false;
        for (int i = 0; i < count; i++)
            if (!make_picture(m, part, label, i, e))
                return false;
    }
    return true;
}

static bool make_all(maker *m, int train, int test, nnclr_error *e) {
    m->rgb = nnclr_alloc((size_t)m->size * (size_t)m->size * 3, sizeof *m->rgb, e);
    bool good = m->rgb && nnclr_image_create(&m->image, m->size, m->size, e) &&
                make_folder(m->folder, e) && make_part(m, "train", train, e) &&
                make_part(m, "test", test, e);
    nnclr_buffer_free(&m->bytes);
    nnclr_image_free(&m->image);
    nnclr_free(m->rgb);
    return good;
}

static int usage(const char *why) {
    fprintf(stderr,
            "make-shapes: %s\n"
            "usage: make-shapes [--count N] [--test N] [--size S] [--seed S] FOLDER\n"
            "  --count N  training pictures per class (default: 100)\n"
            "  --test N   test pictures per class (default: 20)\n"
            "  --size S   side of the pictures, pixels (default: 48)\n"
            "  --seed S   another seed gives other pictures (default: 1)\n",
            why);
    return 2;
}

int main(int argc, char **argv) {
    int64_t count = 100, test = 20, size = 48, seed = 1;
    const struct {
        const char *name;
        int64_t *target, low, high;
    } options[] = {
        {"--count", &count, 1, 9999},
        {"--test", &test, 0, 9999},
        {"--size", &size, 8, 1024},
        {"--seed", &seed, 0, INT64_MAX},
    };
    int at = 1;
    for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
        size_t k = 0, all = sizeof options / sizeof *options;
        while (k < all && strcmp(argv[at], options[k].name) != 0)
            k++;
        if (k == all)
            return usage("no such option");
        if (!nnclr_parse_int(argv[at + 1], options[k].low, options[k].high, options[k].target))
            return usage("not a number that is allowed there");
    }
    if (at + 1 != argc || argv[at][0] == '-')
        return usage("give one folder");

    maker m = {.folder = argv[at], .size = (int)size, .seed = (uint64_t)seed};
    nnclr_error e = NNCLR_NO_ERROR;
    if (!make_all(&m, (int)count, (int)test, &e)) {
        fprintf(stderr, "make-shapes: %s\n", e.message);
        return 1;
    }
    return 0;
}
