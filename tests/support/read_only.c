/* A disk that becomes read-only under a running program, and writable again: preloaded
 * into the gateway, it refuses with EROFS whatever would change a file below $READ_ONLY
 * while the file $READ_ONLY_SWITCH exists. A file system that the kernel makes read-only
 * after an error answers so, and cannot be made writable again without a new mount. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int on(void) {
    const char *file = getenv("READ_ONLY_SWITCH");
    return file && access(file, F_OK) == 0;
}

static int below(const char *path) {
    const char *folder = getenv("READ_ONLY");
    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static int refused(int fd) {
    char link[64], path[PATH_MAX];
    int before = errno;
    if (!on()) { errno = before; return 0; }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length <= 0) return 0;
    path[length] = 0;
    /* Shared memory that is mapped already is written on by the kernel as well. */
    if (!below(path) || strstr(path, "-shm")) return 0;
    errno = EROFS;
    return 1;
}

static int refused_path(const char *path, int flags) {
    int before = errno, no = (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) && below(path) && on();
    errno = no ? EROFS : before;
    return no;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *bytes, size_t n) { REAL(write); return refused(fd) ? -1 : real(fd, bytes, n); }
ssize_t writev(int fd, const struct iovec *v, int n) { REAL(writev); return refused(fd) ? -1 : real(fd, v, n); }
ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) { REAL(pwrite); return refused(fd) ? -1 : real(fd, bytes, n, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) { REAL(pwrite64); return refused(fd) ? -1 : real(fd, bytes, n, at); }
int ftruncate(int fd, off_t length) { REAL(ftruncate); return refused(fd) ? -1 : real(fd, length); }
int ftruncate64(int fd, off64_t length) { REAL(ftruncate64); return refused(fd) ? -1 : real(fd, length); }
int unlink(const char *path) { REAL(unlink); return refused_path(path, O_RDWR) ? -1 : real(path); }
int rename(const char *a, const char *b) { REAL(rename); return refused_path(a, O_RDWR) ? -1 : real(a, b); }

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        return refused_path(path, flags) ? -1 : real(path, flags, mode); \
    }

OPEN(open)
OPEN(open64)
