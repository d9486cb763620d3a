#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

bool nnclr_file_read(const char *path, size_t limit, nnclr_buffer *out, nnclr_error *e) {
    bool ok = false;
    struct stat status;
    out->size = 0;
    /* O_NONBLOCK: a FIFO must not hold us up before we have seen that it is one. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return nnclr_fail_errno(e, "%s", path);
    if (fstat(fd, &status) != 0) {
        nnclr_fail_errno(e, "%s", path);
        goto exit;
    }
    if (!S_ISREG(status.st_mode)) {
        nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: not a regular file", path);
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

int nnclr_temporary_fd(nnclr_error *e) {
    const char *folder = getenv("TMPDIR");
    if (!folder || folder[0] == '\0')
        folder = "/tmp";
    int fd = open(folder, O_RDWR | O_CLOEXEC | O_TMPFILE, 0600);
    if (fd >= 0)
        return fd;

    /* Not every file system has O_TMPFILE. */
    nnclr_buffer name = {0};
    if (nnclr_buffer_printf(&name, e, "%s/nnclr.XXXXXX", folder)) {
        fd = mkostemp((char *)name.data, O_CLOEXEC);
        if (fd < 0)
            nnclr_fail_errno(e, "%s: no temporary file can be made there", folder);
        else
            unlink((char *)name.data);
    }
    nnclr_buffer_free(&name);
    return fd;
}

struct nnclr_output {
    int fd;
    char *path;      /* final name, or what messages call it */
    bool nameless;   /* a regular file that has no name yet */
    bool synced;     /* what has been written so far */
    char *temporary; /* its name while it is not complete; NULL: it has none, or is written directly
                      */
    uint64_t size;
};

/* What a descriptor is called in the file system, for linkat. */
enum { FD_NAME = 40 };
static void name_fd(int fd, char name[FD_NAME]) {
    snprintf(name, FD_NAME, "/proc/self/fd/%d", fd);
}

/* A file in the folder of the path that vanishes with its process, however that ends. -1: the file
 * system has no such files, or /proc is not there to give them a name later. */
static int open_nameless(const char *path) {
    const char *slash = strrchr(path, '/');
    nnclr_error ignored = NNCLR_NO_ERROR;
    nnclr_buffer folder = {0};
    char name[FD_NAME];
    if (!nnclr_buffer_printf(&folder, &ignored, "%.*s", slash ? (int)(slash - path + 1) : 1,
                             slash ? path : "."))
        return -1;
    int fd = open((char *)folder.data, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
    nnclr_buffer_free(&folder);
    if (fd < 0)
        return -1;
    name_fd(fd, name);
    if (access(name, F_OK) == 0)
        return fd;
    close(fd);
    return -1;
}

/* One more try at a temporary name: a new file where the output has none open, else a name for the
 * one it has. O_EXCL and not mkostemp, so that the file gets the permissions that the user's umask
 * means. False with EEXIST: another has that name. */
static bool take_name(nnclr_output *output, const char *name) {
    char nameless[FD_NAME];
    if (output->nameless) {
        name_fd(output->fd, nameless);
        return linkat(AT_FDCWD, nameless, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
    }
    output->fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return output->fd >= 0;
}

/* Gives the output a name beside its place that no other writer has. */
static bool name_temporary(nnclr_output *output, nnclr_error *e) {
    const char *slash = strrchr(output->path, '/');
    int folder = slash ? (int)(slash - output->path + 1) : 0;
    nnclr_buffer name = {0};
    bool ok;
    do {
        uint32_t random;
        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
            nnclr_fail_errno(e, "%s: no random name for a temporary file", output->path);
            goto fail;
        }
        name.size = 0;
        if (!nnclr_buffer_printf(&name, e, "%.*s.%s.%06x", folder, output->path,
                                 output->path + folder, random & 0xffffff))
            goto fail;
        ok = take_name(output, (char *)name.data);
    } while (!ok && errno == EEXIST);
    if (!ok) {
        nnclr_fail_errno(e, "%s", output->path);
        goto fail;
    }
    output->temporary = (char *)name.data;
    output->nameless = false;
    return true;
fail:
    nnclr_buffer_free(&name);
    return false;
}

static bool open_temporary(nnclr_output *output, nnclr_error *e) {
    output->fd = open_nameless(output->path);
    output->nameless = output->fd >= 0;
    return output->nameless || name_temporary(output, e);
}

nnclr_output *nnclr_output_open(const char *path, nnclr_error *e) {
    nnclr_output *output = nnclr_alloc_zero(1, sizeof *output, e);
    if (!output)
        return NULL;
    output->fd = -1;
    bool standard = strcmp(path, "-") == 0;
    output->path = nnclr_strdup(standard ? "standard output" : path, e);
    if (!output->path)
        goto fail;

    struct stat status;
    if (standard) {
        output->fd = STDOUT_FILENO;
    } else if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        output->fd = open(path, O_WRONLY | O_CLOEXEC);
        if (output->fd < 0) {
            nnclr_fail_errno(e, "%s", path);
            goto fail;
        }
    } else if (!open_temporary(output, e)) {
        goto fail;
    }
    return output;
fail:
    nnclr_output_abandon(output);
    return NULL;
}

