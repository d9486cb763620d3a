#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"
#include "image/picture_source.h"
#include "tests/unit/scratch.h"

static nnclr_error e; /* of the call that is checked */

/* ---- folders and archives to read ---- */

/* With the folders on its way; names are relative to the folder of scratch.h. */
static void write_file(const char *name, const void *bytes, size_t size) {
    char path[500];
    snprintf(path, sizeof path, "%s", name);
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0777);
        *slash = '/';
    }
    scratch_write(path, bytes, size);
}

/* Content that begins as a picture does, and tells the file. */
static const char *content_of(const char *name) {
    static char text[300];
    snprintf(text, sizeof text, "P6 %s", name);
    return text;
}

static void put_file(const char *name) {
    const char *content = content_of(name);
    write_file(name, content, strlen(content));
}

/* A ustar member; `link`: a hard link to it. */
static void add_member(nnclr_buffer *tar, const char *name, const char *link, const char *data) {
    char header[512] = {0};
    size_t size = link ? 0 : strlen(data);
    strncpy(header, name, 100);
    memcpy(header + 100, "0000644", 8);
    memcpy(header + 108, "0000000", 8);
    memcpy(header + 116, "0000000", 8);
    char octal[24];
    snprintf(octal, sizeof octal, "%011zo", size);
    memcpy(header + 124, octal, 12);
    memcpy(header + 136, "00000000000", 12);
    memset(header + 148, ' ', 8);
    header[156] = link ? '1' : '0';
    if (link)
        strncpy(header + 157, link, 100);
    memcpy(header + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof header; i++)
        sum += (unsigned char)header[i];
    snprintf(header + 148, 8, "%06o", sum);
    CHECK_OK(nnclr_buffer_append(tar, header, sizeof header, &e));
    if (link)
        return;
    static const char zeros[512];
    CHECK_OK(nnclr_buffer_append(tar, data, size, &e));
    CHECK_OK(nnclr_buffer_append(tar, zeros, (512 - size % 512) % 512, &e));
}

static void end_tar(nnclr_buffer *tar, const char *name) {
    static const char zeros[1024];
    CHECK_OK(nnclr_buffer_append(tar, zeros, sizeof zeros, &e));
    write_file(name, tar->data, tar->size);
    nnclr_buffer_free(tar);
}

/* ---- what comes out ---- */

static nnclr_source *open_source(nnclr_source_options options) {
    if (options.file_limit == 0)
        options.file_limit = 1000;
    nnclr_source *source = nnclr_source_open(&options, &e);
    CHECK_OK(source);
    return source;
}

static nnclr_source *open_one(const char *input, const char *root) {
    return open_source((nnclr_source_options){
        .inputs = (const char *const[]){input}, .input_count = 1, .root = root});
}

static nnclr_error open_fails(nnclr_source_options options) {
    options.file_limit = 1000;
    e = (nnclr_error)NNCLR_NO_ERROR;
    nnclr_source *source = nnclr_source_open(&options, &e);
    CHECK_SAYS(!source, "opened, %zu entries", nnclr_source_count(source));
    return e;
}

static void check_entries(const nnclr_source *source, size_t count, const char *const names[],
                          const int labels[]) {
    for (size_t i = 0; i < nnclr_source_count(source) && i < count; i++) {
        nnclr_source_entry entry = nnclr_source_entry_at(source, i);
        CHECK_TEXT(entry.name, names[i]);
        CHECK_SAYS(entry.label == labels[i], "%s has label %lld", entry.name,
                   (long long)entry.label);
    }
    CHECK_SAYS(nnclr_source_count(source) == count, "%zu entries", nnclr_source_count(source));
}

static void check_classes(const nnclr_source *source, size_t count, const char *const classes[]) {
    CHECK(nnclr_source_class_count(source) == count);
    for (size_t i = 0; i < count; i++)
        CHECK_TEXT(nnclr_source_class(source, i), classes[i]);
}

