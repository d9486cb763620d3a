#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

int nnclr_open_regular(const char *path, int flags, nnclr_error *e) {
    struct stat status;
    /* O_NONBLOCK: a FIFO must not hold us up before we have seen that it is one. */
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);
    bool opened = fd >= 0 && fstat(fd, &status) == 0;
    if (opened && S_ISREG(status.st_mode))
        return fd;
    const bool link = errno == ELOOP && flags & O_NOFOLLOW;
    if (opened || link || errno == EISDIR || errno == ENXIO) /* a folder, a FIFO nobody reads */
        nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: not a regular file", path);
    else {
        const int number = errno;
        nnclr_fail_errno(e, "%s", path);
        errno = number;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

bool nnclr_is_standard(const char *path) {
    return path && strcmp(path, "-") == 0;
}

const char *nnclr_input_name(const char *path) {
    return nnclr_is_standard(path) ? "standard input" : path;
}

bool nnclr_is_folder(const char *path) {
    struct stat status;
    return !nnclr_is_standard(path) && stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

bool nnclr_file_read(const char *path, size_t limit, nnclr_buffer *out, nnclr_error *e) {
    bool ok = false;
    struct stat status;
    out->size = 0;
    int fd = nnclr_open_regular(path, O_RDONLY, e);
    if (fd < 0)
        return false;
    if (fstat(fd, &status) != 0) {
        nnclr_fail_errno(e, "%s", path);
        goto exit;
    }
    if ((uint64_t)status.st_size > limit) {
        nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: %lld bytes, more than the limit of %zu", path,
                   (long long)status.st_size, limit);
        goto exit;
    }
    size_t size = (size_t)status.st_size;
    if (!nnclr_buffer_reserve(out, size, e) || !nnclr_read_at(fd, out->data, size, 0, path, e))
        goto exit;
    out->size = size;
    out->data[size] = '\0';
    ok = true;
exit:
    close(fd);
    return ok;
}

bool nnclr_read_at(int fd, void *to, size_t size, uint64_t offset, const char *name,
                   nnclr_error *e) {
    unsigned char *p = to;
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, p + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return nnclr_fail_errno(e, "%s", name);
        if (got == 0)
            return nnclr_fail(e, NNCLR_ERROR_INPUT,
                              "%s: ends at byte %llu where %zu more were expected", name,
                              (unsigned long long)(offset + done), size - done);
        done += (size_t)got;
    }
    return true;
}

bool nnclr_write_all(int fd, const void *from, size_t size, const char *name, nnclr_error *e) {
    const unsigned char *p = from;
    for (size_t done = 0; done < size;) {
        ssize_t put = write(fd, p + done, size - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return nnclr_fail_errno(e, "%s", name);
        done += (size_t)put;
    }
    return true;
}

static const char *temporary_folder(void) {
    const char *folder = getenv("TMPDIR");
    return folder && folder[0] != '\0' ? folder : "/tmp";
}

/* Otherwise the process is short of something, and would be with any folder. */
static bool is_fault_of_folder(int number) {
    return number != EMFILE && number != ENFILE && number != ENOMEM;
}

int nnclr_temporary_fd(nnclr_error *e) {
    const char *folder = temporary_folder();
    int fd = open(folder, O_RDWR | O_CLOEXEC | O_TMPFILE, 0600);
    if (fd >= 0)
        return fd;

    /* Not every file system has O_TMPFILE. */
    nnclr_buffer name = {0};
    if (nnclr_buffer_printf(&name, e, "%s/nnclr.XXXXXX", folder)) {
        fd = mkostemp((char *)name.data, O_CLOEXEC);
        if (fd < 0)
            nnclr_fail_errno(e, "%s: no temporary file can be made there%s", folder,
                             is_fault_of_folder(errno) ? " (set TMPDIR to another folder)" : "");
        else
            unlink((char *)name.data);
    }
    nnclr_buffer_free(&name);
    return fd;
}

void nnclr_temporary_name(char name[NNCLR_TEMPORARY_NAME]) {
    snprintf(name, NNCLR_TEMPORARY_NAME,
             "%s: a temporary file cannot be written there (set TMPDIR to a folder with room)",
             temporary_folder());
}

bool nnclr_temporary_write(int fd, const void *from, size_t size, nnclr_error *e) {
    char name[NNCLR_TEMPORARY_NAME];
    nnclr_temporary_name(name);
    return nnclr_write_all(fd, from, size, name, e);
}

bool nnclr_sync_folder_of(const char *path, nnclr_error *e) {
    const char *slash = strrchr(path, '/');
    nnclr_buffer folder = {0};
    bool ok = nnclr_buffer_printf(&folder, e, "%.*s", slash ? (int)(slash - path + 1) : 1,
                                  slash ? path : ".");
    if (!ok)
        return false;
    int fd = open((char *)folder.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        ok = nnclr_fail_errno(e, "%s: cannot be synced", (char *)folder.data);
    } else {
        /* Some file systems cannot sync a folder and say EINVAL: nothing more can be done. */
        if (fsync(fd) != 0 && errno != EINVAL)
            ok = nnclr_fail_errno(e, "%s: cannot be synced", (char *)folder.data);
        close(fd);
    }
    nnclr_buffer_free(&folder);
    return ok;
}

double nnclr_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
