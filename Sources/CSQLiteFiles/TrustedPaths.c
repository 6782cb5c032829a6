// A database may lie in a directory that others may write: whoever may use that database, say. Then its path is no proof of
// anything: a symbolic link in its place, or in that of a directory on the way, would lead the daemon to any file that its user
// may open, other databases first. So every path of SQLite's is walked here, name by name, each relative to the directory that
// was looked at, and what is found is opened, looked at or deleted relative to the last one. A link is followed only if
//
// - root or the daemon's user owns it, since others cannot make such a link, and
// - nobody else can put another one in its place: nobody else may write its directory, nor one on the way to that, unless the
//   sticky bit keeps others from renaming what is not theirs. For a link can be moved, one of root's too, and with it a name.
//
// That is more than the kernel asks with fs.protected_symlinks, which looks at sticky directories alone, and what sshd asks of
// the way to authorized_keys, but only where there is a link: a path without links may go through any directory. Access lists
// (acl(5)) need no look of their own: whom they let write, the bits of the group show.
//
// For the same reason a file that has several names (hard links) is none to be opened where others may have made one of them.
// The kernel refuses hard links to other people's files only with fs.protected_hardlinks.
#define _GNU_SOURCE
#include "TrustedPaths.h"

#include "CSQLiteFiles.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum {
    PATH_BYTE_COUNT = 4096,
    // As the kernel's own (MAXSYMLINKS in include/linux/namei.h).
    LINK_COUNT_MAX = 40,
    // Somebody exchanges what is at the path as quickly as he can.
    ATTEMPT_COUNT_MAX = 16,
    // Of a path, in an error.
    SHOWN_BYTE_COUNT = 1000,
    REFUSAL_BYTE_COUNT = 2 * SHOWN_BYTE_COUNT + 500,
};

static __thread char refusal[REFUSAL_BYTE_COUNT];
/// What to do about it; NULL when nothing was refused.
static __thread const char *remedy_of_refusal;

const char *trusted_take_refusal(const char **remedy) {
    *remedy = remedy_of_refusal;
    remedy_of_refusal = 0;
    return *remedy ? refusal : 0;
}

void trusted_forget_refusal(void) { remedy_of_refusal = 0; }

// MARK: Who may exchange what

static bool is_trusted(uid_t owner) { return owner == 0 || owner == geteuid(); }

/// Whether others can put something else in the place of an entry of a directory.
static bool is_exchangeable(const struct stat *directory, const struct stat *entry) {
    if (!is_trusted(directory->st_uid)) return true;
    if (!(directory->st_mode & (S_IWGRP | S_IWOTH))) return false;
    if (!(directory->st_mode & S_ISVTX) || !is_trusted(entry->st_uid)) return true;
    // Of what is not a directory others may have made another name here.
    return !S_ISDIR(entry->st_mode) && entry->st_nlink > 1;
}

// MARK: Walking

typedef struct {
    /// Of the last name; -1 when there is none.
    int directory;
    char name[NAME_MAX + 1];
    /// Others can put something else in this place; known after a walk alone.
    bool is_exposed;
} place;

typedef struct {
    int directory;
    struct stat status;
    /// Of the directory, without links; empty for the root.
    char path[PATH_BYTE_COUNT];
    size_t length;
    /// What is still to be walked.
    char rest[2 * PATH_BYTE_COUNT];
    /// A directory on the way in which others can exchange the next name; empty when there is none.
    char exposed_in[PATH_BYTE_COUNT];
    int link_count;
} walk;

static int failed(int error) {
    errno = error;
    return -1;
}

static const char *directory_name(const walk *self) { return self->length ? self->path : "/"; }

static int enter(walk *self, int directory) {
    if (self->directory >= 0) close(self->directory);
    self->directory = directory;
    return directory < 0 || fstat(directory, &self->status) != 0 ? -1 : 0;
}