static void check_content(nnclr_source *source, size_t i, const char *want) {
    nnclr_buffer bytes = {0};
    CHECK_OK(nnclr_source_read(source, i, &bytes, &e));
    CHECK_TEXT((char *)bytes.data, want);
    CHECK(bytes.size == strlen(want));
    nnclr_buffer_free(&bytes);
}

static nnclr_error read_fails(nnclr_source *source, size_t i) {
    nnclr_buffer bytes = {0};
    CHECK(!nnclr_source_read(source, i, &bytes, &e));
    nnclr_buffer_free(&bytes);
    return e;
}

#define LENGTH(array) (sizeof(array) / sizeof *(array))

/* ---- folders ---- */

/* In no particular order. Those beside the classes and the hidden ones do not count. */
static const char *const tree[] = {
    "cat/b.jpg",     "cat/a/2.jpg", "cat/a-b/1.jpg", "dog-/x.jpg",           "cat/a.jpg",
    "cat/a/1.jpg",   "README",      "dog/z.jpg",     "cat/new\nline.jpg",    "Zebra/1",
    "dog/.DS_Store", ".git/config", "cat/B.jpg",     "dog/\xff\xfe raw.jpg", "dog/deep/er/1.jpg",
    "cat/a/z/1.jpg"};

/* [path for c in sorted(classes) for r, _, files in sorted(os.walk(c, followlinks=True))
 *  for f in sorted(files)] by Python 3.11, less the hidden ones. */
static const char *const tree_names[] = {"Zebra/1",
                                         "cat/B.jpg",
                                         "cat/a.jpg",
                                         "cat/b.jpg",
                                         "cat/new\nline.jpg",
                                         "cat/a/1.jpg",
                                         "cat/a/2.jpg",
                                         "cat/a-b/1.jpg",
                                         "cat/a/z/1.jpg",
                                         "dog/z.jpg",
                                         "dog/\xff\xfe raw.jpg",
                                         "dog/deep/er/1.jpg",
                                         "dog-/x.jpg"};
static const int tree_labels[] = {0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3};
static const char *const tree_classes[] = {"Zebra", "cat", "dog", "dog-"};

TEST(reads_a_folder_in_the_order_of_imagefolder) {
    char path[200];
    for (size_t i = 0; i < LENGTH(tree); i++) {
        snprintf(path, sizeof path, "tree/%s", tree[i]);
        put_file(path);
    }
    mkdir("tree/empty", 0777);
    for (int slash = 0; slash < 2; slash++) {
        nnclr_source *source = open_one(slash ? "tree//" : "tree", NULL);
        check_entries(source, LENGTH(tree_names), tree_names, tree_labels);
        check_classes(source, LENGTH(tree_classes), tree_classes);
        for (size_t i = 0; i < LENGTH(tree_names); i++) {
            snprintf(path, sizeof path, "tree/%s", tree_names[i]);
            check_content(source, i, content_of(path));
        }
        nnclr_source_close(source);
    }
}

TEST(reads_a_flat_folder_and_a_root) {
    put_file("flat/b");
    put_file("flat/a");
    put_file("flat/.hidden");
    mkdir("flat/nothing", 0777);
    static const char *const names[] = {"a", "b"};
    static const int none[] = {-1, -1};
    nnclr_source *source = open_one("flat", NULL);
    check_entries(source, 2, names, none);
    check_classes(source, 0, NULL);
    nnclr_source_close(source);

    source = open_one("tree", "cat/a-b/");
    check_entries(source, 1, (const char *const[]){"1.jpg"}, none);
    check_content(source, 0, content_of("tree/cat/a-b/1.jpg"));
    nnclr_source_close(source);
}

TEST(follows_links_but_no_cycles) {
    put_file("linked/real/1.jpg");
    put_file("elsewhere/2.jpg");
    CHECK(symlink("../elsewhere", "linked/other") == 0);
    CHECK(symlink("..", "linked/real/up") == 0);
    CHECK(symlink(".", "elsewhere/self") == 0);
    static const char *const names[] = {"other/2.jpg", "real/1.jpg"};
    static const int labels[] = {0, 1};
    nnclr_source *source = open_one("linked", NULL);
    check_entries(source, 2, names, labels);
    nnclr_source_close(source);
}

