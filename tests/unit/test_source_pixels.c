#include "tests/unit/scratch.h"

#include <zlib.h>

#include "image/decode.h"
#include "image/image.h"
#include "image/picture_source.h"

static nnclr_error e; /* of the call that is checked */

#define LENGTH(array) (sizeof(array) / sizeof *(array))

enum { CIFAR10 = 3073, CIFAR100 = 3074, SIDE = 32, STL_SIDE = 96, STL = 3 * 96 * 96 };

/* ---- files of many pictures ---- */

/* Any byte, by its place. */
static uint8_t noise(size_t picture, size_t x, size_t y, size_t plane) {
    uint32_t h = (uint32_t)(picture * 1000003 + x * 7919 + y * 104729 + plane * 15485863);
    h = (h ^ (h >> 13)) * 0x5bd1e995;
    return (uint8_t)(h >> 15);
}

static const uint8_t labels10[] = {6, 9, 9, 4, 1};

/* Picture `first` + i with label labels10[i]. */
static size_t fill_cifar(uint8_t *to, size_t first, size_t count, bool fine) {
    uint8_t *at = to;
    for (size_t i = 0; i < count; i++) {
        if (fine)
            *at++ = (uint8_t)(i * 4);
        *at++ = (uint8_t)(labels10[i] * (fine ? 11 : 1));
        for (size_t c = 0; c < 3; c++)
            for (size_t y = 0; y < SIDE; y++)
                for (size_t x = 0; x < SIDE; x++)
                    *at++ = noise(first + i, x, y, c);
    }
    return (size_t)(at - to);
}

static void write_cifar(const char *name, size_t first, size_t count, bool fine) {
    static uint8_t bytes[5 * CIFAR100];
    scratch_write(scratch(name), bytes, fill_cifar(bytes, first, count, fine));
}

static void write_text(const char *name, const char *text) {
    scratch_write(scratch(name), text, strlen(text));
}

static const char *const names10[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                      "dog",      "frog",       "horse", "ship", "truck"};
#define NAMES10 "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n"

/* The official layout, with 3, 2 and 4 pictures. */
static void make_cifar10(void) {
    CHECK(scratch_run("rm -rf c10 && mkdir c10"));
    write_text("c10/batches.meta.txt", NAMES10 "\n");
    write_text("c10/readme.html", "<html>no picture</html>");
    write_cifar("c10/data_batch_1.bin", 0, 3, false);
    write_cifar("c10/data_batch_2.bin", 3, 2, false);
    write_cifar("c10/test_batch.bin", 100, 4, false);
}

/* ---- what comes out ---- */

static nnclr_source *try_source(const char *input, const char *root) {
    const char *path = scratch(input);
    e = (nnclr_error)NNCLR_NO_ERROR;
    const nnclr_source_options options = {
        .inputs = &path, .input_count = 1, .root = root, .file_limit = 1000000};
    return nnclr_source_open(&options, &e);
}

static nnclr_source *open_source(const char *input, const char *root) {
    nnclr_source *source = try_source(input, root);
    CHECK_OK(source);
    return source;
}

/* The message of the refusal, without the scratch folder. */
static const char *refusal(const char *input, const char *root) {
    nnclr_source *source = try_source(input, root);
    CHECK_SAYS(!source, "%s: opened", input);
    size_t size = strlen(scratch_folder);
    return strncmp(e.message, scratch_folder, size) == 0 ? e.message + size + 1 : e.message;
}

static void check_entry(const nnclr_source *source, size_t i, const char *name, int64_t label) {
    nnclr_source_entry entry = nnclr_source_entry_at(source, i);
    CHECK_TEXT(entry.name, name);
    CHECK_SAYS(entry.label == label, "%s has label %lld", name, (long long)entry.label);
}

static void check_classes(const nnclr_source *source, const char *const *names, size_t count) {
    CHECK(nnclr_source_class_count(source) == count);
    for (size_t i = 0; i < count; i++)
        CHECK_TEXT(nnclr_source_class(source, i), names[i]);
}

/* Entry i shows `picture`, in `planes` planes. */
static void check_pixels(nnclr_source *source, size_t i, size_t picture, int side, size_t planes) {
    nnclr_buffer bytes = {0};
    nnclr_image image = {0};
    nnclr_decode_limits limits = nnclr_decode_limits_default();
    CHECK_OK(nnclr_source_read(source, i, &bytes, &e));
    CHECK(memcmp(bytes.data, "\x89PNG", 4) == 0);
    CHECK_OK(nnclr_decode(bytes.data, bytes.size, &limits, &image, &e));
    CHECK(image.width == side && image.height == side);
    const uint8_t *at = image.pixels;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++)
            for (size_t c = 0; c < 3; c++, at++) {
                uint8_t want = noise(picture, (size_t)x, (size_t)y, planes == 1 ? 0 : c);
                CHECK_SAYS(*at == want, "entry %zu at %d,%d plane %zu: %u, not %u", i, x, y, c, *at,
                           want);
            }
    nnclr_image_free(&image);
    nnclr_buffer_free(&bytes);
}

