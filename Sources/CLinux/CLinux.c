#define _GNU_SOURCE
#include "CLinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <semaphore.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

_Static_assert(CLINUX_EPOLLIN == EPOLLIN && CLINUX_EPOLLOUT == EPOLLOUT && CLINUX_EPOLLERR == EPOLLERR, "epoll");
// <linux/sched.h>
#define SCHED_FLAG_RESET_ON_FORK 1

_Static_assert(CLINUX_EPOLLHUP == EPOLLHUP && CLINUX_EPOLLRDHUP == EPOLLRDHUP, "epoll");
_Static_assert(CLINUX_EPOLLONESHOT == EPOLLONESHOT, "epoll");

int clinux_watch_create(void) { return inotify_init1(IN_CLOEXEC | IN_NONBLOCK); }

int clinux_watch_add(int watch, const char *path) {
    return inotify_add_watch(watch, path, IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF);
}

void clinux_watch_remove(int watch, int number) { inotify_rm_watch(watch, number); }

int clinux_watch_read(int watch, int *numbers) {
    char events[CLINUX_WATCH_EVENT_COUNT_MAX * sizeof(struct inotify_event)] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t byte_count = read(watch, events, sizeof events);
    int count = 0;
    // A file that is watched itself, and not as part of a directory, has no name in its events.
    for (ssize_t offset = 0; offset < byte_count; offset += (ssize_t)sizeof(struct inotify_event)) {
        numbers[count++] = ((const struct inotify_event *)(events + offset))->wd;
    }
    return count;
}

int clinux_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

static int epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t token) {
    struct epoll_event event = {.events = events, .data.u64 = token};
    return epoll_ctl(epoll, operation, fd, &event);
}
int clinux_epoll_add(int epoll, int fd, uint32_t events, uint64_t token) {
    return epoll_control(epoll, EPOLL_CTL_ADD, fd, events, token);
}
int clinux_epoll_modify(int epoll, int fd, uint32_t events, uint64_t token) {
    return epoll_control(epoll, EPOLL_CTL_MOD, fd, events, token);
}
int clinux_epoll_remove(int epoll, int fd) { return epoll_control(epoll, EPOLL_CTL_DEL, fd, 0, 0); }

int clinux_epoll_wait(int epoll, clinux_event *events, int event_count_max, int64_t timeout_ns) {
    struct epoll_event ready[CLINUX_EVENT_COUNT_MAX];
    if (event_count_max > CLINUX_EVENT_COUNT_MAX) event_count_max = CLINUX_EVENT_COUNT_MAX;
    struct timespec timeout = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    int count;
    if (timeout_ns == 0) {
        count = (int)syscall(SYS_epoll_pwait, epoll, ready, event_count_max, 0, NULL, 0);
    } else {
        count = (int)syscall(SYS_epoll_pwait2, epoll, ready, event_count_max, timeout_ns < 0 ? NULL : &timeout, NULL, 0);
        // Linux 5.11; filters of system calls, emulators and valgrind may not know it yet.
        if (count < 0 && errno == ENOSYS) {
            int64_t ms = timeout_ns < 0 ? -1 : timeout_ns / 1000000 + (timeout_ns % 1000000 > 0);
            count = epoll_wait(epoll, ready, event_count_max, ms > 1 << 30 ? 1 << 30 : (int)ms);
        }
    }
    for (int i = 0; i < count; i++) {
        events[i].events = ready[i].events;
        events[i].token = ready[i].data.u64;
    }
    return count;
}

ssize_t clinux_receive(int socket, void *buffer, size_t byte_count) {
    return syscall(SYS_recvfrom, socket, buffer, byte_count, 0, NULL, NULL);
}

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

void clinux_refuse_descriptors(int socket) { clinux_set_pass_descriptors(socket, false); }

void clinux_set_pass_descriptors(int socket, bool may_pass)
{
    int value = may_pass;
    setsockopt(socket, SOL_SOCKET, SO_PASSRIGHTS, &value, sizeof value);
}

bool clinux_may_bring_descriptors(int socket)
{
    int is_on = 1;
    socklen_t size = sizeof is_on;
    return getsockopt(socket, SOL_SOCKET, SO_PASSRIGHTS, &is_on, &size) != 0 || is_on;
}

