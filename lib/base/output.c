/* Outputs that have their name only when they are whole: the second half of files.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"

struct nnclr_output {
    int fd;
    char *path;      /* what messages call it */
    char *target;    /* where it goes: the path, its links followed; NULL: written directly */
    bool nameless;   /* a regular file that has no name yet */
    bool synced;     /* what has been written so far */
    char *temporary; /* its name while it is not complete; NULL: it has none */
    uint64_t size;
};

/* ---- where a path leads ---- */

enum { LINKS_MOST = 40 }; /* as the kernel follows */

static int folder_length(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (int)(slash - path + 1) : 0;
}

/* Replaces the link `path` with what it says, which is relative to its folder. */
static bool follow(nnclr_buffer *path, nnclr_error *e) {
    char text[PATH_MAX];
    const char *link = (const char *)path->data;
    ssize_t size = readlink(link, text, sizeof text);
    if (size < 0 || (size_t)size == sizeof text)
        return nnclr_fail_errno(e, "%s", link);
    nnclr_buffer next = {0};
    int folder = text[0] == '/' ? 0 : folder_length(link);
    if (!nnclr_buffer_append(&next, link, (size_t)folder, e) ||
        !nnclr_buffer_append(&next, text, (size_t)size, e)) {
        nnclr_buffer_free(&next);
        return false;
    }
    nnclr_buffer_free(path);
    *path = next;
    return true;
}

/* `path` with the links at its end followed, even if the last of them leads to nothing yet. */
static char *target_of(const char *path, nnclr_error *e) {
    nnclr_buffer at = {0};
    struct stat status;
    bool ok = nnclr_buffer_append(&at, path, strlen(path), e);
    int links = 0;
    while (ok && lstat((char *)at.data, &status) == 0 && S_ISLNK(status.st_mode)) {
        if (links++ == LINKS_MOST) {
            errno = ELOOP;
            ok = nnclr_fail_errno(e, "%s", path);
        }
        ok = ok && follow(&at, e);
    }
    if (ok)
        return (char *)at.data;
    nnclr_buffer_free(&at);
    return NULL;
}

static bool identify(const char *path, nnclr_file_id *id) {
    struct stat status;
    int folder = folder_length(path);
    char above[PATH_MAX];
    *id = (nnclr_file_id){.known = false};
    if (stat(path, &status) == 0) {
        *id = nnclr_file_id_of(&status);
        return true;
    }
    if (errno != ENOENT || folder >= PATH_MAX || strlen(path + folder) >= sizeof id->name)
        return false;
    snprintf(above, sizeof above, "%.*s", folder ? folder : 1, folder ? path : ".");
    if (stat(above, &status) != 0)
        return false;
    id->known = true;
    id->device = (uint64_t)status.st_dev;
    id->inode = (uint64_t)status.st_ino;
    strcpy(id->name, path + folder);
    return true;
}

nnclr_file_id nnclr_file_id_of(const struct stat *status) {
    bool stays = S_ISREG(status->st_mode) || S_ISBLK(status->st_mode) || S_ISDIR(status->st_mode);
    return (nnclr_file_id){
        .known = stays, .device = (uint64_t)status->st_dev, .inode = (uint64_t)status->st_ino};
}

bool nnclr_file_identify(const char *path, nnclr_file_id *id) {
    nnclr_error unused = NNCLR_NO_ERROR;
    char *target = target_of(path, &unused);
    bool found = target && identify(target, id);
    if (!found)
        *id = (nnclr_file_id){.known = false};
    nnclr_free(target);
    return found && id->known;
}

bool nnclr_file_same(const nnclr_file_id *a, const nnclr_file_id *b) {
    return a->known && b->known && a->device == b->device && a->inode == b->inode &&
           strcmp(a->name, b->name) == 0;
}

/* ---- files without a name, and temporary names ---- */

/* What a descriptor is called in the file system, for linkat. */
enum { FD_NAME = 40 };
static void name_fd(int fd, char name[FD_NAME]) {
    snprintf(name, FD_NAME, "/proc/self/fd/%d", fd);
}

/* A file in the folder of the path that vanishes with its process, however that ends. -1: the file
 * system has no such files, or /proc is not there to give them a name later. */
