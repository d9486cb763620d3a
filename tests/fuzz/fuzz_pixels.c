/* Files of many pictures as bare pixels: CIFAR-10, CIFAR-100, STL-10 and idx, with what is beside
 * them. Their sizes must fit to the byte, so an input says how to make them: the kind, the number
 * of records, by how many bytes the size is off, the length of the part beside (labels or names of
 * classes), that part, and the bytes that fill the records over and over. For idx, whose header
 * says what follows, the file is the bytes themselves. */
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "image/decode.h"
#include "image/picture_source.h"
#include "image/pixel_file.h"
#include "tests/fuzz/support.h"

enum { HEADER = 4, MOST_RECORDS = 4, FILE_LIMIT = 1 << 20 };

typedef struct kind {
    const char *file, *labels, *names;
    const nnclr_pixel_layout *layout; /* NULL: idx */
} kind;

static const kind kinds[] = {
    {"test_batch.bin", NULL, "batches.meta.txt", &nnclr_cifar10_layout},
    {"train.bin", NULL, "fine_label_names.txt", &nnclr_cifar100_layout},
    {"train_X.bin", "train_y.bin", "class_names.txt", &nnclr_stl10_layout},
    {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", NULL, NULL},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void remove_file(const char *name) {
    char path[4096];
    if (name && snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name) < (int)sizeof path)
        unlink(path);
}

static void write_records(const kind *k, size_t records, int off, const uint8_t *fill,
                          size_t size) {
    nnclr_error e = NNCLR_NO_ERROR;
    size_t bytes = records * k->layout->record;
    bytes = off < 0 && bytes == 0 ? 0 : bytes + (size_t)(ptrdiff_t)off;
    uint8_t *file = nnclr_alloc_zero(bytes + 1, 1, &e);
    FUZZ_REQUIRE(file);
    for (size_t i = 0; size > 0 && i < bytes; i++)
        file[i] = fill[i % size];
    fuzz_write(k->file, file, bytes);
    nnclr_free(file);
}

/* A set that is taken is sound: each of its pictures can be read. */
static void check_entries(nnclr_source *source) {
    const nnclr_decode_limits limits = nnclr_decode_limits_default();
    nnclr_buffer bytes = {0};
    for (size_t i = 0; i < nnclr_source_count(source); i++) {
        nnclr_error e = NNCLR_NO_ERROR;
        nnclr_image image = {0};
        nnclr_source_entry entry = nnclr_source_entry_at(source, i);
        FUZZ_REQUIRE(entry.label >= -1);
        FUZZ_REQUIRE(entry.label < (int64_t)nnclr_source_class_count(source));
        if (!strchr(entry.name, '/')) /* the file, taken for one picture that cannot be read */
            continue;
        FUZZ_OK(nnclr_source_read(source, i, &bytes, &e), &e);
        FUZZ_OK(nnclr_decode(bytes.data, bytes.size, &limits, &image, &e), &e);
        nnclr_image_free(&image);
    }
    nnclr_buffer_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < HEADER)
        return 0;
    const kind *k = &kinds[data[0] % KINDS];
    size_t beside = data[3] < size - HEADER ? data[3] : size - HEADER;
    const uint8_t *part = data + HEADER, *fill = part + beside;
    size_t fill_size = size - HEADER - beside;
    if (k->layout)
        write_records(k, data[1] % MOST_RECORDS, data[2] % 3 - 1, fill, fill_size);
    else
        fuzz_write(k->file, fill, fill_size);
    if (beside > 0)
        fuzz_write(k->labels ? k->labels : k->names, part, beside);
    nnclr_error e = NNCLR_NO_ERROR;
    const char *path = fuzz_folder();
    const nnclr_source_options options = {
        .inputs = &path, .input_count = 1, .file_limit = FILE_LIMIT};
    nnclr_source *source = nnclr_source_open(&options, &e);
    if (source)
        check_entries(source);
    else
        fuzz_refused(&e);
    nnclr_source_close(source);
    remove_file(k->file);
    remove_file(k->labels);
    remove_file(k->names);
    return 0;
}