TEST(reports_what_is_no_regular_file) {
    put_file("odd/1.jpg");
    CHECK(mkfifo("odd/2.jpg", 0666) == 0);
    CHECK(symlink("nowhere", "odd/3.jpg") == 0);
    CHECK(symlink("4.jpg", "odd/4.jpg") == 0);
    CHECK(symlink("/dev/zero", "odd/5.jpg") == 0);
    char large[1001];
    memset(large, 'x', sizeof large);
    write_file("odd/6.jpg", large, sizeof large);
    write_file("odd/7.jpg", large, sizeof large - 1);
    nnclr_source *source = open_one("odd", NULL);
    CHECK(nnclr_source_count(source) == 7);
    check_content(source, 0, content_of("odd/1.jpg"));
    CHECK_TEXT(read_fails(source, 1).message, "odd/2.jpg: not a regular file");
    CHECK_TEXT(read_fails(source, 2).message, "odd/3.jpg: No such file or directory");
    CHECK_TEXT(read_fails(source, 3).message, "odd/4.jpg: Too many levels of symbolic links");
    CHECK_TEXT(read_fails(source, 4).message, "odd/5.jpg: not a regular file");
    CHECK(read_fails(source, 5).code == NNCLR_ERROR_LIMIT);
    check_content(source, 6, "xxxxxxxxxxxxxxxx");
    nnclr_source_close(source);
}

TEST(unites_the_classes_of_inputs) {
    put_file("one/dog/1");
    put_file("one/ant/2");
    put_file("two/cat/3");
    put_file("two/dog/4");
    static const char *const inputs[] = {"one", "two", "flat"};
    static const char *const names[] = {"ant/2", "dog/1", "cat/3", "dog/4", "a", "b"};
    static const int labels[] = {0, 2, 1, 2, -1, -1};
    static const char *const classes[] = {"ant", "cat", "dog"};
    nnclr_source *source =
        open_source((nnclr_source_options){.inputs = inputs, .input_count = LENGTH(inputs)});
    check_entries(source, LENGTH(names), names, labels);
    check_classes(source, LENGTH(classes), classes);
    check_content(source, 2, content_of("two/cat/3"));
    check_content(source, 5, content_of("flat/b"));
    nnclr_source_close(source);
}

TEST(takes_a_single_picture) {
    write_file("single/alone.txt", "\xff\xd8\xff\xe0", 4);
    nnclr_source *source = open_one("single/alone.txt", NULL);
    check_entries(source, 1, (const char *const[]){"alone.txt"}, (const int[]){-1});
    check_content(source, 0, "\xff\xd8\xff\xe0");
    nnclr_source_close(source);

    CHECK(chdir("single") == 0);
    source = open_one("alone.txt", NULL);
    check_content(source, 0, "\xff\xd8\xff\xe0");
    nnclr_source_close(source);
    CHECK(chdir("..") == 0);
}

/* ---- archives ---- */

TEST(reads_an_archive_like_the_folder) {
    char name[200];
    nnclr_buffer tar = {0};
    for (size_t i = LENGTH(tree); i-- > 0;) {
        snprintf(name, sizeof name, "./some/where/%s", tree[i]);
        add_member(&tar, name, NULL, content_of(tree[i]));
    }
    add_member(&tar, "some/wherever/cat/no.jpg", NULL, "not below the root");
    add_member(&tar, "some/other", NULL, "neither");
    end_tar(&tar, "tree.tar");
    static const char *const roots[] = {"some/where", "./some//where/"};
    for (size_t r = 0; r < LENGTH(roots); r++) {
        nnclr_source *source = open_one("tree.tar", roots[r]);
        check_entries(source, LENGTH(tree_names), tree_names, tree_labels);
        check_classes(source, LENGTH(tree_classes), tree_classes);
        for (size_t i = 0; i < LENGTH(tree_names); i++)
            check_content(source, i, content_of(tree_names[i]));
        nnclr_source_close(source);
    }
}

