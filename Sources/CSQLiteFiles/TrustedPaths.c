// A database may be in a directory that others may write, such as the users of that database. Then its path proves
// nothing: a symbolic link in its place, or in that of a parent directory, could lead the daemon to any file that its
// user may open, such as other databases. So every path of SQLite is resolved here, name by name, each relative to the
// directory that was checked, and the result is opened, examined or deleted relative to the last one. A link is
// followed only if
//
// - root or the daemon's user owns it, since others cannot create such a link, and
// - nobody else can replace it: nobody else may write its directory, nor a parent directory, unless the sticky bit
//   keeps others from renaming files that are not theirs. For a link can be moved, even one of root, and with it a
//   name.
//
// That is stricter than the kernel's fs.protected_symlinks, which only concerns sticky directories, and similar to
// sshd's check of the path to authorized_keys, but only where there is a link: a path without links may go through any
// directory. Access lists (acl(5)) need no check of their own: the group bits show whom they let write.
//
// For the same reason a file with several names (hard links) is not opened if others may have made one of them. The
// kernel refuses hard links to other users' files only with fs.protected_hardlinks.
//
// All this is decided before a file is opened: when a process closes its first descriptor of a file, it loses all its
// locks on that file (fcntl(2)), and the refused file may be an open database with another name, in the middle of a
// transaction. A descriptor with O_PATH has no such effect, and the file is opened through it.
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
    // Somebody exchanges the file at the path as fast as possible.
    ATTEMPT_COUNT_MAX = 16,
    // Logs of one database that could not be written back.
    SET_ASIDE_COUNT_MAX = 1000,
    // Of a path, in an error.
    SHOWN_BYTE_COUNT = 1000,
    REFUSAL_BYTE_COUNT = 2 * SHOWN_BYTE_COUNT + 500,
};

static __thread char refusal[REFUSAL_BYTE_COUNT];
/// The remedy; NULL if nothing was refused.
static __thread const char *remedy_of_refusal;

const char *trusted_take_refusal(const char **remedy) {
    *remedy = remedy_of_refusal;
    remedy_of_refusal = 0;
    return *remedy ? refusal : 0;
}

void trusted_forget_refusal(void) { remedy_of_refusal = 0; }

// MARK: Who may exchange what

static bool is_trusted(uid_t owner) { return owner == 0 || owner == geteuid(); }

/// Whether others can replace an entry of a directory.
static bool is_exchangeable(const struct stat *directory, const struct stat *entry) {
    if (!is_trusted(directory->st_uid)) return true;
    if (!(directory->st_mode & (S_IWGRP | S_IWOTH))) return false;
    if (!(directory->st_mode & S_ISVTX) || !is_trusted(entry->st_uid)) return true;
    // For a file that is not a directory, others may have made another name here.
    return !S_ISDIR(entry->st_mode) && entry->st_nlink > 1;
}

// MARK: Walking

typedef struct {
    /// The directory of the last name; -1 if there is none.
    int directory;
    char name[NAME_MAX + 1];
    /// Whether others can replace the file at this place; known only after a walk.
    bool is_exposed;
} place;

