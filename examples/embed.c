/* What a network says about one picture, a number a line: a program of your own on the library.
 *
 *     make examples
 *     build/obj/cc/examples/embed run/checkpoint.safetensors.zst photo.jpg
 *
 * nnclr-embed does this for many pictures, ahead of time and in batches. */
#include <stdio.h>

#include "base/files.h"
#include "base/memory.h"
#include "eval/embed.h"
#include "eval/frozen_network.h"
#include "image/augment.h"
#include "image/decode.h"

enum { FILE_LIMIT = 256 << 20 };

/* The picture as the network is shown it: [size][size][3], normalised. NULL on failure. */
static float *view_of(const char *path, const nnclr_evaluation_options *options, nnclr_error *e) {
    const nnclr_decode_limits limits = nnclr_decode_limits_default();
    const int64_t pixels = (int64_t)options->size * options->size;
    nnclr_buffer bytes = {0}, scratch = {0};
    nnclr_image image = {0};
    float *view = nnclr_alloc((size_t)pixels, 3 * sizeof *view, e);
    if (view && nnclr_file_read(path, FILE_LIMIT, &bytes, e) &&
        (nnclr_decode(bytes.data, bytes.size, &limits, &image, e) ||
         nnclr_fail_at(e, "%s", path)) &&
        nnclr_augment_evaluation(options->size, options->stretch, options->filter, &image, view,
                                 &scratch, e)) {
        nnclr_normalize(view, pixels, options->mean, options->std);
    } else {
        nnclr_free(view);
        view = NULL;
    }
    nnclr_image_free(&image);
    nnclr_buffer_free(&scratch);
    nnclr_buffer_free(&bytes);
    return view;
}

/* The `d` features of one view, which end in `row`. */
static bool features_of(nnclr_embedder *embedder, const float *view, float *row, int d,
                        nnclr_error *e) {
    nnclr_embedder_pack(embedder);
    if (!nnclr_embedder_rows(embedder, view, 1, row, e))
        return false;
    for (int i = 0; i < d; i++)
        printf("%.9g\n", row[i]);
    return fflush(stdout) == 0 || nnclr_fail_errno(e, "standard output");
}

int main(int argc, char **argv) {
    nnclr_frozen_network network = {0};
    nnclr_embedder *embedder = NULL;
    nnclr_error e = NNCLR_NO_ERROR;
    float *view = NULL, *row = NULL;
    bool ok = false;
    if (argc != 3) {
        fputs("usage: embed CHECKPOINT PICTURE\n", stderr);
        return 2;
    }
    if (nnclr_frozen_network_open(&network, argv[1], NULL, &e) &&
        nnclr_frozen_network_load(&network, false, 1, &e)) {
        const int cut = nnclr_network_find(network.list, "features");
        const int d = nnclr_network_value(network.list, (size_t)cut)->c;
        nnclr_evaluation_options options = nnclr_embed_view(&network.config, 1);
        options.batch = 1;
        ok = (view = view_of(argv[2], &options, &e)) &&
             (row = nnclr_alloc((size_t)d, sizeof *row, &e)) &&
             (embedder = nnclr_embedder_create(&network.parameters, cut, &options, &e)) &&
             features_of(embedder, view, row, d, &e);
    }
    if (!ok)
        fprintf(stderr, "embed: %s\n", e.message);
    nnclr_embedder_free(embedder);
    nnclr_free(row);
    nnclr_free(view);
    nnclr_frozen_network_close(&network);
    return ok ? 0 : 1;
}
