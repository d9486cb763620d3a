/* Values from one type or order to another. */
#include "engine/cuda/kernels/kernel.h"

KERNEL(convert) {
    EACH_OF_SPAN(i, p.count)
    store(p.to, i, load(p.from, i));
}

KERNEL(pack) {
    EACH_OF_SPAN(i, p.count) {
        const size_t ci = (size_t)p.ci, area = (size_t)p.area;
        const size_t channel = i % ci, tap = i / ci % area, o = i / ci / area;
        store(p.packed, i, p.oihw[(o * ci + channel) * area + tap]);
    }
}

KERNEL(unpack) {
    EACH_OF_SPAN(i, p.count) {
        const size_t ci = (size_t)p.ci, area = (size_t)p.area;
        const size_t tap = i % area, channel = i / area % ci, o = i / area / ci;
        const float from = p.packed[(o * area + tap) * ci + channel];
        p.oihw[i] = p.add ? p.oihw[i] + from : from;
    }
}