static int open_nameless(const char *path) {
    int size = folder_length(path);
    nnclr_error ignored = NNCLR_NO_ERROR;
    nnclr_buffer folder = {0};
    char name[FD_NAME];
    if (!nnclr_buffer_printf(&folder, &ignored, "%.*s", size ? size : 1, size ? path : "."))
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

/* One more try at a temporary name: a new file if the output has none open, otherwise a name for
 * the one it has. O_EXCL and not mkostemp, so that the file gets the permissions that the user's
 * umask means. False with EEXIST: another has that name. */
static bool take_name(nnclr_output *output, const char *name) {
    char nameless[FD_NAME];
    if (output->nameless) {
        name_fd(output->fd, nameless);
        return linkat(AT_FDCWD, nameless, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
    }
    output->fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return output->fd >= 0;
}

/* How much of a name its temporary name repeats, so that the latter is no longer than a name may
 * be: all of it, except of the longest. A character is not cut in two. */
static int repeated(const char *name) {
    enum { MOST = NAME_MAX - NNCLR_TEMPORARY_EXTRA };
    size_t size = strlen(name);
    if (size <= MOST)
        return (int)size;
    size = MOST;
    while (size > 0 && ((unsigned char)name[size] & 0xC0) == 0x80)
        size--;
    return (int)size;
}

/* Gives the output a name next to its place that no other writer has. */
static bool name_temporary(nnclr_output *output, nnclr_error *e) {
    const int folder = folder_length(output->target);
    const char *own = output->target + folder;
    nnclr_buffer name = {0};
    bool ok;
    do {
        uint32_t random;
        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
            nnclr_fail_errno(e, "%s: no random name for a temporary file", output->path);
            goto fail;
        }
        name.size = 0;
        if (!nnclr_buffer_printf(&name, e, "%.*s.%.*s.%06x", folder, output->target, repeated(own),
                                 own, random & 0xffffff))
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

/* ---- opening and writing ---- */

/* The file takes the place of another, and its owner and permissions as far as we may give them. */
static void take_permissions(int fd, const struct stat *older) {
    if (fchown(fd, older->st_uid, older->st_gid) != 0 && fchown(fd, (uid_t)-1, older->st_gid) != 0)
        errno = 0; /* neither is ours to give: the file stays the user's */
    (void)!fchmod(fd, older->st_mode & 07777);
}

static bool open_file(nnclr_output *output, nnclr_error *e) {
    struct stat status;
    output->target = target_of(output->path, e);
    if (!output->target)
        return false;
    bool there = stat(output->target, &status) == 0;
    if (there && !S_ISREG(status.st_mode)) {
        nnclr_free(output->target);
        output->target = NULL;
        output->fd = open(output->path, O_WRONLY | O_CLOEXEC);
        return output->fd >= 0 || nnclr_fail_errno(e, "%s", output->path);
    }
    output->fd = open_nameless(output->target);
    output->nameless = output->fd >= 0;
    if (!output->nameless && !name_temporary(output, e))
        return false;
    if (there)
        take_permissions(output->fd, &status);
    return true;
}

nnclr_output *nnclr_output_open(const char *path, nnclr_error *e) {
    nnclr_output *output = nnclr_alloc_zero(1, sizeof *output, e);
    if (!output)
        return NULL;
    output->fd = -1;
    bool standard = nnclr_is_standard(path);
    output->path = nnclr_strdup(standard ? "standard output" : path, e);
    if (!output->path)
        goto fail;
    if (standard)
        output->fd = STDOUT_FILENO;
    else if (!open_file(output, e))
        goto fail;
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
    if (output->path) /* the file is not at fault, and so is not named */
        nnclr_fail_errno(e, "no descriptor is left for the output");
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

/* ---- ending ---- */

static bool sync_output(nnclr_output *output, nnclr_error *e) {
    if (output->target && !output->synced && fsync(output->fd) != 0)
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

/* Puts the output under its final name, if it has one of its own. */
static bool place(nnclr_output *output, nnclr_error *e) {
    if (!nnclr_output_finish(output, false, e))
        return false;
    if (!output->temporary)
        return true;
    if (rename(output->temporary, output->target) != 0)
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
    bool ok = place(output, e) && (!output->target || nnclr_sync_folder_of(output->target, e));
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
    nnclr_free(output->target);
    nnclr_free(output->path);
    nnclr_free(output);
}

bool nnclr_file_write(const char *path, const void *bytes, size_t size, nnclr_error *e) {
    nnclr_output *output = nnclr_output_open(path, e);
    if (output && nnclr_output_write(output, bytes, size, e))
        return nnclr_output_commit(output, e);
    nnclr_output_abandon(output);
    return false;
}
