/* A disk that hangs under a running program: preloaded into the gateway, it lets nothing below
 * $HANGS become durable while the file $HANGS_SWITCH exists. So does a server that is away, or a
 * memory card that dies: what is in the kernel's memory can be read and written still. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void wait_for_disk(int fd) {
    const char *folder = getenv("HANGS"), *file = getenv("HANGS_SWITCH");
    char link[64], path[PATH_MAX];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (folder && file && length > 0) {
        path[length] = 0;
        while (strncmp(path, folder, strlen(folder)) == 0 && access(file, F_OK) == 0) usleep(20000);
    }
    errno = before;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

int fsync(int fd) { REAL(fsync); wait_for_disk(fd); return real(fd); }
int fdatasync(int fd) { REAL(fdatasync); wait_for_disk(fd); return real(fd); }
