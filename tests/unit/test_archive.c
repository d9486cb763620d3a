/* Foreign archives, made by the tools that people have. */
#include "io/archive.h"

#include "tests/unit/check.h"
#include "tests/unit/scratch.h"

static nnclr_error e; /* of the call that is checked */

enum { LIMIT = 1000 };

/* Three files, one of them empty, one larger than LIMIT; a folder, a symbolic and a hard link. */
static void make_tree(void) {
    if (access(scratch("tree"), F_OK) == 0)
        return;
    CHECK(scratch_run("mkdir -p tree/d && printf one >tree/d/1.txt && : >tree/d/2.txt && "
                      "head -c 5000 /dev/zero >tree/d/3.txt && ln tree/d/1.txt tree/d/4.txt && "
                      "ln -s 1.txt tree/d/5.txt && printf last >tree/z.txt"));
}

/* Lists "NAME=DATA;", "NAME>LINK;" or "NAME!;" (too large) for all entries. */
static const char *list(const char *path) {
    static char text[4000];
    const char *name, *link;
    nnclr_buffer data = {0};
    nnclr_archive_state state;
    text[0] = '\0';
    e = (nnclr_error)NNCLR_NO_ERROR;
    nnclr_archive *archive = nnclr_archive_open(path, &e);
    if (!archive)
        return "refused";
    while ((state = nnclr_archive_next(archive, &name, &link, &e)) == NNCLR_ARCHIVE_ENTRY) {
        size_t used = strlen(text);
        data.size = 0;
        if (link)
            snprintf(text + used, sizeof text - used, "%s>%s;", name, link);
        else if (nnclr_archive_data(archive, LIMIT, &data, &e))
            snprintf(text + used, sizeof text - used, "%s=%s;", name, (const char *)data.data);
        else if (e.code == NNCLR_ERROR_LIMIT)
            snprintf(text + used, sizeof text - used, "%s!;", name);
        else
            state = NNCLR_ARCHIVE_FAILED;
        if (state == NNCLR_ARCHIVE_FAILED)
            break;
    }
    nnclr_buffer_free(&data);
    nnclr_archive_close(archive);
    return state == NNCLR_ARCHIVE_FAILED ? "failed" : text;
}

static const char order[] = "tar --sort=name --format=%s -c%sf %s -C tree .";
static const char content[] =
    "./d/1.txt=one;./d/2.txt=;./d/3.txt!;./d/4.txt>./d/1.txt;./d/5.txt>1.txt;./z.txt=last;";

TEST(tars_of_any_compression) {
    static const struct {
        const char *format, *option, *name;
    } cases[] = {
        {"ustar", "", "u.tar"},     {"gnu", "", "g.tar"},
        {"posix", "", "p.tar"},     {"v7", "", "v.tar"},
        {"gnu", "z", "g.tar.gz"},   {"gnu", "j", "g.tar.bz2"},
        {"posix", "J", "p.tar.xz"}, {"gnu", " --zstd -", "g.tar.zst"},
    };
    make_tree();
    size_t made = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char command[300];
        snprintf(command, sizeof command, order, cases[i].format, cases[i].option, cases[i].name);
        if (!scratch_run(command))
            continue; /* this machine's tar lacks that compression */
        made++;
        const char *is = list(scratch(cases[i].name));
        CHECK_SAYS(strcmp(is, content) == 0, "%s: %s: %s", cases[i].name, is, e.message);
    }
    if (made == 0)
        SKIP("no tar");
}

TEST(names_keep_their_bytes) {
    if (!scratch_run("mkdir odd && touch \"$(printf 'odd/caf\\351')\" "
                     "\"$(printf 'odd/\\303\\251')\" && tar --sort=name --format=posix -cf odd.tar "
                     "odd && tar --sort=name --format=gnu -cf odd2.tar odd"))
        SKIP("no tar");
    CHECK_TEXT(list(scratch("odd.tar")), "odd/caf\xE9=;odd/\xC3\xA9=;");
    CHECK_TEXT(list(scratch("odd2.tar")), "odd/caf\xE9=;odd/\xC3\xA9=;");
}

TEST(concatenated_tars) {
    make_tree();
    if (!scratch_run("tar -cf one.tar -C tree z.txt && cat one.tar one.tar >two.tar"))
        SKIP("no tar");
    CHECK_TEXT(list(scratch("two.tar")), "z.txt=last;z.txt=last;");
}