static int enter_root(walk *self) {
    self->path[self->length = 0] = 0;
    self->exposed_in[0] = 0;
    return enter(self, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static int begin(walk *self, const char *path) {
    self->directory = -1;
    self->link_count = 0;
    size_t length = 0;
    if (path[0] != '/') {
        if (!getcwd(self->rest, PATH_BYTE_COUNT)) return -1;
        length = strlen(self->rest);
        self->rest[length++] = '/';
    }
    if (strlen(path) >= PATH_BYTE_COUNT) return failed(ENAMETOOLONG);
    strcpy(self->rest + length, path);
    return enter_root(self);
}

/// Takes the next name off what is still to be walked.
/// - Returns: its length, 0 at the end, -1 when it is too long.
static int next_name(walk *self, char name[NAME_MAX + 1], bool *is_last) {
    size_t begin = strspn(self->rest, "/");
    size_t length = strcspn(self->rest + begin, "/");
    if (length > NAME_MAX) return failed(ENAMETOOLONG);
    memcpy(name, self->rest + begin, length);
    name[length] = 0;
    size_t end = begin + length;
    end += strspn(self->rest + end, "/");
    *is_last = self->rest[end] == 0;
    memmove(self->rest, self->rest + end, strlen(self->rest + end) + 1);
    return (int)length;
}

static int refuse_link(const walk *self, const char *name, const struct stat *link) {
    unsigned owner = link->st_uid, own = geteuid();
    // By number: looking up a name may ask other machines, and what is opened on a loop must not wait.
    if (!is_trusted(link->st_uid)) {
        snprintf(
            refusal, sizeof refusal,
            "%.*s/%s is a symbolic link that belongs to user %u; only links of root or of the daemon's user (%u) are followed.",
            SHOWN_BYTE_COUNT, self->path, name, owner, own);
        remedy_of_refusal = "Put the file itself in the link's place, and let nobody but root and the daemon's user write to its "
                            "directory.";
    } else {
        snprintf(
            refusal, sizeof refusal,
            "%.*s/%s is a symbolic link that others than root and the daemon's user (%u) can exchange, since they may write to "
            "%.*s; it is not followed.",
            SHOWN_BYTE_COUNT, self->path, name, own, SHOWN_BYTE_COUNT,
            self->exposed_in[0] ? self->exposed_in : directory_name(self));
        remedy_of_refusal = "Name the file itself instead of the link, or let nobody but root and the daemon's user write to "
                            "that directory.";
    }
    return failed(ELOOP);
}

/// Puts what a link says before the rest of the way; `link` is the link itself (O_PATH).
static int follow(walk *self, int link, const char *name, const struct stat *status) {
    if (self->exposed_in[0] || !is_trusted(status->st_uid) || is_exchangeable(&self->status, status)) {
        return refuse_link(self, name, status);
    }
    if (++self->link_count > LINK_COUNT_MAX) return failed(ELOOP);
    char target[PATH_BYTE_COUNT];
    ssize_t length = readlinkat(link, "", target, sizeof target);
    if (length < 0) return -1;
    if (length == 0) return failed(ENOENT);
    size_t rest_length = strlen(self->rest);
    if ((size_t)length == sizeof target || length + 1 + rest_length >= sizeof self->rest) return failed(ENAMETOOLONG);
    memmove(self->rest + length + 1, self->rest, rest_length + 1);
    memcpy(self->rest, target, (size_t)length);
    self->rest[length] = '/';
    return target[0] == '/' ? enter_root(self) : 0;
}

static int append(walk *self, const char *name) {
    size_t count = strlen(name);
    if (self->length + 1 + count >= sizeof self->path) return failed(ENAMETOOLONG);
    self->path[self->length] = '/';
    memcpy(self->path + self->length + 1, name, count + 1);
    self->length += 1 + count;
    return 0;
}

static void note_exposure(walk *self, const struct stat *entry) {
    if (!self->exposed_in[0] && is_exchangeable(&self->status, entry)) strcpy(self->exposed_in, directory_name(self));
}

/// To the directory above; what was said of the way so far still holds.
static int leave(walk *self) {
    char *slash = strrchr(self->path, '/');
    self->length = slash ? (size_t)(slash - self->path) : 0;
    self->path[self->length] = 0;
    return enter(self, openat(self->directory, "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/// Goes on until only the last name is left, which is put into `name`; it may not exist.
/// - Returns: 1 when it does, 0 when not, -1 with `errno`. ENOENT: a directory is missing, and `name` is its name.
static int advance(walk *self, bool follows_last, char name[NAME_MAX + 1]) {
    for (;;) {
        bool is_last;
        int length = next_name(self, name, &is_last);
        if (length < 0) return -1;
        if (length == 0 || strcmp(name, ".") == 0) {
            if (length == 0 || is_last) return strcpy(name, "."), 1;
            continue;
        }
        if (strcmp(name, "..") == 0) {
            if (leave(self) != 0) return -1;
            if (is_last) return strcpy(name, "."), 1;
            continue;
        }
        int entry = openat(self->directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (entry < 0) return errno == ENOENT && is_last ? 0 : -1;
        struct stat status;
        if (fstat(entry, &status) != 0) return close(entry), failed(EIO);
        if (S_ISLNK(status.st_mode) && (!is_last || follows_last)) {
            int result = follow(self, entry, name, &status), error = errno;
            close(entry);
            if (result != 0) return failed(error);
            continue;
        }
        note_exposure(self, &status);
        if (is_last) return close(entry), 1;
        if (!S_ISDIR(status.st_mode)) return close(entry), failed(ENOTDIR);
        if (append(self, name) != 0) return close(entry), -1;
        if (enter(self, entry) != 0) return -1;
    }
}

// MARK: Finding a place

/// Where no link is on the way, the kernel says so in one call (openat2(2), since Linux 5.6).
static bool find_without_links(const char *path, bool follows_last, place *found) {
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t length = (size_t)(name - path);
    if (length >= PATH_BYTE_COUNT || strlen(name) > NAME_MAX) return false;
    if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return false;
    char directory[PATH_BYTE_COUNT] = ".";
    if (length > 0) {
        memcpy(directory, path, length);
        directory[length] = 0;
    }
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
    int descriptor = (int)syscall(SYS_openat2, AT_FDCWD, directory, &how, sizeof how);
    if (descriptor < 0) return false;
    struct stat status;
    if (follows_last && fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode)) {
        close(descriptor);
        return false;
    }
    *found = (place){.directory = descriptor};
    strcpy(found->name, name);
    return true;
}

static int find_by_walk(const char *path, bool follows_last, place *found) {
    walk self;
    int result = begin(&self, path);
    if (result == 0) result = advance(&self, follows_last, found->name);
    int error = errno;
    if (result < 0) {
        if (self.directory >= 0) close(self.directory);
        return failed(error);
    }
    found->directory = self.directory;
    found->is_exposed = self.exposed_in[0] != 0;
    return 0;
}

static int find(const char *path, bool follows_last, place *found) {
    return find_without_links(path, follows_last, found) ? 0 : find_by_walk(path, follows_last, found);
}

static int leave_place(const place *place, int result) {
    int error = errno;
    close(place->directory);
    errno = error;
    return result;
}

static int refuse_name(const char *path, const char *what, const char *remedy) {
    snprintf(refusal, sizeof refusal, "%.*s %s", SHOWN_BYTE_COUNT, path, what);
    remedy_of_refusal = remedy;
    return failed(ELOOP);
}

static int give_up(const char *path) {
    return refuse_name(
        path, "is exchanged again and again.", "Let nobody but root and the daemon's user write to its directory.");
}

// MARK: The calls

static bool is_file_or_directory(mode_t mode) { return S_ISREG(mode) || S_ISDIR(mode); }

/// Opens what is at a place.
/// - Returns: -1 with `errno`; ELOOP: it is a link.
static int open_at(const place *place, int flags, int mode, struct stat *status) {
    // Opening a device may do something already.
    if (fstatat(place->directory, place->name, status, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISLNK(status->st_mode)) return failed(ELOOP);
        if (!is_file_or_directory(status->st_mode)) return failed(EINVAL);
    }
    int descriptor = openat(
        place->directory, place->name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, mode);
    if (descriptor < 0) return -1;
    int error = fstat(descriptor, status) != 0 ? EIO : is_file_or_directory(status->st_mode) ? 0 : EINVAL;
    if (error == 0) return descriptor;
    close(descriptor);
    return failed(error);
}

/// Whether others may have given the file that is open the name by which it was found.
static bool is_planted(const char *path, bool follows_last, const struct stat *opened) {
    place found;
    if (find_by_walk(path, follows_last, &found) != 0) return true;
    struct stat now;
    int result = fstatat(found.directory, found.name, &now, AT_SYMLINK_NOFOLLOW);
    leave_place(&found, 0);
    return found.is_exposed || result != 0 || now.st_dev != opened->st_dev || now.st_ino != opened->st_ino;
}

int trusted_open(const char *path, int flags, int mode, struct stat *status) {
    bool follows_last = !(flags & O_NOFOLLOW);
    for (int attempt = 0; attempt < ATTEMPT_COUNT_MAX; attempt++) {
        place found;
        if (find(path, follows_last, &found) != 0) return -1;
        int descriptor = leave_place(&found, open_at(&found, flags, mode, status));
        if (descriptor < 0 && errno == ELOOP) {
            if (follows_last) continue;
            return refuse_name(
                path, "is a symbolic link, which is not followed there.",
                "Put the file itself in its place, and let nobody but root and the daemon's user write to its directory.");
        }
        if (descriptor < 0 || !S_ISREG(status->st_mode) || status->st_nlink < 2) return descriptor;
        if (!is_planted(path, follows_last, status)) return descriptor;
        close(descriptor);
        return refuse_name(
            path, "has another name as well (a hard link), which others than root and the daemon's user may have made.",
            "Put a copy in its place, or let nobody but root and the daemon's user write to its directory and those above it.");
    }
    return give_up(path);
}

int trusted_stat(const char *path, struct stat *status) {
    for (int attempt = 0; attempt < ATTEMPT_COUNT_MAX; attempt++) {
        place found;
        if (find(path, true, &found) != 0) return -1;
        int result = leave_place(&found, fstatat(found.directory, found.name, status, AT_SYMLINK_NOFOLLOW));
        if (result != 0 || !S_ISLNK(status->st_mode)) return result;
    }
    return give_up(path);
}

int trusted_access(const char *path, int mode) {
    place found;
    if (find(path, true, &found) != 0) return -1;
    return leave_place(&found, faccessat(found.directory, found.name, mode, AT_SYMLINK_NOFOLLOW));
}

int trusted_unlink(const char *path) {
    place found;
    if (find(path, false, &found) != 0) return -1;
    return leave_place(&found, unlinkat(found.directory, found.name, 0));
}

int trusted_full_path(const char *path, char *out, int size) {
    walk self;
    char name[NAME_MAX + 1];
    int result = begin(&self, path);
    if (result == 0) result = advance(&self, true, name);
    // Where a directory is missing, what is behind it can be no link. Opening it will fail, or find what is there by then.
    bool is_missing = result < 0 && errno == ENOENT && self.directory >= 0;
    if (self.directory >= 0) {
        int error = errno;
        close(self.directory);
        errno = error;
    }
    if (result < 0 && !is_missing) return -1;
    bool is_directory = strcmp(name, ".") == 0;
    int length = snprintf(
        out, (size_t)size, "%s%s%s%s%s", self.path, is_directory ? "" : "/", is_directory ? "" : name,
        is_missing && self.rest[0] ? "/" : "", is_missing ? self.rest : "");
    if (length == 0) length = snprintf(out, (size_t)size, "/");
    return length >= size ? failed(ENAMETOOLONG) : self.link_count;
}

// MARK: For the daemon itself

int litebase_sqlite3_identify(
    const char *path, unsigned long long *device, unsigned long long *inode, long long *birth) {
    place found;
    struct statx more;
    if (find(path, true, &found) != 0) return -1;
    int result = statx(
        found.directory, found.name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &more);
    leave_place(&found, 0);
    if (result != 0) return -1;
    if (S_ISLNK(more.stx_mode)) return failed(ELOOP);
    *device = makedev(more.stx_dev_major, more.stx_dev_minor);
    *inode = more.stx_ino;
    *birth = more.stx_mask & STATX_BTIME ? more.stx_btime.tv_sec * 1000000000LL + more.stx_btime.tv_nsec : 0;
    return 0;
}

static int with_file(
    const char *path, unsigned long long device, unsigned long long inode, const char *suffix) {
    place found;
    if (find(path, false, &found) != 0) return -1;
    struct stat status;
    int result = fstatat(found.directory, found.name, &status, AT_SYMLINK_NOFOLLOW);
    if (result == 0 && (status.st_dev != device || status.st_ino != inode)) result = failed(ENOENT);
    if (result == 0 && !suffix) result = unlinkat(found.directory, found.name, 0);
    if (result == 0 && suffix) {
        char kept[NAME_MAX + 1];
        int length = snprintf(kept, sizeof kept, "%s%s", found.name, suffix);
        result = length >= (int)sizeof kept
            ? failed(ENAMETOOLONG) : renameat(found.directory, found.name, found.directory, kept);
    }
    return leave_place(&found, result);
}

int litebase_sqlite3_remove_file(const char *path, unsigned long long device, unsigned long long inode) {
    return with_file(path, device, inode, 0);
}

int litebase_sqlite3_set_aside(
    const char *path, unsigned long long device, unsigned long long inode, const char *suffix) {
    return with_file(path, device, inode, suffix);
}