TEST(resolves_links_and_replaced_members) {
    nnclr_buffer tar = {0};
    char large[1200];
    memset(large, 'x', sizeof large - 1);
    memcpy(large, "P6 ", 3);
    large[sizeof large - 1] = '\0';
    add_member(&tar, "r/a", NULL, "first a");
    add_member(&tar, "r/b", "r/a", NULL);
    add_member(&tar, "./r/a", NULL, "second a");
    add_member(&tar, "r/c", "./r/b", NULL);
    add_member(&tar, "r/d", "r/a", NULL);
    add_member(&tar, "out", NULL, "outside");
    add_member(&tar, "r/e", "out", NULL);
    add_member(&tar, "r/f", NULL, large);
    add_member(&tar, "r/g", "r/f", NULL);
    add_member(&tar, "r/h", NULL, "");
    add_member(&tar, "r/i", NULL, large + 3);
    end_tar(&tar, "links.tar");
    nnclr_source *source = open_one("links.tar", "r");
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    static const int none[] = {-1, -1, -1, -1, -1, -1, -1, -1, -1};
    check_entries(source, LENGTH(names), names, none);
    check_content(source, 0, "second a");
    check_content(source, 1, "first a");
    check_content(source, 2, "first a");
    check_content(source, 3, "second a");
    check_content(source, 4, "outside"); /* in a second reading */
    CHECK_TEXT(read_fails(source, 5).message,
               "f: larger than the limit of 1000 bytes for a member of an archive; unpack it, and "
               "give the file");
    CHECK(read_fails(source, 6).code == NNCLR_ERROR_LIMIT);
    check_content(source, 7, "");
    check_content(source, 8, "xxxxxxxxxxxxxxxx"); /* not a picture: what shows that was kept */
    nnclr_source_close(source);
}

enum { MEMBERS = 200, ROUNDS = 20 };

static void *read_all_entries(void *argument) {
    nnclr_error own;
    nnclr_source *source = argument;
    nnclr_buffer bytes = {0};
    size_t wrong = 0;
    for (size_t i = 0; i < MEMBERS * ROUNDS; i++) {
        char want[20];
        snprintf(want, sizeof want, "%03zu", i * 7 % MEMBERS);
        wrong += !nnclr_source_read(source, i * 7 % MEMBERS, &bytes, &own) ||
                 strcmp((char *)bytes.data, want) != 0;
    }
    nnclr_buffer_free(&bytes);
    return wrong ? argument : NULL;
}

TEST(is_read_by_many_threads) {
    nnclr_buffer tar = {0};
    for (int i = 0; i < MEMBERS; i++) {
        char name[20];
        snprintf(name, sizeof name, "%03d", i);
        add_member(&tar, name, NULL, name);
    }
    end_tar(&tar, "many.tar");
    nnclr_source *source = open_one("many.tar", NULL);
    pthread_t threads[4];
    bool wrong = false;
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, read_all_entries, source) == 0);
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        wrong = wrong || result;
    }
    CHECK(!wrong);
    nnclr_source_close(source);
}

/* ---- lists ---- */

static nnclr_source *open_list(const char *text, const char *folder) {
    write_file("list", text, strlen(text));
    return open_source((nnclr_source_options){
        .inputs = (const char *const[]){folder}, .input_count = folder != NULL, .list = "list"});
}

