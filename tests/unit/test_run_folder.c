#include "io/run_folder.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "tests/unit/scratch.h"

static nnclr_error e; /* of the call that is checked */

static nnclr_run *open_run(const char *folder, nnclr_run_mode mode) {
    nnclr_run *run = nnclr_run_open(folder, mode, &e);
    CHECK_OK(run);
    return run;
}

/* The first files of a run, wherever it has them now. */
static void write_files(nnclr_run *run, const char *text) {
    CHECK_OK(nnclr_run_write_description(run, text, strlen(text), &e));
    CHECK_OK(nnclr_run_metrics_open(run, -1, &e));
    scratch_write(nnclr_run_checkpoint_path(run), text, strlen(text));
}

static nnclr_run *begin_run(const char *folder, nnclr_run_mode mode, const char *text) {
    nnclr_run *run = open_run(folder, mode);
    write_files(run, text);
    CHECK_OK(nnclr_run_begin(run, &e));
    return run;
}

static void check_refused(const char *folder, nnclr_run_mode mode, const char *part) {
    CHECK_FAILS(nnclr_run_open(folder, mode, &e), part);
}

static void put(const char *folder, const char *name, const char *text) {
    char path[500];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    scratch_write(path, text, strlen(text));
}

static void remove_own(const char *folder, const char *name) {
    char path[500];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

static bool there(const char *folder, const char *name) {
    char path[500];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

/* Which file of the folder a reader takes. */
static void check_found(const char *folder, const char *name) {
    nnclr_buffer path = {0};
    CHECK_OK(nnclr_run_find_checkpoint(folder, &path, &e));
    CHECK_TEXT((const char *)path.data + strlen(folder) + 1, name);
    nnclr_buffer_free(&path);
}

static void check_text(const char *path, const char *must) {
    nnclr_buffer bytes = scratch_read(path);
    CHECK(bytes.size == strlen(must));
    CHECK_SAYS(memcmp(bytes.data, must, bytes.size) == 0, "%s", (const char *)bytes.data);
    nnclr_buffer_free(&bytes);
}

TEST(a_new_run) {
    char folder[400];
    snprintf(folder, sizeof folder, "%s", scratch("deep/er//run"));
    nnclr_run *run = open_run(folder, NNCLR_RUN_NEW);
    CHECK_TEXT(nnclr_run_folder(run), folder);
    CHECK(!nnclr_run_done(run) && there(folder, ".lock"));
    write_files(run, "{}\n");
    CHECK(!there(folder, "run.json") && !there(folder, "checkpoint.safetensors.zst"));
    CHECK_OK(nnclr_run_begin(run, &e));
    CHECK(strstr(nnclr_run_checkpoint_path(run), "run/checkpoint.safetensors.zst"));
    CHECK(there(folder, "checkpoint.safetensors.zst") && there(folder, "metrics.jsonl"));
    CHECK(!there(folder, ".next") && !there(folder, ".begun"));
    CHECK_OK(nnclr_run_write_description(run, "{1}\n", 4, &e));
    check_text(scratch("deep/er/run/run.json"), "{1}\n");
    CHECK_OK(nnclr_run_metrics_line(run, "{}", 2, &e));
    check_text(scratch("deep/er/run/metrics.jsonl"), "{}\n");
    CHECK_OK(nnclr_run_mark_done(run, &e) && nnclr_run_done(run));
    nnclr_run_close(run);
    check_refused(folder, NNCLR_RUN_NEW, "holds a run already");
    run = open_run(folder, NNCLR_RUN_RESUME);
    CHECK(nnclr_run_done(run));
    nnclr_run_close(run);
    unlink(scratch("deep/er/run/checkpoint.safetensors.zst"));
    check_refused(folder, NNCLR_RUN_NEW, "without a checkpoint to continue from");
    check_refused(folder, NNCLR_RUN_RESUME, "holds no checkpoint");
}

/* What fails before a run begins leaves the folder as it was: none, or what was in it. */
TEST(a_run_that_does_not_begin) {
    char folder[400];
    snprintf(folder, sizeof folder, "%s", scratch("failed"));
    nnclr_run *run = open_run(folder, NNCLR_RUN_NEW);
    write_files(run, "new");
    nnclr_run_close(run);
    CHECK(access(folder, F_OK) != 0);
    run = open_run(scratch("new/er//run/"), NNCLR_RUN_NEW);
    nnclr_run_close(run);
    CHECK(access(scratch("new"), F_OK) != 0);
    CHECK(mkdir(folder, 0777) == 0);
    nnclr_run_close(open_run(folder, NNCLR_RUN_NEW));
    CHECK(there(folder, ".") && !there(folder, ".lock") && !there(folder, ".next"));
    nnclr_run_close(begin_run(folder, NNCLR_RUN_NEW, "old"));
    put(folder, "DONE", "");
    put(folder, "checkpoint-0007.safetensors.zst", "old");
    run = open_run(folder, NNCLR_RUN_FORCE);
    write_files(run, "new");
    nnclr_run_close(run);
    check_text(scratch("failed/run.json"), "old");
    check_text(scratch("failed/checkpoint.safetensors.zst"), "old");
    CHECK(there(folder, "DONE") && there(folder, "checkpoint-0007.safetensors.zst"));
    CHECK(!there(folder, ".next"));
}

/* Killed while the files of a run that has begun take the place of the older one's: whoever opens
 * the folder next finds the new run. */
TEST(a_run_that_was_killed_as_it_began) {
    static const char *const files[] = {"run.json", "metrics.jsonl", "checkpoint.safetensors.zst"};
    char folder[400], below[450], path[600];
    for (size_t moved = 0; moved <= 3; moved++) {
        snprintf(folder, sizeof folder, "%s%zu", scratch("begun"), moved);
        snprintf(below, sizeof below, "%s/.begun", folder);
        nnclr_run_close(begin_run(folder, NNCLR_RUN_NEW, "old"));
        put(folder, "checkpoint-0007.safetensors.zst", "old");
        if (moved == 0)
            put(folder, "DONE", "");
        CHECK(mkdir(below, 0777) == 0);
        for (size_t i = 0; i < 3; i++)
            put(i < moved ? folder : below, files[i], "new");
        /* A reader finds the older run until then, or the new one if there is no older. */
        check_found(folder, "checkpoint.safetensors.zst");
        if (moved < 3) {
            remove_own(folder, "checkpoint.safetensors.zst");
            check_found(folder, ".begun/checkpoint.safetensors.zst");
        }
        nnclr_run *run = open_run(folder, NNCLR_RUN_RESUME);
        CHECK(!nnclr_run_done(run) && !there(folder, ".begun") &&
              !there(folder, "checkpoint-0007.safetensors.zst"));
        for (size_t i = 0; i < 3; i++) {
            snprintf(path, sizeof path, "%s/%s", folder, files[i]);
            check_text(path, "new");
        }
        nnclr_run_close(run);
    }
}

/* A FIFO, a device or a folder in place of a file is refused, and not waited for. */
TEST(what_is_no_file_is_refused) {
    static const char *const own[] = {"run.json", "metrics.jsonl", "checkpoint.safetensors.zst",
                                      "DONE", "checkpoint-0001.safetensors.zst"};
    char folder[400], path[600], lock[600];
    snprintf(folder, sizeof folder, "%s", scratch("kinds"));
    nnclr_run_close(begin_run(folder, NNCLR_RUN_NEW, "old"));
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, own[i]);
        unlink(path);
        CHECK(mkfifo(path, 0666) == 0);
        check_refused(folder, NNCLR_RUN_FORCE, "not a regular file");
        CHECK(i == 2 || (check_refused(folder, NNCLR_RUN_RESUME, "not a regular file"), true));
        CHECK(unlink(path) == 0 && mkdir(path, 0777) == 0);
        check_refused(folder, NNCLR_RUN_FORCE, "not a regular file");
        CHECK(rmdir(path) == 0);
        put(folder, own[i], "old");
    }
    /* Nor may the lock be another's file. */
    snprintf(lock, sizeof lock, "%s/.lock", folder);
    put(folder, "precious", "precious");
    CHECK(unlink(lock) == 0 && symlink("precious", lock) == 0);
    check_refused(folder, NNCLR_RUN_RESUME, ".lock: not a regular file");
    check_text(scratch("kinds/precious"), "precious");
    CHECK(unlink(lock) == 0 && mkfifo(lock, 0666) == 0);
    check_refused(folder, NNCLR_RUN_RESUME, ".lock: not a regular file");
    CHECK(unlink(lock) == 0);
}