typedef struct {
    int directory;
    struct stat status;
    /// Of the directory, without links; empty for the root.
    char path[PATH_BYTE_COUNT];
    size_t length;
    /// The rest of the path.
    char rest[2 * PATH_BYTE_COUNT];
    /// A parent directory in which others can replace the next name; empty if there is none.
    char exposed_in[PATH_BYTE_COUNT];
    int link_count;
    /// A slash follows the last name.
    bool names_directory;
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
    self->names_directory = false;
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

/// Takes the next name off the rest.
/// - Returns: its length, 0 at the end, -1 if it is too long.
static int next_name(walk *self, char name[NAME_MAX + 1], bool *is_last) {
    size_t begin = strspn(self->rest, "/");
    size_t length = strcspn(self->rest + begin, "/");
    if (length > NAME_MAX) return failed(ENAMETOOLONG);
    memcpy(name, self->rest + begin, length);
    name[length] = 0;
    size_t end = begin + length;
    size_t slash_count = strspn(self->rest + end, "/");
    end += slash_count;
    *is_last = self->rest[end] == 0;
    self->names_directory = *is_last && slash_count > 0;
    memmove(self->rest, self->rest + end, strlen(self->rest + end) + 1);
    return (int)length;
}

static int refuse_link(const walk *self, const char *name, const struct stat *link) {
    unsigned owner = link->st_uid, own = geteuid();
    // By number: looking up a name may ask other machines, and opening on a loop must not wait.
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

/// Puts the content of a link before the rest of the path; `link` is the link itself (O_PATH).
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
    self->rest[length] = rest_length > 0 || self->names_directory ? '/' : 0;
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

/// To the parent directory; earlier findings about the path still hold.
static int leave(walk *self) {
    char *slash = strrchr(self->path, '/');
    self->length = slash ? (size_t)(slash - self->path) : 0;
    self->path[self->length] = 0;
    return enter(self, openat(self->directory, "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/// Like open(2), which does not create a file with such a name, either.
static int refuse_slash(const walk *self, const char *name) {
    snprintf(
        refusal, sizeof refusal, "%.*s/%s has a slash behind its name, and is no directory.", SHOWN_BYTE_COUNT, self->path, name);
    remedy_of_refusal = "Leave out the slash at the end of the path.";
    return failed(ENOTDIR);
}

/// Walks until only the last name is left, which is put into `name`; it may not exist.
/// - Returns: 1 if it does, 0 if not, -1 with `errno`. ENOENT: a directory is missing, and `name` is its name.
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
        if (entry < 0 && errno == ENOENT && is_last) return self->names_directory ? refuse_slash(self, name) : 0;
        if (entry < 0) return -1;
        struct stat status;
        if (fstat(entry, &status) != 0) return close(entry), failed(EIO);
        if (S_ISLNK(status.st_mode) && (!is_last || follows_last || self->names_directory)) {
            int result = follow(self, entry, name, &status), error = errno;
            close(entry);
            if (result != 0) return failed(error);
            continue;
        }
        note_exposure(self, &status);
        if (is_last && self->names_directory && !S_ISDIR(status.st_mode)) return close(entry), refuse_slash(self, name);
        if (is_last) return close(entry), 1;
        if (!S_ISDIR(status.st_mode)) return close(entry), failed(ENOTDIR);
        if (append(self, name) != 0) return close(entry), -1;
        if (enter(self, entry) != 0) return -1;
    }
}

// MARK: Finding a place

/// If there is no link on the path, one call to the kernel shows it (openat2(2), since Linux 5.6).
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

static bool is_same(const struct stat *one, const struct stat *other) {
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

/// Whether others may have given a file the name by which it was found.
static bool is_planted(const char *path, bool follows_last, const struct stat *file) {
    place found;
    if (find_by_walk(path, follows_last, &found) != 0) return true;
    struct stat now;
    int result = fstatat(found.directory, found.name, &now, AT_SYMLINK_NOFOLLOW);
    leave_place(&found, 0);
    return found.is_exposed || result != 0 || !is_same(&now, file);
}

enum { ALWAYS = O_NONBLOCK | O_NOCTTY | O_CLOEXEC };

/// Creates a file, on which nobody can have a lock.
/// - Returns: -1 with `errno`; EAGAIN: it exists now.
static int make_at(const place *place, int flags, int mode, struct stat *status) {
    int descriptor = openat(place->directory, place->name, flags | O_CREAT | O_EXCL | O_NOFOLLOW | ALWAYS, mode);
    if (descriptor < 0) return failed(errno == EEXIST && !(flags & O_EXCL) ? EAGAIN : errno);
    if (fstat(descriptor, status) == 0) return descriptor;
    close(descriptor);
    return failed(EIO);
}

/// Opens the file that was checked, whatever its name leads to now.
/// - Returns: -1 with `errno`; EAGAIN: it does not exist any more.
static int open_entry(const place *place, int entry, int flags, const struct stat *status) {
    char path[32];
    int wanted = (flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW)) | ALWAYS;
    snprintf(path, sizeof path, "/proc/self/fd/%d", entry);
    int descriptor = open(path, wanted);
    if (descriptor >= 0 || errno != ENOENT) return descriptor;
    // Without /proc the name has to be used, and a file that somebody has put there meanwhile is inevitably closed.
    descriptor = openat(place->directory, place->name, wanted | O_NOFOLLOW);
    if (descriptor < 0) return failed(errno == ENOENT || errno == ELOOP ? EAGAIN : errno);
    struct stat opened;
    if (fstat(descriptor, &opened) == 0 && is_same(&opened, status)) return descriptor;
    close(descriptor);
    return failed(EAGAIN);
}

/// Opens the file at a place, if allowed.
/// - Returns: -1 with `errno`; EAGAIN: it was exchanged meanwhile, or is a link.
static int open_at(
    const char *path, const place *place, int flags, int mode, trusted_judge judge, struct stat *status) {
    bool follows_last = !(flags & O_NOFOLLOW);
    int entry = openat(place->directory, place->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (entry < 0 && errno == ENOENT && flags & O_CREAT) return make_at(place, flags, mode, status);
    if (entry < 0) return -1;
    struct stat looked_at;
    int descriptor = -1;
    // Whether its name is its only one is known at the moment when the name leads to it.
    if (fstat(entry, &looked_at) != 0 || fstatat(place->directory, place->name, status, AT_SYMLINK_NOFOLLOW) != 0
        || !is_same(&looked_at, status)) {
        errno = EAGAIN;
    } else if (S_ISLNK(status->st_mode) && follows_last) {
        errno = EAGAIN;
    } else if (S_ISLNK(status->st_mode)) {
        refuse_name(
            path, "is a symbolic link, which is not followed there.",
            "Put the file itself in its place, and let nobody but root and the daemon's user write to its directory.");
    } else if (!is_file_or_directory(status->st_mode)) {
        // Opening a device may already have an effect.
        errno = EINVAL;
    } else if (flags & O_EXCL) {
        errno = EEXIST;
    } else if (S_ISREG(status->st_mode) && status->st_nlink > 1 && is_planted(path, follows_last, status)) {
        refuse_name(
            path, "has another name as well (a hard link), which others than root and the daemon's user may have made.",
            "Put a copy in its place, or let nobody but root and the daemon's user write to its directory and those above it.");
    } else if (judge(path, flags, status)) {
        descriptor = open_entry(place, entry, flags, status);
    }
    int error = errno;
    close(entry);
    errno = error;
    return descriptor;
}

int trusted_open(const char *path, int flags, int mode, trusted_judge judge, struct stat *status) {
    for (int attempt = 0; attempt < ATTEMPT_COUNT_MAX; attempt++) {
        place found;
        if (find(path, !(flags & O_NOFOLLOW), &found) != 0) return -1;
        int descriptor = leave_place(&found, open_at(path, &found, flags, mode, judge, status));
        if (descriptor >= 0 || errno != EAGAIN) return descriptor;
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
    // After a missing directory there can be no link. Opening will fail, or find what is there by then.
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

/// Renames a file to the first unused name: with the suffix, then followed by a number.
/// - Returns: the number, from 1 on, or -1 with `errno`.
static int rename_beside(const place *place, const char *suffix) {
    for (int number = 1; number <= SET_ASIDE_COUNT_MAX; number++) {
        char kept[NAME_MAX + 1];
        int length = number == 1 ? snprintf(kept, sizeof kept, "%s%s", place->name, suffix)
                                 : snprintf(kept, sizeof kept, "%s%s%d", place->name, suffix, number);
        if (length >= (int)sizeof kept) return failed(ENAMETOOLONG);
        if (renameat2(place->directory, place->name, place->directory, kept, RENAME_NOREPLACE) == 0) return number;
        // Some file systems cannot do that; a hard link does not replace anything, either.
        if (errno == EINVAL && linkat(place->directory, place->name, place->directory, kept, 0) == 0) {
            return unlinkat(place->directory, place->name, 0) == 0 ? number : -1;
        }
        if (errno != EEXIST) return -1;
    }
    return -1;
}

static int with_file(
    const char *path, unsigned long long device, unsigned long long inode, const char *suffix) {
    place found;
    if (find(path, false, &found) != 0) return -1;
    struct stat status;
    int result = fstatat(found.directory, found.name, &status, AT_SYMLINK_NOFOLLOW);
    if (result == 0 && (status.st_dev != device || status.st_ino != inode)) result = failed(ENOENT);
    if (result == 0 && !suffix) result = unlinkat(found.directory, found.name, 0);
    if (result == 0 && suffix) result = rename_beside(&found, suffix);
    return leave_place(&found, result);
}

int litebase_sqlite3_remove_file(const char *path, unsigned long long device, unsigned long long inode) {
    return with_file(path, device, inode, 0);
}

int litebase_sqlite3_set_aside(
    const char *path, unsigned long long device, unsigned long long inode, const char *suffix) {
    return with_file(path, device, inode, suffix);
}