TEST(reads_lists) {
    static const char *const names[] = {"dog/z.jpg", "cat/a.jpg", "dog/.DS_Store", "missing"};
    nnclr_source *source =
        open_list("dog/z.jpg\tpets\n\ncat/a.jpg\tLions\ndog/.DS_Store\nmissing\tpets", "tree");
    check_entries(source, 4, names, (const int[]){1, 0, -1, 1});
    check_classes(source, 2, (const char *const[]){"Lions", "pets"});
    check_content(source, 1, content_of("tree/cat/a.jpg"));
    CHECK_TEXT(read_fails(source, 3).message, "tree/missing: No such file or directory");
    nnclr_source_close(source);

    source = open_list("tree/cat\t10\ntree/cat/a.jpg\t2\nflat/a\n", NULL);
    check_entries(source, 3, (const char *const[]){"tree/cat", "tree/cat/a.jpg", "flat/a"},
                  (const int[]){10, 2, -1});
    CHECK(nnclr_source_class_count(source) == 11);
    CHECK_TEXT(nnclr_source_class(source, 10), "10");
    CHECK_TEXT(read_fails(source, 0).message, "tree/cat: not a regular file");
    check_content(source, 1, content_of("tree/cat/a.jpg"));
    nnclr_source_close(source);

    char absolute[300];
    snprintf(absolute, sizeof absolute, "%s/flat/a\n", scratch_folder);
    source = open_list(absolute, "tree");
    check_content(source, 0, content_of("flat/a"));
    nnclr_source_close(source);
}

/* ---- refusals ---- */

TEST(refuses_inputs_with_one_sentence) {
    mkdir("void", 0777);
    put_file("only-hidden/.a");
    write_file("text", "text", 4);
    static const char *const nothing[] = {"void"}, *const hidden[] = {"only-hidden"},
                             *const none[] = {"absent"}, *const text[] = {"text"},
                             *const trees[] = {"tree", "flat"}, *const tar[] = {"tree.tar"};
    CHECK_TEXT(open_fails((nnclr_source_options){.inputs = nothing, .input_count = 1}).message,
               "void: no files there");
    CHECK_TEXT(open_fails((nnclr_source_options){.inputs = hidden, .input_count = 1}).message,
               "only-hidden: no files there");
    CHECK_TEXT(
        open_fails((nnclr_source_options){.inputs = tar, .input_count = 1, .root = "some/wh"})
            .message,
        "tree.tar: no files there below some/wh; --root takes a folder of it, and it holds "
        "some/other");
    CHECK_TEXT(
        open_fails((nnclr_source_options){.inputs = trees, .input_count = 1, .root = "no"}).message,
        "tree/no: no such folder; --root takes one that lies below the input");
    e = open_fails((nnclr_source_options){.inputs = none, .input_count = 1});
    CHECK_SAYS(strstr(e.message, "absent"), "%s", e.message);
    e = open_fails((nnclr_source_options){.inputs = text, .input_count = 1});
    CHECK_SAYS(strstr(e.message, "text"), "%s", e.message);
    CHECK(open_fails((nnclr_source_options){.input_count = 0}).code == NNCLR_ERROR_USAGE);
    e = open_fails((nnclr_source_options){.inputs = trees, .input_count = 2, .list = "list"});
    CHECK(e.code == NNCLR_ERROR_USAGE);

    write_file("list", "", 0);
    CHECK_TEXT(open_fails((nnclr_source_options){.list = "list"}).message,
               "list: the list names no file");
    write_file("list", "a\n\tb\n", 5);
    CHECK_TEXT(open_fails((nnclr_source_options){.list = "list"}).message,
               "list: line 2: no path before the label");
    write_file("list", "a\0b\n", 4);
    CHECK_TEXT(open_fails((nnclr_source_options){.list = "list"}).message,
               "list: line 1: a zero byte");
}

TEST(refuses_a_truncated_archive) {
    nnclr_buffer tar = {0};
    add_member(&tar, "a", NULL, "some data");
    add_member(&tar, "b", NULL, "more data");
    write_file("cut.tar", tar.data, 512 + 512 + 512 + 4);
    nnclr_buffer_free(&tar);
    e = open_fails(
        (nnclr_source_options){.inputs = (const char *const[]){"cut.tar"}, .input_count = 1});
    CHECK_SAYS(strstr(e.message, "cut.tar"), "%s", e.message);
}

int main(void) {
    if (chdir(scratch("")) != 0)
        return 1;
    return check_all();
}
