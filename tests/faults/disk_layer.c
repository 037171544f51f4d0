/*
 * A layer between a program and the C library: what goes to the disk is recorded, and fails when told to.
 *
 * Loaded with LD_PRELOAD. SQLite, Python and this program's own code all write through these calls, so the record
 * holds everything that happens below DISK_LAYER_ROOT, in order: `tests/faults/power_loss.py` reads it. The memory that
 * SQLite maps for its -shm file is not recorded: nothing of it outlives a power cut.
 *
 *   DISK_LAYER_ROOT   only paths below this folder count
 *   DISK_LAYER_LOG    the record; no record is kept where it is not set
 *   DISK_LAYER_FAIL   a folder: while it holds a file "fsync", each fsync and fdatasync fails with EIO; "write": each
 *                     write; "readonly": each write and each change of a name or size, with EROFS; a name with a
 *                     number behind it ("fsync 7") fails only that one, counted from 1; "unreadable": reads fail with
 *                     EIO as its lines say, "INODE START END": of this file, from one octet up to another
 *
 * A record: a struct entry, then its first path, its second path, and its content.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct entry {
    uint32_t kind, path_length, other_length, content_length;
    uint64_t inode, offset;
};

enum kind { CREATE = 1, WRITE, TRUNCATE, SYNC, SYNC_FAILED, RENAME, UNLINK, LINK, MAKE_FOLDER, REMOVE_FOLDER, MARK };

#define DESCRIPTORS 65536
static unsigned char tracked[DESCRIPTORS]; /* 1: a file below the root; 2: the file of marks */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *root, *fail;
static size_t root_length;
static int record = -1;
static unsigned long syncs, writes;

__attribute__((constructor)) static void begin(void) {
    root = getenv("DISK_LAYER_ROOT");
    fail = getenv("DISK_LAYER_FAIL");
    root_length = root ? strlen(root) : 0;
    const char *log = getenv("DISK_LAYER_LOG");
    if (log)
        record = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_ours(const char *path) {
    return root && strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || !path[root_length]);
}

static int is_tracked(int fd) { return fd >= 0 && fd < DESCRIPTORS && tracked[fd] == 1; }