TEST(what_is_no_archive_is_refused) {
    scratch_write(scratch("text"), "just some text, longer than a magic number would be", 51);
    CHECK_TEXT(list(scratch("text")), "refused");
    CHECK_SAYS(strstr(e.message, "text: "), "%s", e.message);
    scratch_write(scratch("nothing"), "", 0);
    CHECK_TEXT(list(scratch("nothing")), "refused");
    CHECK_TEXT(list(scratch("absent")), "refused");
    CHECK_SAYS(e.code == NNCLR_ERROR_PATH, "%s", e.message);
    CHECK_TEXT(list(scratch("")), "refused");
    CHECK_SAYS(strstr(e.message, "is a folder"), "%s", e.message);
}

TEST(cut_archives_fail) {
    make_tree();
    if (!scratch_run("tar -cf whole.tar -C tree d/3.txt && head -c 2000 whole.tar >cut.tar && "
                     "gzip -k whole.tar && head -c 60 whole.tar.gz >cut.tar.gz"))
        SKIP("no tar or gzip");
    const char *is = list(scratch("cut.tar"));
    CHECK_SAYS(strcmp(is, "failed") == 0, "%s", is);
    CHECK_SAYS(strstr(e.message, "cut.tar: "), "%s", e.message);
    is = list(scratch("cut.tar.gz"));
    CHECK_SAYS(strcmp(is, "failed") == 0 || strcmp(is, "refused") == 0, "%s", is);
}

static void check_failed(const char *name, const char *why) {
    const char *is = list(scratch(name));
    CHECK_SAYS(strcmp(is, "failed") == 0 || strcmp(is, "refused") == 0, "%s: %s", name, is);
    CHECK_SAYS(strstr(e.message, name) && strstr(e.message, why), "%s", e.message);
}

/* libarchive takes such a tar for a whole one. */
TEST(tars_without_their_end_fail) {
    make_tree();
    /* Two members of a header and a block each, then zeros to 10240 bytes. */
    if (!scratch_run("tar --sort=name -cf ends.tar -C tree z.txt d/1.txt && "
                     "head -c 1024 ends.tar >member.tar && head -c 2048 ends.tar >none.tar && "
                     "head -c 2560 ends.tar >lone.tar && gzip -c none.tar >none.tar.gz && "
                     "xz -c none.tar >none.tar.xz"))
        SKIP("no tar, gzip or xz");
    CHECK_TEXT(list(scratch("ends.tar")), "z.txt=last;d/1.txt=one;");
    CHECK_TEXT(list(scratch("lone.tar")), "z.txt=last;d/1.txt=one;");
    const char *const cut[] = {"member.tar", "none.tar", "none.tar.gz", "none.tar.xz"};
    for (int i = 0; i < 4; i++)
        check_failed(cut[i], "truncated: a tar ends in a block of zeros");
}

/* A flip in each byte of the trailer (CRC and length), and every cut. */
TEST(gzip_is_checked_to_its_end) {
    make_tree();
    if (!scratch_run("tar -cf g.tar -C tree z.txt && gzip -nkf g.tar && "
                     "head -c 700 g.tar | gzip -n >1.gz && tail -c +701 g.tar | gzip -n >2.gz && "
                     "cat 1.gz 2.gz >parts.tar.gz && head -c 1000 /dev/zero >zeros && "
                     "cat g.tar.gz zeros >padded.tar.gz"))
        SKIP("no tar or gzip");
    CHECK_TEXT(list(scratch("g.tar.gz")), "z.txt=last;");
    CHECK_TEXT(list(scratch("parts.tar.gz")), "z.txt=last;");
    CHECK_TEXT(list(scratch("padded.tar.gz")), "z.txt=last;");
    nnclr_buffer bytes = scratch_read(scratch("g.tar.gz"));
    for (size_t back = 1; back <= 8; back++) {
        bytes.data[bytes.size - back] ^= 1;
        scratch_write(scratch("bad.tar.gz"), bytes.data, bytes.size);
        bytes.data[bytes.size - back] ^= 1;
        check_failed("bad.tar.gz", back <= 4 ? "damaged gzip stream: incorrect length check"
                                             : "damaged gzip stream: incorrect data check");
    }
    for (size_t size = 2; size < bytes.size; size++) {
        scratch_write(scratch("cut.tar.gz"), bytes.data, size);
        check_failed("cut.tar.gz", "truncated gzip stream");
    }
    bytes.data[bytes.size - 8] ^= 1; /* in the first of two members */
    nnclr_buffer second = scratch_read(scratch("g.tar.gz"));
    CHECK_OK(nnclr_buffer_append(&bytes, second.data, second.size, &e));
    scratch_write(scratch("first.tar.gz"), bytes.data, bytes.size);
    check_failed("first.tar.gz", "incorrect data check");
    nnclr_buffer_free(&second);
    nnclr_buffer_free(&bytes);
}

int main(void) {
    return check_all();
}
