/* Preloaded into a process: writes down what it does to the files under POWER_ROOT, so that a test can
   rebuild what a disk would hold if the power were cut at any moment.

   A line of POWER_JOURNAL is one operation; the content of a write follows its line. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *root;
static size_t root_length;
static int journal = -1;

__attribute__((constructor)) static void begin(void) {
    root = getenv("POWER_ROOT");
    const char *path = getenv("POWER_JOURNAL");
    if (!root || !path) return;
    root_length = strlen(root);
    journal = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int inside(const char *path) { return root && !strncmp(path, root, root_length); }

/* The path of a descriptor, if it lies under the root and has a name still. */
static int named(int fd, char path[PATH_MAX]) {
    char link[64];
    if (journal < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return inside(path);
}

static void note(const void *content, size_t length, const char *format, ...) {
    char line[3 * PATH_MAX];
    va_list words;
    va_start(words, format);
    int size = vsnprintf(line, sizeof line, format, words);
    va_end(words);
    struct iovec parts[2] = {{line, (size_t)size}, {(void *)content, length}};
    if (syscall(SYS_writev, journal, parts, length ? 2 : 1) != (long)(size + length)) abort();
}

static unsigned long number(int fd) {
    struct stat found;
    return fstat(fd, &found) ? 0 : (unsigned long)found.st_ino;
}

static int opened(int folder, const char *path, int flags, mode_t mode) {
    int made = (flags & O_CREAT) && folder == AT_FDCWD && inside(path) && access(path, F_OK);
    if (journal < 0 || !(made || (flags & O_TRUNC)))
        return (int)syscall(SYS_openat, folder, path, flags, mode);
    pthread_mutex_lock(&lock);
    int fd = (int)syscall(SYS_openat, folder, path, flags, mode), error = errno;
    char full[PATH_MAX];
    if (fd >= 0 && named(fd, full))
        note(0, 0, "%s %lu %s\n", made ? "create" : "truncate", number(fd), made ? full : "0");
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list words; va_start(words, flags); mode_t mode = va_arg(words, mode_t); va_end(words); \
        return opened(AT_FDCWD, path, flags, mode); }
#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        va_list words; va_start(words, flags); mode_t mode = va_arg(words, mode_t); va_end(words); \
        return opened(folder, path, flags, mode); }
OPEN(open) OPEN(open64) OPENAT(openat) OPENAT(openat64)

ssize_t write(int fd, const void *content, size_t length) {
    char path[PATH_MAX];
    if (!named(fd, path)) return syscall(SYS_write, fd, content, length);
    pthread_mutex_lock(&lock);
    ssize_t done = syscall(SYS_write, fd, content, length);
    int error = errno;
    if (done > 0) {
        off_t end = lseek(fd, 0, SEEK_CUR);
        note(content, (size_t)done, "write %lu %ld %zd\n", number(fd), (long)(end - done), done);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

static ssize_t put(int fd, const void *content, size_t length, off_t offset) {
    char path[PATH_MAX];
    if (!named(fd, path)) return syscall(SYS_pwrite64, fd, content, length, offset);
    pthread_mutex_lock(&lock);
    ssize_t done = syscall(SYS_pwrite64, fd, content, length, offset);
    int error = errno;
    if (done > 0) note(content, (size_t)done, "write %lu %ld %zd\n", number(fd), (long)offset, done);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}
ssize_t pwrite(int fd, const void *content, size_t length, off_t offset) { return put(fd, content, length, offset); }
ssize_t pwrite64(int fd, const void *content, size_t length, off_t offset) { return put(fd, content, length, offset); }

static int cut(int fd, off_t length) {
    char path[PATH_MAX];
    int ours = named(fd, path);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_ftruncate, fd, length), error = errno;
    if (ours && !result) note(0, 0, "truncate %lu %ld\n", number(fd), (long)length);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}
int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off_t length) { return cut(fd, length); }

/* What was written before the call began is on disk once it has ended. */
static int synced(int fd, long call) {
    char path[PATH_MAX];
    int ours = named(fd, path);
    long who = syscall(SYS_gettid);
    if (ours) {
        pthread_mutex_lock(&lock);
        note(0, 0, "begin %lu %ld %s\n", number(fd), who, path);
        pthread_mutex_unlock(&lock);
    }
    int result = (int)syscall(call, fd), error = errno;
    if (ours && !result) {
        pthread_mutex_lock(&lock);
        note(0, 0, "end %ld\n", who);
        pthread_mutex_unlock(&lock);
    }
    errno = error;
    return result;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    pthread_mutex_lock(&lock);
    int result = real(from, to), error = errno;
    if (journal >= 0 && !result && inside(from)) note(0, 0, "rename %s\t%s\n", from, to);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    pthread_mutex_lock(&lock);
    int result = real(path), error = errno;
    if (journal >= 0 && !result && inside(path)) note(0, 0, "unlink %s\n", path);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    pthread_mutex_lock(&lock);
    int result = real(path, mode), error = errno;
    if (journal >= 0 && !result && inside(path)) note(0, 0, "mkdir %s\n", path);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}