static uint64_t inode_of(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

static void note(enum kind kind, uint64_t inode, uint64_t offset, const char *path, const char *other,
                 const void *content, size_t length) {
    if (record < 0)
        return;
    struct entry entry = {kind, path ? strlen(path) : 0, other ? strlen(other) : 0, length, inode, offset};
    struct iovec parts[] = {{&entry, sizeof entry},
                            {(void *)path, entry.path_length},
                            {(void *)other, entry.other_length},
                            {(void *)content, length}};
    if (syscall(SYS_writev, record, parts, 4) != (long)(sizeof entry + entry.path_length + entry.other_length + length))
        abort(); /* a record with a hole would prove nothing */
}

static int must_fail(const char *what, unsigned long *count) {
    char path[PATH_MAX];
    if (!fail)
        return 0;
    ++*count;
    snprintf(path, sizeof path, "%s/%s", fail, what);
    if (access(path, F_OK) == 0)
        return 1;
    snprintf(path, sizeof path, "%s/%s %lu", fail, what, *count);
    return access(path, F_OK) == 0;
}

static int is_read_only(void) {
    char path[PATH_MAX];
    if (!fail)
        return 0;
    snprintf(path, sizeof path, "%s/readonly", fail);
    return access(path, F_OK) == 0;
}

static int opened(int folder, const char *path, int flags, mode_t mode) {
    int ours = is_ours(path);
    pthread_mutex_lock(&lock);
    struct stat status;
    int existed = !ours || lstat(path, &status) == 0;
    if (!existed && (flags & O_CREAT) && is_read_only()) {
        pthread_mutex_unlock(&lock);
        errno = EROFS;
        return -1;
    }
    int fd = (int)syscall(SYS_openat, folder, path, flags, mode);
    int error = errno;
    if (fd >= 0 && fd < DESCRIPTORS) {
        size_t length = strlen(path);
        tracked[fd] = ours ? (length > 6 && strcmp(path + length - 6, "/marks") == 0 ? 2 : 1) : 0;
        if (tracked[fd] == 1 && !existed)
            note(CREATE, inode_of(fd), 0, path, NULL, NULL, 0);
        else if (tracked[fd] == 1 && (flags & O_TRUNC))
            note(TRUNCATE, inode_of(fd), 0, NULL, NULL, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define MODE(flags, mode)                                                                                              \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                                           \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = va_arg(rest, mode_t);                                                                                   \
        va_end(rest);                                                                                                  \
    }

int open(const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}
int openat(int folder, const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(folder, path, flags, mode);
}
int openat64(int folder, const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(folder, path, flags | O_LARGEFILE, mode);
}

int close(int fd) {
    if (fd >= 0 && fd < DESCRIPTORS)
        tracked[fd] = 0;
    return (int)syscall(SYS_close, fd);
}

/* How much of a read is before the first octet that the disk does not give: -1 where that is its first one. */
static ssize_t readable(int fd, size_t size, off64_t offset) {
    char path[PATH_MAX];
    unsigned long long inode;
    long long start, end;
    if (!fail || !is_tracked(fd))
        return (ssize_t)size;
    snprintf(path, sizeof path, "%s/unreadable", fail);
    int error = errno;
    FILE *lines = fopen(path, "re");
    errno = error;
    if (!lines)
        return (ssize_t)size;
    while (fscanf(lines, "%llu %lld %lld", &inode, &start, &end) == 3) {
        if (inode != inode_of(fd))
            continue;
        if (offset >= start && offset < end)
            size = (size_t)-1;
        else if (offset < start && offset + (long long)size > start && (ssize_t)size > 0)
            size = (size_t)(start - offset);
        if ((ssize_t)size < 0)
            break;
    }
    fclose(lines);
    return (ssize_t)size;
}

static ssize_t taken(int fd, void *content, size_t size, off64_t offset) {
    ssize_t given = readable(fd, size, offset < 0 ? lseek64(fd, 0, SEEK_CUR) : offset);
    if (given < 0) {
        errno = EIO;
        return -1;
    }
    return offset < 0 ? syscall(SYS_read, fd, content, given) : syscall(SYS_pread64, fd, content, given, offset);
}

ssize_t read(int fd, void *content, size_t size) {
    return is_tracked(fd) ? taken(fd, content, size, -1) : syscall(SYS_read, fd, content, size);
}
ssize_t pread(int fd, void *content, size_t size, off_t offset) { return taken(fd, content, size, offset); }
ssize_t pread64(int fd, void *content, size_t size, off64_t offset) { return taken(fd, content, size, offset); }

static ssize_t written(int fd, const void *content, size_t size, off64_t offset) {
    if (fd >= 0 && fd < DESCRIPTORS && tracked[fd] == 2) {
        pthread_mutex_lock(&lock);
        note(MARK, 0, 0, NULL, NULL, content, size);
        pthread_mutex_unlock(&lock);
        return (ssize_t)size;
    }
    if (!is_tracked(fd))
        return offset < 0 ? syscall(SYS_write, fd, content, size) : syscall(SYS_pwrite64, fd, content, size, offset);
    pthread_mutex_lock(&lock);
    ssize_t result = -1;
    int error = EIO;
    if (is_read_only()) {
        error = EROFS;
    } else if (!must_fail("write", &writes)) {
        if (offset < 0) {
            offset = lseek64(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
            result = syscall(SYS_write, fd, content, size);
        } else {
            result = syscall(SYS_pwrite64, fd, content, size, offset);
        }
        error = errno;
        if (result > 0)
            note(WRITE, inode_of(fd), (uint64_t)offset, NULL, NULL, content, (size_t)result);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

ssize_t write(int fd, const void *content, size_t size) { return written(fd, content, size, -1); }
ssize_t pwrite(int fd, const void *content, size_t size, off_t offset) { return written(fd, content, size, offset); }
ssize_t pwrite64(int fd, const void *content, size_t size, off64_t offset) {
    return written(fd, content, size, offset);
}

ssize_t sendfile64(int to, int from, off64_t *offset, size_t size) {
    if (is_tracked(to)) { /* Python then copies by read and write */
        errno = ENOTSOCK;
        return -1;
    }
    return syscall(SYS_sendfile, to, from, offset, size);
}
ssize_t sendfile(int to, int from, off_t *offset, size_t size) { return sendfile64(to, from, offset, size); }
ssize_t copy_file_range(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t size, unsigned flags) {
    if (is_tracked(to)) {
        errno = EXDEV;
        return -1;
    }
    return syscall(SYS_copy_file_range, from, from_offset, to, to_offset, size, flags);
}

static int resized(int fd, off64_t size) {
    if (!is_tracked(fd))
        return (int)syscall(SYS_ftruncate, fd, size);
    if (is_read_only()) {
        errno = EROFS;
        return -1;
    }
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_ftruncate, fd, size), error = errno;
    if (result == 0)
        note(TRUNCATE, inode_of(fd), (uint64_t)size, NULL, NULL, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}
int ftruncate(int fd, off_t size) { return resized(fd, size); }
int ftruncate64(int fd, off64_t size) { return resized(fd, size); }
int fallocate(int fd, int mode, off_t offset, off_t size) {
    if (is_tracked(fd)) { /* SQLite then writes a page's last octet instead */
        errno = EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_fallocate, fd, mode, offset, size);
}
int posix_fallocate(int fd, off_t offset, off_t size) {
    return fallocate(fd, 0, offset, size) == 0 ? 0 : errno;
}

static int synced(int fd, long call) {
    if (!is_tracked(fd))
        return (int)syscall(call, fd);
    pthread_mutex_lock(&lock);
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    int result = must_fail("fsync", &syncs) ? -1 : 0;
    note(result ? SYNC_FAILED : SYNC, inode_of(fd), 0, path, NULL, NULL, 0);
    pthread_mutex_unlock(&lock);
    if (result)
        errno = EIO;
    return result; /* what is on the disk is decided when the record is replayed */
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static int named(enum kind kind, const char *path, const char *other, int (*act)(const char *, const char *)) {
    if (!is_ours(path) && !(other && is_ours(other)))
        return act(path, other);
    if (is_read_only()) {
        errno = EROFS;
        return -1;
    }
    pthread_mutex_lock(&lock);
    int result = act(path, other), error = errno;
    if (result == 0)
        note(kind, 0, 0, path, other, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}
static int do_rename(const char *path, const char *other) {
    return (int)syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, other, 0);
}
static int do_unlink(const char *path, const char *other) {
    (void)other;
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
static int do_remove(const char *path, const char *other) {
    (void)other;
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}
static int do_link(const char *path, const char *other) {
    return (int)syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, other, 0);
}
static _Thread_local mode_t folder_mode;
static int do_make(const char *path, const char *other) {
    (void)other;
    return (int)syscall(SYS_mkdirat, AT_FDCWD, path, folder_mode);
}

int rename(const char *path, const char *other) { return named(RENAME, path, other, do_rename); }
int unlink(const char *path) { return named(UNLINK, path, NULL, do_unlink); }
int rmdir(const char *path) { return named(REMOVE_FOLDER, path, NULL, do_remove); }
int link(const char *path, const char *other) { return named(LINK, path, other, do_link); }
int mkdir(const char *path, mode_t mode) {
    folder_mode = mode;
    return named(MAKE_FOLDER, path, NULL, do_make);
}
int linkat(int folder, const char *path, int other_folder, const char *other, int flags) {
    if (folder == AT_FDCWD && other_folder == AT_FDCWD)
        return link(path, other);
    return (int)syscall(SYS_linkat, folder, path, other_folder, other, flags);
}