TEST(resuming_nothing_makes_nothing) {
    check_refused(scratch("mistyped"), NNCLR_RUN_RESUME,
                  "mistyped: there is no such RUN to resume");
    CHECK(access(scratch("mistyped"), F_OK) != 0);
    scratch_write(scratch("file"), "x", 1);
    check_refused(scratch("file"), NNCLR_RUN_NEW, "file");
    check_refused(scratch("file/below"), NNCLR_RUN_NEW, "file");
}

/* --force takes our own files away and nothing else; what a killed writer left goes in any case. */
TEST(force_removes_our_own_files_only) {
    static const char *const own[] = {"checkpoint.safetensors.zst",
                                      "checkpoint-0007.safetensors.zst",
                                      "checkpoint-123456.safetensors.zst",
                                      "metrics.jsonl",
                                      "run.json",
                                      "DONE"};
    static const char *const leftovers[] = {".checkpoint.safetensors.zst.a1b2C3",
                                            ".run.json.000000",
                                            ".checkpoint-0012.safetensors.zst.zzzzzz"};
    static const char *const others[] = {"notes.txt",
                                         "checkpoint-best.safetensors.zst",
                                         "checkpoint-007.safetensors.zst",
                                         "checkpoint-0007.safetensors",
                                         ".notes.txt.a1b2c3",
                                         ".run.json.a1b2c",
                                         ".run.json.a1b2-3",
                                         "run.json.bak",
                                         "DONE.txt",
                                         "checkpoint-.safetensors.zst"};
    char folder[400];
    snprintf(folder, sizeof folder, "%s", scratch("forced"));
    CHECK(mkdir(folder, 0777) == 0);
    for (size_t i = 0; i < sizeof leftovers / sizeof *leftovers; i++)
        put(folder, leftovers[i], "x");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        put(folder, others[i], "x");
    nnclr_run_close(open_run(folder, NNCLR_RUN_NEW));
    for (size_t i = 0; i < sizeof leftovers / sizeof *leftovers; i++)
        CHECK_SAYS(!there(folder, leftovers[i]), "%s is left", leftovers[i]);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        put(folder, own[i], "x");
        check_refused(folder, NNCLR_RUN_NEW, own[i]);
        nnclr_run *run = open_run(folder, NNCLR_RUN_FORCE);
        CHECK(there(folder, own[i]));
        nnclr_run_close(run);
        nnclr_run_close(begin_run(folder, NNCLR_RUN_FORCE, "new"));
        for (size_t j = 0; j < sizeof own / sizeof *own; j++)
            CHECK_SAYS(there(folder, own[j]) == (j == 0 || j == 3 || j == 4), "%s", own[j]);
        for (size_t j = 0; j < sizeof own / sizeof *own; j++)
            remove_own(folder, own[j]);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        CHECK_SAYS(there(folder, others[i]), "%s is gone", others[i]);
}