/* ---- CIFAR ---- */

TEST(reads_cifar_10) {
    make_cifar10();
    nnclr_source *source = open_source("c10", "train");
    CHECK(nnclr_source_count(source) == 5);
    check_classes(source, names10, 10);
    check_entry(source, 0, "data_batch_1.bin/000000", 6);
    check_entry(source, 2, "data_batch_1.bin/000002", 9);
    check_entry(source, 3, "data_batch_2.bin/000000", 6);
    check_entry(source, 4, "data_batch_2.bin/000001", 9);
    for (size_t i = 0; i < 5; i++)
        check_pixels(source, i, i, SIDE, 3);
    CHECK(!nnclr_source_mixes_parts(source));
    nnclr_source_close(source);
}

TEST(reads_cifar_100_by_its_fine_labels) {
    CHECK(scratch_run("rm -rf c100 && mkdir c100"));
    write_cifar("c100/train.bin", 0, 5, true);
    write_cifar("c100/test.bin", 50, 2, true);
    nnclr_source *source = open_source("c100", "train/");
    CHECK(nnclr_source_count(source) == 5);
    CHECK(nnclr_source_class_count(source) == 100);
    CHECK_TEXT(nnclr_source_class(source, 7), "7");
    for (size_t i = 0; i < 5; i++) {
        CHECK(nnclr_source_entry_at(source, i).label == labels10[i] * 11);
        check_pixels(source, i, i, SIDE, 3);
    }
    nnclr_source_close(source);
}

/* Records and labels are the same however they are asked for; names are what is below. */
TEST(finds_parts_by_every_way) {
    static const struct {
        const char *input, *root, *name;
    } ways[] = {
        {"c10", "test", "test_batch.bin/000000"},
        {"c10", "test_batch.bin", "test_batch.bin/000000"},
        {"c10/test_batch.bin", NULL, "test_batch.bin/000000"},
        {"c10/", "test//", "test_batch.bin/000000"},
        {"", "c10/test", "test_batch.bin/000000"},
        {"", "c10/test_batch.bin", "test_batch.bin/000000"},
        {"c10.tar.gz", "test", "c10/test_batch.bin/000000"},
        {"c10.tar.gz", "c10/test", "test_batch.bin/000000"},
        {"c10.tar.gz", "./c10//test/", "test_batch.bin/000000"},
        {"c10.tar.gz", "c10/test_batch.bin", "test_batch.bin/000000"},
        {"flat.tar", "test", "test_batch.bin/000000"},
        {"flat.tar", "test_batch.bin", "test_batch.bin/000000"},
        {"tar.bin", "c10/test", "test_batch.bin/000000"},
    };
    make_cifar10();
    CHECK(scratch_run(
        "tar -czf c10.tar.gz c10 && tar -C c10 -cf flat.tar . && cp c10.tar.gz tar.bin"));
    for (size_t i = 0; i < LENGTH(ways); i++) {
        nnclr_source *source = open_source(ways[i].input, ways[i].root);
        CHECK_SAYS(nnclr_source_count(source) == 4, "way %zu: %zu pictures", i,
                   nnclr_source_count(source));
        check_classes(source, names10, 10);
        check_entry(source, 0, ways[i].name, 6);
        check_entry(source, 3,
                    ways[i].name[0] == 'c' ? "c10/test_batch.bin/000003" : "test_batch.bin/000003",
                    4);
        check_pixels(source, 3, 103, SIDE, 3);
        CHECK(!nnclr_source_mixes_parts(source));
        nnclr_source_close(source);
    }
    CHECK(scratch_run("rm c10.tar.gz flat.tar tar.bin"));
}

TEST(takes_everything_without_a_root_and_says_so) {
    make_cifar10();
    CHECK(scratch_run("tar -cf c10.tar c10"));
    static const char *const inputs[] = {"c10", "c10.tar"};
    for (size_t i = 0; i < LENGTH(inputs); i++) {
        nnclr_source *source = open_source(inputs[i], NULL);
        CHECK(nnclr_source_count(source) == 9);
        CHECK(nnclr_source_mixes_parts(source));
        check_pixels(source, 4, 4, SIDE, 3);
        check_pixels(source, 5, 100, SIDE, 3);
        nnclr_source_close(source);
    }
    CHECK(scratch_run("rm c10/test_batch.bin"));
    nnclr_source *source = open_source("c10", NULL);
    CHECK(!nnclr_source_mixes_parts(source));
    nnclr_source_close(source);
}