ssize_t clinux_receive_with_descriptors(int socket, void *buffer, size_t byte_count, int *descriptors, int *descriptor_count,
    bool *are_lost)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(CLINUX_DESCRIPTOR_COUNT_MAX * sizeof(int))];
    } control;
    struct iovec vector = {.iov_base = buffer, .iov_len = byte_count};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    *descriptor_count = 0;
    *are_lost = false;
    ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (received < 0) return received;
    *are_lost = (message.msg_flags & MSG_CTRUNC) != 0;
    for (struct cmsghdr *entry = CMSG_FIRSTHDR(&message); entry; entry = CMSG_NXTHDR(&message, entry)) {
        if (entry->cmsg_level != SOL_SOCKET || entry->cmsg_type != SCM_RIGHTS) continue;
        int count = (int)((entry->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < count && *descriptor_count < CLINUX_DESCRIPTOR_COUNT_MAX; i++) {
            memcpy(&descriptors[(*descriptor_count)++], CMSG_DATA(entry) + (size_t)i * sizeof(int), sizeof(int));
        }
    }
    return received;
}

ssize_t clinux_send_with_descriptor(int socket, const void *bytes, size_t byte_count, int descriptor)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
    memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
    struct iovec vector = {.iov_base = (void *)bytes, .iov_len = byte_count};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

_Static_assert(CLINUX_PATH_ONLY == O_PATH, "O_PATH of open(2)");

bool clinux_is_in_memory(int file)
{
    struct statfs system;
    if (fstatfs(file, &system) != 0) return false;
    return system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC || system.f_type == HUGETLBFS_MAGIC;
}

bool clinux_is_stored(int file)
{
    struct statfs system;
    return fstatfs(file, &system) == 0 && system.f_blocks > 0;
}

void clinux_write_out(int file, size_t byte_count)
{
    enum { LAG = 8 << 20 };
    off_t start = lseek(file, 0, SEEK_CUR) - (off_t)byte_count;
    if (start < 0) return;
    sync_file_range(file, start, (off_t)byte_count, SYNC_FILE_RANGE_WRITE);
    if (start < LAG) return;
    sync_file_range(
        file, start - LAG, (off_t)byte_count,
        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

ssize_t clinux_write_to_pipe(int pipe, const void *bytes, size_t byte_count)
{
    struct iovec part = {(void *)bytes, byte_count};
    ssize_t count = pwritev2(pipe, &part, 1, -1, RWF_NOWAIT);
    if (count >= 0 || errno != EOPNOTSUPP) return count;
    return write(pipe, bytes, byte_count < PIPE_BUF ? byte_count : PIPE_BUF);
}

bool clinux_is_locked(int file)
{
    struct flock probe = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(file, F_OFD_GETLK, &probe) == 0 && probe.l_type != F_UNLCK;
}

int clinux_rename_new(const char *from, const char *to)
{
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 1u /* RENAME_NOREPLACE */);
}

void clinux_do_not_linger(int socket)
{
    struct linger none = {0};
    setsockopt(socket, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

ssize_t clinux_send(int socket, const void *bytes, size_t byte_count) {
    return syscall(SYS_sendto, socket, bytes, byte_count, MSG_NOSIGNAL, NULL, 0);
}

int clinux_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int clinux_signalfd(const int *signals, int signal_count) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < signal_count; i++) sigaddset(&set, signals[i]);
    int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int clinux_become(const char *user, unsigned uid, unsigned gid) {
    return initgroups(user, gid) != 0 || setgid(gid) != 0 || setuid(uid) != 0 ? -1 : 0;
}

static int argument_count;
static char **argument_values;

__attribute__((constructor)) static void keep_arguments(int count, char **values) {
    argument_count = count;
    argument_values = values;
}

int clinux_argument_count(void) { return argument_count; }

const char *clinux_argument(int index) { return argument_values[index]; }

int clinux_wait_for_signal(const int *signals, int signal_count, int64_t milliseconds) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < signal_count; i++) sigaddset(&set, signals[i]);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0) return 0;
    struct timespec time = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
    int number = sigtimedwait(&set, NULL, &time);
    return number > 0 ? number : 0;
}

void clinux_block_signal(int number) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int clinux_signalfd_read(int fd, int *pid_of_sender) {
    struct signalfd_siginfo info;
    ssize_t count = read(fd, &info, sizeof info);
    if (count < 0) return errno == EAGAIN ? 0 : -1;
    if (pid_of_sender) *pid_of_sender = (int)info.ssi_pid;
    return (int)info.ssi_signo;
}

int clinux_accept(int listener) { return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK); }

int clinux_peer_of(int fd, clinux_peer_credentials *credentials) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return -1;
    credentials->pid = peer.pid;
    credentials->uid = peer.uid;
    credentials->gid = peer.gid;
    return 0;
}

int clinux_peer_groups_of(int fd, uint32_t *groups, size_t *count) {
    socklen_t size = (socklen_t)(*count * sizeof *groups);
    int result = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size);
    *count = size / sizeof *groups;
    return result;
}

