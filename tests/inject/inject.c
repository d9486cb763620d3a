/* A library for LD_PRELOAD that makes a program's N-th call fail, as a full or broken disk would,
 * or kills or stops the program there. Nothing in it knows the programs under test.
 *
 *   NNCLR_INJECT=CALLS:FIRST:ACTION[:TIMES]
 *     CALLS    names among open, read, write, fsync, close, rename, link, unlink, truncate, joined
 *              by commas, or "any" except read; open counts if it may write, read and write also as
 *              pread and pwrite
 *     FIRST    the first of these calls that ACTION befalls, counted from 1
 *     ACTION   an errno such as ENOSPC: the call fails (a write after half of its bytes are in the
 *              file); kill: the process is killed before the call; stop: stopped before the call
 *     TIMES    this many calls from FIRST on (default 1), or "all"
 *   NNCLR_INJECT_FOLDER=PATH   only calls on files below PATH, an absolute name, are counted
 *   NNCLR_INJECT_LOG=FILE      gets a line for each counted call: its number, name and file
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PATH_BYTES = 4200 };

static atomic_long counted;

static const struct {
    const char *name;
    int number;
} errors[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},       {"EROFS", EROFS}, {"EDQUOT", EDQUOT},
              {"EFBIG", EFBIG},   {"EACCES", EACCES}, {"EPERM", EPERM}};

/* ---- which calls ---- */

/* Whether `word` is one of `list`, which ends at the first colon. */
static bool listed(const char *list, const char *word) {
    size_t size = strlen(word);
    for (const char *p = list; *p && *p != ':';) {
        size_t length = strcspn(p, ",:");
        if ((length == size && strncmp(p, word, size) == 0) ||
            (length == 3 && strncmp(p, "any", 3) == 0 && strcmp(word, "read") != 0))
            return true;
        p += length + (p[length] == ',');
    }
    return false;
}

static void path_of_fd(int fd, char path[PATH_BYTES]) {
    char name[40];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(name, path, PATH_BYTES - 1);
    path[size < 0 ? 0 : size] = '\0';
}

static void absolute(const char *name, char path[PATH_BYTES]) {
    char folder[PATH_BYTES / 2] = "";
    if (name[0] != '/' && !getcwd(folder, sizeof folder))
        folder[0] = '\0';
    snprintf(path, PATH_BYTES, "%s%s%.*s", folder, name[0] == '/' ? "" : "/", PATH_BYTES / 2 - 2,
             name);
}

static bool below(const char *path, const char *folder) {
    size_t size = strlen(folder);
    return strncmp(path, folder, size) == 0 && (path[size] == '/' || path[size] == '\0');
}

static void log_call(long number, const char *call, const char *path) {
    const char *name = getenv("NNCLR_INJECT_LOG");
    char line[PATH_BYTES + 100];
    if (!name)
        return;
    int size = snprintf(line, sizeof line, "%ld %s %s\n", number, call, path);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (fd < 0 || syscall(SYS_write, fd, line, (size_t)size) != size)
        abort();
    syscall(SYS_close, fd);
}

/* 0: the call may go on; otherwise the errno that it fails with. */
static int fault(const char *call, const char *path) {
    const char *plan = getenv("NNCLR_INJECT"), *folder = getenv("NNCLR_INJECT_FOLDER");
    if (!plan || !listed(plan, call) || (folder && !below(path, folder)))
        return 0;
    long number = atomic_fetch_add(&counted, 1) + 1, first = 0, times = 1;
    log_call(number, call, path);
    char action[20] = "", how_often[20] = "1";
    const char *rest = strchr(plan, ':');
    if (!rest || sscanf(rest, ":%ld:%19[^:]:%19s", &first, action, how_often) < 2)
        abort();
    times = strcmp(how_often, "all") == 0 ? 1L << 40 : atol(how_often);
    if (number < first || number - first >= times)
        return 0;
    if (strcmp(action, "kill") == 0)
        raise(SIGKILL);
    if (strcmp(action, "stop") == 0) {
        raise(SIGSTOP);
        return 0;
    }
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (strcmp(action, errors[i].name) == 0)
            return errors[i].number;
    abort();
}