/* The lock ends with its process, however that ends. */
TEST(a_run_in_use_is_locked) {
    char folder[400], number[60];
    int ready[2], status;
    char byte;
    snprintf(folder, sizeof folder, "%s", scratch("locked"));
    CHECK(pipe(ready) == 0);
    pid_t child = fork();
    if (child == 0) {
        bool ok = nnclr_run_open(folder, NNCLR_RUN_NEW, &e) != NULL;
        if (write(ready[1], ok ? "y" : "n", 1) == 1)
            pause();
        _exit(0);
    }
    CHECK(read(ready[0], &byte, 1) == 1 && byte == 'y');
    snprintf(number, sizeof number, "locked: is in use by process %d", (int)child);
    check_refused(folder, NNCLR_RUN_NEW, number);
    check_refused(folder, NNCLR_RUN_FORCE, number);
    kill(child, SIGKILL);
    CHECK(waitpid(child, &status, 0) == child);
    nnclr_run *run = open_run(folder, NNCLR_RUN_NEW);
    snprintf(number, sizeof number, "is in use by process %d", (int)getpid());
    check_refused(folder, NNCLR_RUN_NEW, number);
    nnclr_run_close(run);
    close(ready[0]);
    close(ready[1]);
}

TEST(numbered_checkpoints) {
    char folder[400];
    snprintf(folder, sizeof folder, "%s", scratch("kept"));
    nnclr_run *run = begin_run(folder, NNCLR_RUN_NEW, "new");
    static const int64_t steps[] = {5, 900, 9999, 10000};
    for (size_t i = 0; i < 4; i++) {
        char text[20];
        snprintf(text, sizeof text, "%lld", (long long)steps[i]);
        /* as a checkpoint is: another file takes its place */
        unlink(nnclr_run_checkpoint_path(run));
        put(folder, "checkpoint.safetensors.zst", text);
        CHECK_OK(nnclr_run_keep(run, steps[i], 2, &e));
    }
    CHECK(!there(folder, "checkpoint-0005.safetensors.zst"));
    CHECK(!there(folder, "checkpoint-0900.safetensors.zst"));
    check_text(scratch("kept/checkpoint-9999.safetensors.zst"), "9999");
    check_text(scratch("kept/checkpoint-10000.safetensors.zst"), "10000");
    CHECK_OK(nnclr_run_keep(run, 10000, 2, &e)); /* once more, after a resume */
    CHECK(there(folder, "checkpoint-9999.safetensors.zst"));
    CHECK_OK(nnclr_run_keep(run, 10001, 1, &e));
    CHECK(!there(folder, "checkpoint-9999.safetensors.zst"));
    CHECK(!there(folder, "checkpoint-10000.safetensors.zst"));
    CHECK(!there(folder, "checkpoint-10001.safetensors.zst"));
    CHECK(there(folder, "checkpoint.safetensors.zst"));
    nnclr_run_close(run);
}