int clinux_groups_of_user(const char *name, uint32_t gid, uint32_t *groups, size_t *count) {
    int room = (int)*count;
    int result = getgrouplist(name, gid, groups, &room);
    *count = (size_t)room;
    return result < 0 ? -1 : 0;
}

static int unix_address(const char *path, size_t path_length, struct sockaddr_un *address) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (path_length == 0 || path_length >= sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address->sun_path, path, path_length);
    return 0;
}

static int close_keeping_errno(int fd) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int clinux_bind_unix(const char *path, size_t path_length, uint32_t mode) {
    struct sockaddr_un address;
    if (unix_address(path, path_length, &address) != 0) return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    // The file gets the bits of its socket, less the umask (unix_bind_bsd in net/unix/af_unix.c).
    if (fchmod(fd, mode) != 0) return close_keeping_errno(fd);
    mode_t mask = umask(~mode & 0777);
    int result = bind(fd, (struct sockaddr *)&address, sizeof address);
    int error = errno;
    umask(mask);
    errno = error;
    return result == 0 ? fd : close_keeping_errno(fd);
}

int clinux_set_socket_group(const char *path, uint32_t gid) {
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return -1;
    struct stat status;
    int result = fstat(fd, &status);
    if (result == 0 && (!S_ISSOCK(status.st_mode) || status.st_uid != geteuid())) {
        errno = ENOTSOCK;
        result = -1;
    }
    if (result == 0) result = fchownat(fd, "", (uid_t)-1, gid, AT_EMPTY_PATH);
    if (result != 0) return close_keeping_errno(fd);
    close(fd);
    return 0;
}

int clinux_connect_unix(const char *path, size_t path_length) {
    struct sockaddr_un address;
    if (unix_address(path, path_length, &address) != 0) return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) return close_keeping_errno(fd);
    return fd;
}

int clinux_bind_loopback(uint16_t port, bool ipv6) {
    int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return close_keeping_errno(fd);
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int result = ipv6 ? bind(fd, (struct sockaddr *)&v6, sizeof v6) : bind(fd, (struct sockaddr *)&v4, sizeof v4);
    return result == 0 ? fd : close_keeping_errno(fd);
}

int clinux_connect_loopback(uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(fd, (struct sockaddr *)&v4, sizeof v4) != 0) return close_keeping_errno(fd);
    return fd;
}

static int local_address(int fd, struct sockaddr_storage *address, socklen_t *size) {
    memset(address, 0, sizeof *address);
    *size = sizeof *address;
    return getsockname(fd, (struct sockaddr *)address, size);
}

int clinux_local_port(int fd) {
    struct sockaddr_storage address;
    socklen_t size;
    if (local_address(fd, &address, &size) != 0) return 0;
    if (address.ss_family == AF_INET) return ntohs(((struct sockaddr_in *)&address)->sin_port);
    if (address.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return 0;
}

int clinux_socket_family(int fd) {
    struct sockaddr_storage address;
    socklen_t size;
    return local_address(fd, &address, &size) == 0 ? address.ss_family : -1;
}

bool clinux_socket_is_loopback(int fd) {
    struct sockaddr_storage address;
    socklen_t size;
    if (local_address(fd, &address, &size) != 0) return false;
    if (address.ss_family == AF_INET) return (ntohl(((struct sockaddr_in *)&address)->sin_addr.s_addr) >> 24) == 127;
    if (address.ss_family == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&address)->sin6_addr);
    return false;
}

int clinux_socket_path(int fd, char *path, size_t path_size) {
    struct sockaddr_storage storage;
    socklen_t size;
    if (local_address(fd, &storage, &size) != 0) return -1;
    if (storage.ss_family != AF_UNIX) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    const struct sockaddr_un *address = (const struct sockaddr_un *)&storage;
    size_t room = size - offsetof(struct sockaddr_un, sun_path);
    size_t length = room == 0 ? 0 : strnlen(address->sun_path, room);
    if (length + 1 > path_size) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(path, address->sun_path, length);
    path[length] = 0;
    return (int)length;
}

int clinux_set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}
int clinux_set_cloexec(int fd) {
    int flags = fcntl(fd, F_GETFD);
    return flags < 0 ? -1 : fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}