static bool fails(const char *call, const char *path) {
    int number = fault(call, path);
    if (number != 0)
        errno = number;
    return number != 0;
}

/* ---- the calls ---- */

#define REAL(result, name, ...)                                                                    \
    static result (*real)(__VA_ARGS__);                                                            \
    if (!real)                                                                                     \
    *(void **)&real = dlsym(RTLD_NEXT, #name)

#define OPEN(name)                                                                                 \
    int name(const char *file, int flags, ...) {                                                   \
        REAL(int, name, const char *, int, ...);                                                   \
        char path[PATH_BYTES];                                                                     \
        mode_t mode = 0;                                                                           \
        if (flags & (O_CREAT | __O_TMPFILE)) {                                                     \
            va_list arguments;                                                                     \
            va_start(arguments, flags);                                                            \
            mode = va_arg(arguments, mode_t);                                                      \
            va_end(arguments);                                                                     \
        }                                                                                          \
        absolute(file, path);                                                                      \
        if ((flags & O_ACCMODE) != O_RDONLY && fails("open", path))                                \
            return -1;                                                                             \
        return real(file, flags, mode);                                                            \
    }
OPEN(open)
OPEN(open64)

ssize_t read(int fd, void *bytes, size_t size) {
    REAL(ssize_t, read, int, void *, size_t);
    char path[PATH_BYTES];
    path_of_fd(fd, path);
    return fails("read", path) ? -1 : real(fd, bytes, size);
}

#define PREAD(name)                                                                                \
    ssize_t name(int fd, void *bytes, size_t size, off_t offset) {                                 \
        REAL(ssize_t, name, int, void *, size_t, off_t);                                           \
        char path[PATH_BYTES];                                                                     \
        path_of_fd(fd, path);                                                                      \
        return fails("read", path) ? -1 : real(fd, bytes, size, offset);                           \
    }
PREAD(pread)
PREAD(pread64)

ssize_t write(int fd, const void *bytes, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    char path[PATH_BYTES];
    path_of_fd(fd, path);
    int number = fault("write", path);
    if (number == 0)
        return real(fd, bytes, size);
    if (size > 1)
        (void)!real(fd, bytes, size / 2);
    errno = number;
    return -1;
}

#define PWRITE(name)                                                                               \
    ssize_t name(int fd, const void *bytes, size_t size, off_t offset) {                           \
        REAL(ssize_t, name, int, const void *, size_t, off_t);                                     \
        char path[PATH_BYTES];                                                                     \
        path_of_fd(fd, path);                                                                      \
        return fails("write", path) ? -1 : real(fd, bytes, size, offset);                          \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

int fsync(int fd) {
    REAL(int, fsync, int);
    char path[PATH_BYTES];
    path_of_fd(fd, path);
    return fails("fsync", path) ? -1 : real(fd);
}

/* Closed in any case, as Linux does. */
int close(int fd) {
    REAL(int, close, int);
    char path[PATH_BYTES];
    path_of_fd(fd, path);
    int flags = fcntl(fd, F_GETFL);
    bool writable = flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
    bool failed = writable && fails("close", path);
    int number = errno, result = real(fd);
    if (failed)
        errno = number;
    return failed ? -1 : result;
}

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    char path[PATH_BYTES];
    absolute(to, path);
    return fails("rename", path) ? -1 : real(from, to);
}

int link(const char *from, const char *to) {
    REAL(int, link, const char *, const char *);
    char path[PATH_BYTES];
    absolute(to, path);
    return fails("link", path) ? -1 : real(from, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    REAL(int, linkat, int, const char *, int, const char *, int);
    char path[PATH_BYTES];
    absolute(to, path);
    return fails("link", path) ? -1 : real(from_folder, from, to_folder, to, flags);
}

int unlink(const char *file) {
    REAL(int, unlink, const char *);
    char path[PATH_BYTES];
    absolute(file, path);
    return fails("unlink", path) ? -1 : real(file);
}

#define TRUNCATE(name)                                                                             \
    int name(int fd, off_t size) {                                                                 \
        REAL(int, name, int, off_t);                                                               \
        char path[PATH_BYTES];                                                                     \
        path_of_fd(fd, path);                                                                      \
        return fails("truncate", path) ? -1 : real(fd, size);                                      \
    }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)