TEST(names_classes_by_numbers_or_by_the_file_beside) {
    make_cifar10();
    CHECK(scratch_run("rm c10/batches.meta.txt"));
    static const char *const numbers[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    nnclr_source *source = open_source("c10/test_batch.bin", NULL);
    check_classes(source, numbers, 10);
    check_entry(source, 1, "test_batch.bin/000001", 9);
    nnclr_source_close(source);
    /* Labels follow the names, which are sorted. */
    write_text("c10/batches.meta.txt", "k\nj\ni\nh\ng\r\nf\ne\nd\nc\nb\na");
    source = open_source("c10/test_batch.bin", NULL);
    CHECK(nnclr_source_class_count(source) == 11);
    check_entry(source, 0, "test_batch.bin/000000", 4);
    CHECK_TEXT(nnclr_source_class(source, 4), "e");
    CHECK_TEXT(nnclr_source_class(source, 6), "g");
    nnclr_source_close(source);
}

/* ---- STL-10 and idx ---- */

TEST(reads_stl_10_down_its_columns) {
    static uint8_t bytes[2 * STL];
    uint8_t *at = bytes;
    for (size_t i = 0; i < 2; i++)
        for (size_t c = 0; c < 3; c++)
            for (size_t x = 0; x < STL_SIDE; x++)
                for (size_t y = 0; y < STL_SIDE; y++)
                    *at++ = noise(i, x, y, c);
    CHECK(scratch_run("rm -rf stl && mkdir stl"));
    scratch_write(scratch("stl/train_X.bin"), bytes, sizeof bytes);
    scratch_write(scratch("stl/unlabeled_X.bin"), bytes, STL);
    scratch_write(scratch("stl/train_y.bin"), "\x0a\x01", 2);
    write_text("stl/class_names.txt", NAMES10);
    CHECK(scratch_run("tar -cf stl.tar stl"));
    static const char *const inputs[] = {"stl", "stl/train_X.bin", "stl.tar"};
    for (size_t i = 0; i < LENGTH(inputs); i++) {
        nnclr_source *source = open_source(inputs[i], i == 1   ? NULL
                                                      : i == 0 ? "train"
                                                               : "stl/train");
        CHECK(nnclr_source_count(source) == 2);
        check_entry(source, 0, "train_X.bin/000000", 9);
        check_entry(source, 1, "train_X.bin/000001", 0);
        check_classes(source, names10, 10);
        check_pixels(source, 0, 0, STL_SIDE, 3);
        check_pixels(source, 1, 1, STL_SIDE, 3);
        nnclr_source_close(source);
    }
    nnclr_source *source = open_source("stl", "unlabeled");
    CHECK(nnclr_source_count(source) == 1 && nnclr_source_class_count(source) == 0);
    check_entry(source, 0, "unlabeled_X.bin/000000", -1);
    nnclr_source_close(source);

    scratch_write(scratch("stl/train_y.bin"), "\x0a\x00", 2);
    CHECK_TEXT(refusal("stl", "train"),
               "stl/train_y.bin: picture 1 has label 0, but labels of STL-10 are 1 to 10");
    scratch_write(scratch("stl/train_y.bin"), "\x0a", 1);
    CHECK_TEXT(refusal("stl", "train"),
               "stl/train_y.bin: 1 bytes, but 2 pictures need 2 of labels");
    scratch_write(scratch("stl/unlabeled_X.bin"), bytes, STL - 1);
    CHECK_TEXT(
        refusal("stl/unlabeled_X.bin", NULL),
        "stl/unlabeled_X.bin: 27647 bytes are not a whole number of pictures of STL-10 (27648 "
        "bytes each)");
}

enum { IDX_SIDE = 7 };

static size_t fill_idx(uint8_t *bytes, size_t count) {
    const uint8_t header[16] = {0, 0, 8, 3,        0, 0, 0, (uint8_t)count,
                                0, 0, 0, IDX_SIDE, 0, 0, 0, IDX_SIDE};
    memcpy(bytes, header, sizeof header);
    uint8_t *at = bytes + sizeof header;
    for (size_t i = 0; i < count; i++)
        for (size_t y = 0; y < IDX_SIDE; y++)
            for (size_t x = 0; x < IDX_SIDE; x++)
                *at++ = noise(i, x, y, 0);
    return (size_t)(at - bytes);
}

static void write_packed(const char *name, const void *bytes, size_t size) {
    gzFile file = gzopen(scratch(name), "wb");
    CHECK(file && gzwrite(file, bytes, (unsigned)size) == (int)size && gzclose(file) == Z_OK);
}

TEST(reads_idx_also_packed) {
    uint8_t bytes[1000];
    static const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 9, 3};
    CHECK(scratch_run("rm -rf idx && mkdir idx"));
    size_t size = fill_idx(bytes, 2);
    scratch_write(scratch("idx/t10k-images-idx3-ubyte"), bytes, size);
    scratch_write(scratch("idx/t10k-labels-idx1-ubyte"), labels, sizeof labels);
    write_packed("idx/train-images-idx3-ubyte.gz", bytes, size);
    write_packed("idx/train-labels-idx1-ubyte.gz", labels, sizeof labels);
    static const char *const ways[][2] = {{"idx", "train"},
                                          {"idx", "test"},
                                          {"idx/train-images-idx3-ubyte.gz", NULL},
                                          {"idx/t10k-images-idx3-ubyte", NULL}};
    for (size_t i = 0; i < LENGTH(ways); i++) {
        nnclr_source *source = open_source(ways[i][0], ways[i][1]);
        CHECK(nnclr_source_count(source) == 2 && nnclr_source_class_count(source) == 10);
        CHECK(nnclr_source_entry_at(source, 0).label == 9);
        CHECK(nnclr_source_entry_at(source, 1).label == 3);
        check_pixels(source, 1, 1, IDX_SIDE, 1);
        nnclr_source_close(source);
    }

    scratch_write(scratch("idx/t10k-images-idx3-ubyte"), bytes, size - 1);
    CHECK_TEXT(refusal("idx", "test"),
               "idx/t10k-images-idx3-ubyte: 113 bytes, but its header says 2 pictures of 7 x 7");
    bytes[7] = 0xff; /* many more than there are */
    bytes[4] = 0xff;
    scratch_write(scratch("idx/t10k-images-idx3-ubyte"), bytes, size);
    CHECK(strstr(refusal("idx", "test"), "its header says 4278190335 pictures"));
    bytes[10] = 0xff;
    scratch_write(scratch("idx/t10k-images-idx3-ubyte"), bytes, size);
    CHECK(strstr(refusal("idx", "test"), "an idx file of pictures of 7 x 65287, but sides"));
    bytes[2] = 0x0d; /* floats */
    scratch_write(scratch("idx/t10k-images-idx3-ubyte"), bytes, size);
    CHECK(strstr(refusal("idx", "test"), "not an idx file of gray pictures"));
    scratch_write(scratch("idx/t10k-images-idx3-ubyte"), bytes, 10);
    CHECK(strstr(refusal("idx", "test"), "t10k-images-idx3-ubyte"));
    scratch_write(scratch("idx/train-images-idx3-ubyte.gz"), "\x1f\x8b\x08 cut", 7);
    CHECK(strstr(refusal("idx", "train"), "train-images-idx3-ubyte.gz"));
}