nnclr_output *nnclr_output_open_fd(int fd, const char *name, nnclr_error *e) {
    nnclr_output *output = nnclr_alloc_zero(1, sizeof *output, e);
    if (!output)
        return NULL;
    output->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    output->path = nnclr_strdup(name, e);
    if (output->path && output->fd >= 0)
        return output;
    if (output->path)
        nnclr_fail_errno(e, "%s", name);
    nnclr_output_abandon(output);
    return NULL;
}

bool nnclr_output_write(nnclr_output *output, const void *bytes, size_t size, nnclr_error *e) {
    if (!nnclr_write_all(output->fd, bytes, size, output->path, e))
        return false;
    output->synced = false;
    output->size += size;
    return true;
}

uint64_t nnclr_output_size(const nnclr_output *output) {
    return output->size;
}

static bool sync_output(nnclr_output *output, nnclr_error *e) {
    bool regular = output->nameless || output->temporary;
    if (regular && !output->synced && fsync(output->fd) != 0)
        return nnclr_fail_errno(e, "%s", output->path);
    output->synced = true;
    return true;
}

static bool close_output(nnclr_output *output, nnclr_error *e) {
    int fd = output->fd;
    if (fd < 0 || fd == STDOUT_FILENO)
        return true;
    output->fd = -1;
    return close(fd) == 0 || nnclr_fail_errno(e, "%s", output->path);
}

bool nnclr_output_finish(nnclr_output *output, bool hold, nnclr_error *e) {
    if (!sync_output(output, e))
        return false;
    return hold || ((!output->nameless || name_temporary(output, e)) && close_output(output, e));
}

/* Under its final name, if the output has one of its own. */
static bool place(nnclr_output *output, nnclr_error *e) {
    if (!nnclr_output_finish(output, false, e))
        return false;
    if (!output->temporary)
        return true;
    if (rename(output->temporary, output->path) != 0)
        return nnclr_fail_errno(e, "%s", output->path);
    nnclr_free(output->temporary); /* it has its name now: nothing to remove */
    output->temporary = NULL;
    return true;
}

bool nnclr_output_place(nnclr_output *output, nnclr_error *e) {
    bool ok = place(output, e);
    nnclr_output_abandon(output);
    return ok;
}

bool nnclr_output_commit(nnclr_output *output, nnclr_error *e) {
    bool regular = output->nameless || output->temporary;
    bool ok = place(output, e) && (!regular || nnclr_sync_folder_of(output->path, e));
    nnclr_output_abandon(output);
    return ok;
}

void nnclr_output_abandon(nnclr_output *output) {
    if (!output)
        return;
    if (output->fd >= 0 && output->fd != STDOUT_FILENO)
        close(output->fd);
    if (output->temporary)
        unlink(output->temporary);
    nnclr_free(output->temporary);
    nnclr_free(output->path);
    nnclr_free(output);
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