int clinux_set_nodelay(int fd) {
    int on = 1;
    return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int clinux_queued_byte_count(int fd) {
    int count = 0;
    return ioctl(fd, SIOCOUTQ, &count) < 0 ? -1 : count;
}

int clinux_unread_byte_count(int fd) {
    int count = 0;
    return ioctl(fd, SIOCINQ, &count) < 0 ? -1 : count;
}

int clinux_flock_exclusive_nonblocking(int fd) { return flock(fd, LOCK_EX | LOCK_NB); }

// Sealed: a mapping of a file that shrinks would end in SIGBUS.
#define MEMORY_FILE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int clinux_memory_file(const char *name, size_t byte_count) {
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -1;
    if (ftruncate(fd, (off_t)byte_count) == 0 && fcntl(fd, F_ADD_SEALS, MEMORY_FILE_SEALS) == 0) return fd;
    return close_keeping_errno(fd);
}

int64_t clinux_memory_file_size(int fd) {
    struct stat status;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0) return -1;
    if ((seals & MEMORY_FILE_SEALS) != MEMORY_FILE_SEALS) {
        errno = EINVAL;
        return -1;
    }
    return fstat(fd, &status) != 0 ? -1 : (int64_t)status.st_size;
}

void *clinux_map_shared(int fd, size_t byte_count) {
    void *address = mmap(NULL, byte_count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return address == MAP_FAILED ? NULL : address;
}

void clinux_discard_shared(void *address, size_t byte_count) { if (byte_count) madvise(address, byte_count, MADV_REMOVE); }

void clinux_unmap(void *address, size_t byte_count) { munmap(address, byte_count); }

static int64_t nanoseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
int64_t clinux_monotonic_ns(void) { return nanoseconds(CLOCK_MONOTONIC); }
int64_t clinux_thread_cpu_ns(void) { return nanoseconds(CLOCK_THREAD_CPUTIME_ID); }
int64_t clinux_realtime_ns(void) { return nanoseconds(CLOCK_REALTIME); }

void clinux_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

int clinux_request_slice(uint64_t slice_ns) {
    // glibc 2.36 has no wrapper, and its <sched.h> and <linux/sched/types.h> exclude each other.
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime_ns, deadline_ns, period_ns;
    } attributes;
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return -1;
    // A policy that somebody has chosen for the whole process, by a unit or by chrt(1), stays.
    if (attributes.policy != SCHED_OTHER) return 0;
    attributes.flags = SCHED_FLAG_RESET_ON_FORK;
    attributes.runtime_ns = slice_ns;
    return (int)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

static _Thread_local uint64_t fault_scope;
uint64_t clinux_fault_scope(void) { return fault_scope; }
void clinux_set_fault_scope(uint64_t scope) { fault_scope = scope; }

int clinux_core_count(void) {
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) == 0) return CPU_COUNT(&cores);
    // More than 1,024 cores.
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

void clinux_limit_malloc_arenas(int count) {
    mallopt(M_ARENA_MAX, count);
    // Buffers of some ten KiB come and go with each turn of a loop: without slack the arena would grow and shrink, and
    // call mprotect(2), each time.
    mallopt(M_TRIM_THRESHOLD, 512 << 10);
    mallopt(M_TOP_PAD, 256 << 10);
}
void clinux_trim_malloc(void) { malloc_trim(0); }

// The leak sanitizer's, which otherwise checks for leaks in exit(3); absent in other builds.
void __lsan_do_leak_check(void) __attribute__((weak));

void clinux_exit_at_once(int status) {
    if (__lsan_do_leak_check) __lsan_do_leak_check();
    _exit(status);
}

void *clinux_semaphore_make(void) {
    sem_t *semaphore = malloc(sizeof *semaphore);
    if (semaphore) sem_init(semaphore, 0, 0);
    return semaphore;
}

void clinux_semaphore_free(void *semaphore) {
    sem_destroy(semaphore);
    free(semaphore);
}

void clinux_semaphore_post(void *semaphore) { sem_post(semaphore); }

bool clinux_semaphore_wait(void *semaphore, int64_t timeout_ms) {
    if (timeout_ms < 0) {
        while (sem_wait(semaphore) != 0) {}
        return true;
    }
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += timeout_ms / 1000;
    deadline.tv_nsec += timeout_ms % 1000 * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000;
    }
    while (sem_clockwait(semaphore, CLOCK_MONOTONIC, &deadline) != 0) {
        if (errno != EINTR) return false;
    }
    return true;
}

static __thread bool thread_may_block;

bool clinux_thread_may_block(void) { return thread_may_block; }

void clinux_set_thread_may_block(bool may_block) { thread_may_block = may_block; }

ssize_t clinux_find_bytes(const void *text, size_t text_length, const void *part, size_t part_length) {
    const char *found = memmem(text, text_length, part, part_length);
    return found ? found - (const char *)text : -1;
}