/* An archive may have names that no file could have. */
TEST(finds_labels_under_names_of_any_length) {
    char command[600], name[400] = "";
    memset(name, 'x', 300);
    CHECK(scratch_run("rm -rf long && mkdir long"));
    uint8_t bytes[1000];
    scratch_write(scratch("long/-images-idx3-ubyte"), bytes, fill_idx(bytes, 2));
    static const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 3, 1};
    scratch_write(scratch("long/-labels-idx1-ubyte"), labels, sizeof labels);
    snprintf(command, sizeof command, "tar -C long -cf long.tar --transform 's,^[.]/-,%s-,' .",
             name);
    CHECK(scratch_run(command));
    nnclr_source *source = open_source("long.tar", NULL);
    CHECK(nnclr_source_count(source) == 2);
    strcat(name, "-images-idx3-ubyte/000000");
    check_entry(source, 0, name, 3);
    nnclr_source_close(source);
}

/* ---- refusals ---- */

TEST(refuses_what_is_not_whole) {
    static uint8_t bytes[5 * CIFAR100];
    make_cifar10();
    size_t size = fill_cifar(bytes, 0, 3, false);
    scratch_write(scratch("c10/data_batch_2.bin"), bytes, size - 1);
    static const char *const cut =
        "9218 bytes are not a whole number of pictures of CIFAR-10 (3073 "
        "bytes each) or CIFAR-100 (3074)";
    char want[300];
    snprintf(want, sizeof want, "c10/data_batch_2.bin: %s", cut);
    CHECK_TEXT(refusal("c10", NULL), want);
    CHECK_TEXT(refusal("c10", "train"), want);
    CHECK_TEXT(refusal("c10/data_batch_2.bin", NULL), want);
    CHECK(scratch_run("tar -cf cut.tar c10"));
    CHECK_TEXT(refusal("cut.tar", NULL), want);
    nnclr_source_close(open_source("c10", "test"));

    scratch_write(scratch("c10/data_batch_2.bin"), "", 0);
    CHECK_TEXT(refusal("c10", NULL), "c10/data_batch_2.bin: is empty");
    bytes[CIFAR10] = 10;
    scratch_write(scratch("c10/data_batch_2.bin"), bytes, size);
    CHECK_TEXT(refusal("c10", "train"),
               "c10/data_batch_2.bin: picture 1 has label 10, but labels of CIFAR-10 are 0 to 9");
    CHECK_TEXT(refusal("c10", "unlabeled") + strlen("c10/"),
               "unlabeled: no such folder; --root takes one that lies below the input");
    CHECK_TEXT(refusal("cut.tar", "unlabeled") + strlen("cut.tar: "),
               "no files there below unlabeled; --root takes a folder of it, and it holds "
               "c10/batches.meta.txt");

    size = fill_cifar(bytes, 0, 3, true);
    bytes[2 * CIFAR100] = 20;
    scratch_write(scratch("x.bin"), bytes, size);
    CHECK_TEXT(refusal("x.bin", NULL),
               "x.bin: picture 2 has coarse label 20, but those of CIFAR-100 are 0 to 19");
}

