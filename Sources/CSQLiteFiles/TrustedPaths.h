// Paths that lead only where root or the daemon's user has made them lead. See TrustedPaths.c.
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

/// Like open(2), with O_NONBLOCK, O_NOCTTY and O_CLOEXEC; regular files and directories only.
/// - Returns: -1 with `errno`: EINVAL where it is something else.
int trusted_open(const char *path, int flags, int mode, struct stat *status);
/// Like stat(2).
int trusted_stat(const char *path, struct stat *status);
/// Like access(2).
int trusted_access(const char *path, int mode);
/// Like unlink(2).
int trusted_unlink(const char *path);
/// The path without links, also where what it names, or a directory on the way, is not there.
/// - Returns: how many links were followed; -1 with `errno`: ENAMETOOLONG where `size` is too small.
int trusted_full_path(const char *path, char *out, int size);

/// Why a call of this thread was refused, for a person: a sentence in a buffer of the thread's, and what to do about it;
/// NULL where none was since it was asked, or told to forget.
const char *trusted_take_refusal(const char **remedy);
void trusted_forget_refusal(void);