TEST(metrics_are_cut_to_the_step) {
    nnclr_run *run = begin_run(scratch("metrics"), NNCLR_RUN_NEW, "new");
    char path[500];
    snprintf(path, sizeof path, "%s/metrics.jsonl", nnclr_run_folder(run));
    CHECK_OK(nnclr_run_metrics_open(run, -1, &e));
    CHECK_OK(nnclr_run_metrics_line(run, "{\"step\":1}", 10, &e));
    CHECK_OK(nnclr_run_metrics_line(run, "{\"step\":2,\"epoch\":9}\n", 21, &e));
    CHECK_OK(nnclr_run_metrics_line(run, "{\"probe\":0.5}", 13, &e));
    CHECK_OK(nnclr_run_metrics_line(run, "{\"step\":3}", 10, &e));
    check_text(path, "{\"step\":1}\n{\"step\":2,\"epoch\":9}\n{\"probe\":0.5}\n{\"step\":3}\n");
    CHECK(nnclr_run_metrics_has(run, 2, "epoch") && nnclr_run_metrics_has(run, 3, "step"));
    CHECK(!nnclr_run_metrics_has(run, 1, "epoch") && !nnclr_run_metrics_has(run, 3, "epoch") &&
          !nnclr_run_metrics_has(run, 4, "step") && !nnclr_run_metrics_has(run, 2, "probe"));

    FILE *file = fopen(path, "ab");
    CHECK(file && fputs("{\"step\":2", file) >= 0 && fclose(file) == 0);
    CHECK_OK(nnclr_run_metrics_open(run, 2, &e));
    check_text(path, "{\"step\":1}\n{\"step\":2,\"epoch\":9}\n{\"probe\":0.5}\n");
    CHECK_OK(nnclr_run_metrics_line(run, "{\"step\":3,\"again\":1}", 20, &e));
    check_text(
        path,
        "{\"step\":1}\n{\"step\":2,\"epoch\":9}\n{\"probe\":0.5}\n{\"step\":3,\"again\":1}\n");
    CHECK_OK(nnclr_run_metrics_open(run, 0, &e));
    check_text(path, "{\"probe\":0.5}\n");
    /* What a power failure may leave: lines that are not lines. */
    static const char torn[] = "{\"step\":1}\n\0\0\0\0{\"step\":2}\n{\"st\n{\"step\":3}\n";
    scratch_write(path, torn, sizeof torn - 1);
    CHECK_OK(nnclr_run_metrics_open(run, 2, &e));
    check_text(path, "{\"step\":1}\n");
    CHECK_OK(nnclr_run_metrics_open(run, -1, &e));
    check_text(path, "");
    unlink(path);
    CHECK(!nnclr_run_metrics_has(run, 1, "step"));
    CHECK_OK(nnclr_run_metrics_open(run, 7, &e));
    check_text(path, "");
    nnclr_run_close(run);
}

int main(void) {
    return check_all();
}
