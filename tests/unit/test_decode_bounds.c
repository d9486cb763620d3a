/* What decoding costs: no file makes it take more memory or time than the header states. Each
 * picture is decoded in a process of its own, whose largest memory the system counts. */
#include "check.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"
#include "image/decode.h"
#include "image/encode.h"
#include "tests/unit/jpeg_variants.h"

static nnclr_error e; /* of the call that is checked */

enum { SECONDS = 20 };

/* A sanitiser keeps books of its own, and memory that was freed. */
#ifdef SANITIZED
enum { TIMES = 2, FIXED = 48 << 20 };
#else
enum { TIMES = 1, FIXED = NNCLR_DECODE_BYTES };
#endif

typedef struct cost {
    bool read;
    long pixels; /* 0 if it was not read */
    long bytes;  /* of memory, in addition to what the encoded bytes take */
} cost;

typedef struct answer {
    bool read;
    long pixels;
} answer;

static answer decode_once(const nnclr_buffer *bytes) {
    nnclr_decode_limits limits = nnclr_decode_limits_default();
    nnclr_image image = {0};
    answer a = {.read = nnclr_decode(bytes->data, bytes->size, &limits, &image, &e)};
    a.pixels = (long)image.width * image.height;
    nnclr_image_free(&image);
    return a;
}

/* `bytes` NULL: what a process that does nothing takes. */
static long run_apart(const nnclr_buffer *bytes, const char *name, answer *a) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(SECONDS);
        answer done = bytes ? decode_once(bytes) : (answer){0};
        _exit(write(ends[1], &done, sizeof done) == (ssize_t)sizeof done ? 0 : 1);
    }
    close(ends[1]);
    bool answered = read(ends[0], a, sizeof *a) == (ssize_t)sizeof *a;
    close(ends[0]);
    int status;
    struct rusage usage;
    CHECK(wait4(child, &status, 0, &usage) == child);
    CHECK_SAYS(answered && WIFEXITED(status) && WEXITSTATUS(status) == 0,
               "%s: ended with status %x", name, (unsigned)status);
    return usage.ru_maxrss * 1024;
}

static cost cost_of(const nnclr_buffer *bytes, const char *name) {
    answer a;
    long before = run_apart(NULL, name, &a), after = run_apart(bytes, name, &a);
    if (getenv("CHECK_VERBOSE"))
        printf("# %s: %s, %ld pixels, %.1f MB\n", name, a.read ? "read" : "refused", a.pixels,
               (double)(after - before) / 1e6);
    return (cost){a.read, a.pixels, after - before};
}

static void check_cost(const cost *c, const char *name) {
    long bound = TIMES * NNCLR_DECODE_PIXEL_BYTES * c->pixels + FIXED;
    CHECK_SAYS(c->bytes <= bound, "%s: took %ld bytes for %ld pixels, over the bound of %ld", name,
               c->bytes, c->pixels, bound);
}

/* What valgrind keeps next to the program counts as the program's. */
static void need_own_memory(void) {
    if (getenv("NNCLR_WRAP"))
        SKIP("the memory of NNCLR_WRAP would count too");
}

/* Those that are refused must not even have begun to take what they claim. */
TEST(takes_no_more_for_any_file_of_the_corpus) {
    need_own_memory();
    const char *data = getenv("NNCLR_TEST_DATA");
    if (!data)
        SKIP("NNCLR_TEST_DATA is not set");
    char path[5000];
    nnclr_buffer manifest = {0}, bytes = {0};
    snprintf(path, sizeof path, "%s/odd-images/MANIFEST.tsv", data);
    CHECK_OK(nnclr_file_read(path, 1 << 20, &manifest, &e));
    char *text = (char *)manifest.data, *line = strsep(&text, "\n");
    int files = 0;
    while ((line = strsep(&text, "\n")) && *line) {
        const char *name = strsep(&line, "\t");
        snprintf(path, sizeof path, "%s/odd-images/%s", data, name);
        CHECK_OK(nnclr_file_read(path, 1 << 24, &bytes, &e));
        cost c = cost_of(&bytes, name);
        check_cost(&c, name);
        files++;
    }
    CHECK_SAYS(files == 90, "%d files", files);
    nnclr_buffer_free(&bytes);
    nnclr_buffer_free(&manifest);
}

static nnclr_image make_picture(int width, int height) {
    nnclr_image image;
    CHECK_OK(nnclr_image_create(&image, width, height, &e));
    for (int i = 0; i < width * height * 3; i++)
        image.pixels[i] = (uint8_t)(i / 3 % width / 8 + i % 3 * 50 + i / 3 / width);
    return image;
}

/* The most expensive kinds: all coefficients in memory, four channels, turned. */
TEST(takes_no_more_a_pixel_for_any_kind) {
    need_own_memory();
    nnclr_image image = make_picture(2000, 1500);
    for (int i = 0; i < JPEG_VARIANTS; i++) {
        nnclr_buffer bytes = jpeg_variant_encode(&image, &jpeg_variants[i], 75);
        cost c = cost_of(&bytes, jpeg_variants[i].title);
        CHECK_SAYS(c.read && c.pixels == 3000000, "%s: was not read", jpeg_variants[i].title);
        check_cost(&c, jpeg_variants[i].title);
        nnclr_buffer_free(&bytes);
    }
    nnclr_buffer png = {0};
    CHECK_OK(nnclr_encode_png(&image, &png, &e));
    cost c = cost_of(&png, "PNG");
    CHECK(c.read);
    check_cost(&c, "PNG");
    nnclr_buffer_free(&png);
    nnclr_image_free(&image);
}

int main(void) {
    return check_all();
}
