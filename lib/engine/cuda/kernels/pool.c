/* Max-pool 3x3 stride 2 pad 1, and the mean over a picture. */
#include "engine/cuda/kernels/kernel.h"

/* The part of an output pixel's window inside the picture, along one axis. */
DEVICE void window(int out, int size, int *from, int *until) {
    *from = 2 * out - 1 < 0 ? 0 : 2 * out - 1;
    *until = 2 * out + 2 > size ? size : 2 * out + 2;
}

/* The first of a window's largest, as a pixel of the picture whose values of a channel begin at
 * `first`. */
DEVICE int find_largest(const maxpool_call *p, size_t first, int oy, int ox, float *largest) {
    int y0, y1, x0, x1, where = -1;
    window(oy, p->h, &y0, &y1);
    window(ox, p->w, &x0, &x1);
    *largest = 0;
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++) {
            const float value = load(p->x, first + (size_t)(y * p->w + x) * (size_t)p->c);
            if (where < 0 || value > *largest) {
                *largest = value;
                where = y * p->w + x;
            }
        }
    return where;
}

/* Where a picture's values of a channel begin; `area` pixels, of which i is in one. */
DEVICE size_t channel_of(const maxpool_call *p, size_t i, int area) {
    const size_t c = (size_t)p->c, picture = i / c / (size_t)area;
    return picture * (size_t)(p->h * p->w) * c + i % c;
}

KERNEL(maxpool) {
    EACH_OF_SPAN(i, p.count) {
        const int pixel = (int)(i / (size_t)p.c % (size_t)(p.out_h * p.out_w));
        float largest;
        (void)find_largest(&p, channel_of(&p, i, p.out_h * p.out_w), pixel / p.out_w,
                           pixel % p.out_w, &largest);
        store(p.y, i, largest);
    }
}

/* Each pixel asks the windows that it is in, so nothing is added to by two at once. */
KERNEL(maxpool_back) {
    EACH_OF_SPAN(i, p.count) {
        const size_t c = (size_t)p.c, first = channel_of(&p, i, p.h * p.w);
        const int pixel = (int)(i / c % (size_t)(p.h * p.w)), y = pixel / p.w, x = pixel % p.w;
        const size_t picture = i / c / (size_t)(p.h * p.w);
        float sum = 0, largest;
        for (int oy = y / 2; oy <= (y + 1) / 2 && oy < p.out_h; oy++)
            for (int ox = x / 2; ox <= (x + 1) / 2 && ox < p.out_w; ox++)
                if (find_largest(&p, first, oy, ox, &largest) == pixel)
                    sum += load(p.y, ((picture * (size_t)p.out_h + (size_t)oy) * (size_t)p.out_w +
                                      (size_t)ox) *
                                             c +
                                         i % c);
        store(p.dx, i, p.add ? load(p.dx, i) + sum : sum);
    }
}

KERNEL(average) {
    EACH_OF_SPAN(i, p.count) {
        const size_t c = (size_t)p.c, first = i / c * (size_t)p.pixels * c + i % c;
        double sum = 0;
        for (int pixel = 0; pixel < p.pixels; pixel++)
            sum += (double)load(p.x, first + (size_t)pixel * c);
        p.mean[i] = (float)(sum / p.pixels);
    }
}

KERNEL(average_back) {
    EACH_OF_SPAN(i, p.count) {
        const size_t c = (size_t)p.c, picture = i / c / (size_t)p.pixels;
        const float dx = p.mean[picture * c + i % c] / (float)p.pixels;
        store(p.x, i, p.add ? load(p.x, i) + dx : dx);
    }
}
