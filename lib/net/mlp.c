/* The heads: linear layers with batch norm and ReLU, numbered as in torch's Sequential of Linear,
 * BatchNorm1d, ReLU, Linear, ... */
#include <stdio.h>

#include "net/model.h"

int nnclr_mlp_build(nnclr_network *net, int x, const char *prefix, const int *widths, int count,
                    bool norm_last, nnclr_error *e) {
    int y = x;
    for (int i = 0; i < count; i++) {
        bool last = i == count - 1, norm = !last || norm_last;
        char name[64];
        snprintf(name, sizeof name, "%.40s.%d", prefix, 3 * i);
        y = nnclr_add_linear(net, y, name, widths[i], !norm, e);
        if (!norm)
            break;
        snprintf(name, sizeof name, "%.40s.%d", prefix, 3 * i + 1);
        y = nnclr_add_batchnorm(net, y, name, !last, -1, -1, NULL, e);
    }
    return y;
}
