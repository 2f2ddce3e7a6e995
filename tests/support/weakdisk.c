/* A library to preload: the disk below WEAK_FOLDER lacks what WEAK_... names, with the errno that stands there. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int locked = -1;

static int is_inside(const char *path) {
    const char *folder = getenv("WEAK_FOLDER");
    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static int is_open_inside(int descriptor) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_inside(path);
}

/* Whether the call is refused; errno is set then. */
static int refused(const char *promise, int is_meant) {
    const char *number = getenv(promise);
    if (!number || !is_meant) return 0;
    errno = atoi(number);
    return 1;
}

static int is_locked_by_another(int descriptor) {
    struct stat mine, theirs;
    return locked >= 0 && descriptor != locked && fstat(descriptor, &mine) == 0 && fstat(locked, &theirs) == 0 &&
           mine.st_ino == theirs.st_ino && mine.st_dev == theirs.st_dev;
}

int flock(int descriptor, int operation) {
    if (refused("WEAK_LOCKS", is_open_inside(descriptor))) return -1;
    int result = syscall(SYS_flock, descriptor, operation);
    if (result == 0 && is_open_inside(descriptor)) locked = operation & LOCK_UN ? -1 : descriptor;
    return result;
}

int close(int descriptor) {
    if (descriptor == locked) locked = -1;
    return syscall(SYS_close, descriptor);
}

ssize_t read(int descriptor, void *buffer, size_t size) {
    if (locked >= 0 && refused("WEAK_SHARED_READS", is_locked_by_another(descriptor))) return -1;
    return syscall(SYS_read, descriptor, buffer, size);
}

int linkat(int from, const char *source, int to, const char *target, int flags) {
    return refused("WEAK_LINKS", is_inside(target)) ? -1 : syscall(SYS_linkat, from, source, to, target, flags);
}

int link(const char *source, const char *target) { return linkat(AT_FDCWD, source, AT_FDCWD, target, 0); }

int fchmod(int descriptor, mode_t mode) {
    return refused("WEAK_PERMISSIONS", is_open_inside(descriptor)) ? -1 : syscall(SYS_fchmod, descriptor, mode);
}

int fchmodat(int folder, const char *path, mode_t mode, int flags) {
    (void)flags;
    return refused("WEAK_PERMISSIONS", is_inside(path)) ? -1 : syscall(SYS_fchmodat, folder, path, mode);
}

int chmod(const char *path, mode_t mode) { return fchmodat(AT_FDCWD, path, mode, 0); }

int fsync(int descriptor) {
    struct stat file;
    int is_folder = fstat(descriptor, &file) == 0 && S_ISDIR(file.st_mode) && is_open_inside(descriptor);
    return refused("WEAK_FOLDER_SYNC", is_folder) ? -1 : syscall(SYS_fsync, descriptor);
}