TEST(refuses_bad_names_of_classes) {
    static const char *const bad[][2] = {
        {"a\nb\na\n", "lines 1 and 3 name the same class"},
        {"a\n\nb\n", "line 2 is not the name of a class"},
        {"\n\n", "names no class"},
        {"a\nb\n", "picture 0 has label 6, but labels of CIFAR-10 are 0 to 1"},
    };
    make_cifar10();
    for (size_t i = 0; i < LENGTH(bad); i++) {
        write_text("c10/batches.meta.txt", bad[i][0]);
        const char *why = refusal("c10/test_batch.bin", NULL);
        CHECK_SAYS(strstr(why, bad[i][1]), "%s", why);
    }
    scratch_write(scratch("c10/batches.meta.txt"), "a\0b\n", 4);
    CHECK(strstr(refusal("c10/test_batch.bin", NULL), "line 1 is not the name of a class"));
    char many[2 * 257];
    for (size_t i = 0; i < sizeof many; i++)
        many[i] = i % 2 ? '\n' : (char)(i / 2 + 1 == '\n' ? '\t' : i / 2 + 1);
    scratch_write(scratch("c10/batches.meta.txt"), many, sizeof many);
    const char *why = refusal("c10/test_batch.bin", NULL);
    CHECK_SAYS(strstr(why, "batches.meta.txt"), "%s", why);
}

TEST(keeps_pictures_and_sets_apart) {
    make_cifar10();
    write_text("c10/stray.jpg", "\xff\xd8\xff\xe0 picture");
    CHECK_TEXT(refusal("c10", NULL), "stray.jpg: is a picture among files of CIFAR-10; give one of "
                                     "the two, or name the files");
    nnclr_source *source = open_source("c10", "test"); /* named */
    CHECK(nnclr_source_count(source) == 4);
    nnclr_source_close(source);

    /* Among pictures, a file that is not a set is one that cannot be read. */
    CHECK(scratch_run("rm -rf photos && mkdir -p photos/cat && mkfifo photos/cat/fifo.bin"));
    write_text("photos/cat/1.jpg", "\xff\xd8\xff\xe0 picture");
    write_text("photos/cat/x.bin", "something else");
    source = open_source("photos", NULL);
    CHECK(nnclr_source_count(source) == 3);
    check_entry(source, 0, "cat/1.jpg", 0);
    check_entry(source, 2, "cat/x.bin", 0);
    nnclr_source_close(source);
}

TEST(says_that_a_file_was_cut_meanwhile) {
    make_cifar10();
    nnclr_source *source = open_source("c10", "test");
    CHECK(truncate(scratch("c10/test_batch.bin"), 2 * CIFAR10) == 0);
    nnclr_buffer bytes = {0};
    CHECK_OK(nnclr_source_read(source, 1, &bytes, &e));
    CHECK_FAILS(nnclr_source_read(source, 2, &bytes, &e), "test_batch.bin: ends at byte 6147");
    nnclr_buffer_free(&bytes);
    nnclr_source_close(source);
}

int main(void) {
    return check_all();
}
