// What Swift's Glibc module lacks or imports unevenly. `_GNU_SOURCE` is defined in the .c file only: in a public
// header it would make `fd_set` differ between Clang modules.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// One readiness event; same layout on all architectures, unlike `struct epoll_event`, which is packed on x86-64.
typedef struct {
    uint32_t events;
    uint64_t token;
} clinux_event;

enum {
    CLINUX_EPOLLIN = 0x001,
    CLINUX_EPOLLOUT = 0x004,
    CLINUX_EPOLLERR = 0x008,
    CLINUX_EPOLLHUP = 0x010,
    CLINUX_EPOLLRDHUP = 0x2000,
    CLINUX_EPOLLONESHOT = 0x40000000,
};
#define CLINUX_EVENT_COUNT_MAX 128

/// Credentials of the peer of a Unix socket (unix(7), SO_PEERCRED).
typedef struct {
    int32_t pid;
    uint32_t uid;
    uint32_t gid;
} clinux_peer_credentials;

/// Tells the processor that this thread waits for another one's store.
static inline void clinux_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// All return −1 and set errno on failure, like the functions of the same name.
int clinux_epoll_create(void);
int clinux_epoll_add(int epoll, int fd, uint32_t events, uint64_t token);
int clinux_epoll_modify(int epoll, int fd, uint32_t events, uint64_t token);
int clinux_epoll_remove(int epoll, int fd);
/// Waits at most `timeout_ns` (negative: for ever) and fills at most CLINUX_EVENT_COUNT_MAX events.
int clinux_epoll_wait(int epoll, clinux_event *events, int event_count_max, int64_t timeout_ns);
/// recv(2) and send(2) without signals. Like `clinux_epoll_wait`, by the system call itself: the C library's functions
/// are cancellation points (pthreads(7)), which cost two locked instructions each, and no thread here is cancelled.
ssize_t clinux_receive(int socket, void *buffer, size_t byte_count);
/// Descriptors that may come with one message (SCM_MAX_FD in unix(7)).
#define CLINUX_DESCRIPTOR_COUNT_MAX 253
/// Has the kernel refuse descriptors from everybody who connects to this Unix socket from now on, if it can
/// (SO_PASSRIGHTS, Linux 6.16).
void clinux_refuse_descriptors(int socket);
/// Whether an accepted socket can receive descriptors; always true if the kernel cannot refuse them.
bool clinux_may_bring_descriptors(int socket);
/// sendmsg(2) with one descriptor, without SIGPIPE.
ssize_t clinux_send_with_descriptor(int socket, const void *bytes, size_t byte_count, int descriptor);
/// Lets descriptors come over a socket again, or not; without effect if the kernel cannot refuse them.
void clinux_set_pass_descriptors(int socket, bool may_pass);
/// recvmsg(2), with the descriptors that came along; some are lost when the process has no more room for them.
ssize_t clinux_receive_with_descriptors(
    int socket, void *buffer, size_t byte_count, int descriptors[CLINUX_DESCRIPTOR_COUNT_MAX], int *descriptor_count,
    bool *are_lost);
/// O_PATH of open(2): such a descriptor names a file, and reads and writes nothing.
#define CLINUX_PATH_ONLY 010000000
/// Whether an open file is on a file system in memory (fstatfs(2)).
bool clinux_is_in_memory(int file);
/// Whether an open file is on a file system that stores something: writing to a file of the others (procfs, sysfs, cgroups) gives
/// the kernel an order, with the rights of whoever writes.
bool clinux_is_stored(int file);
/// Has the kernel begin to write what write(2) has just put into a file, and waits until what came some megabytes before is
/// on the disk (sync_file_range(2)): so a long file neither fills the memory with what is not written yet, nor makes others
/// wait for all of it when they have a file of theirs written.
void clinux_write_out(int file, size_t byte_count);
/// Writes what there is room for into a pipe that is writable for poll(2), and does not wait, unless others write into it: without
/// RWF_NOWAIT (pwritev2(2), of pipes since Linux 6.4) no more than is sure to have room (PIPE_BUF in pipe(7)).
ssize_t clinux_write_to_pipe(int pipe, const void *bytes, size_t byte_count);
/// A descriptor that is ready when something has happened to one of the files that were added (inotify(7)).
int clinux_watch_create(void);
/// Adds a file: it is written, truncated, moved or deleted. Its number; that which it has if it is there already, -1 for an error.
int clinux_watch_add(int watch, const char *path);
/// Removes the file of that number, if it has not gone.
void clinux_watch_remove(int watch, int number);
enum { CLINUX_WATCH_EVENT_COUNT_MAX = 128 };
/// Takes some of what has happened: the numbers of the files, of which the room must be for CLINUX_WATCH_EVENT_COUNT_MAX; -1 is
/// for things that are not known any more. How many; 0 when there are none, and the descriptor is not ready.
int clinux_watch_read(int watch, int *numbers);
/// Whether any process has locks of fcntl(2) on an open file that conflict with writing it (F_OFD_GETLK).
bool clinux_is_locked(int file);

/// rename(2), which fails with EEXIST where something has the new name, and with EINVAL on a file system that cannot look.
int clinux_rename_new(const char *from, const char *to);
/// Closing the socket will not wait until everything has been sent (socket(7), SO_LINGER).
void clinux_do_not_linger(int socket);
ssize_t clinux_send(int socket, const void *bytes, size_t byte_count);
int clinux_eventfd(void);
/// A descriptor that reads as signals, which are blocked in the calling thread (signalfd(2)).
int clinux_signalfd(const int *signals, int signal_count);
/// The arguments of main(), which the C library also passes to the initialisers of a program: Swift reads them from
/// /proc, which may be missing.
int clinux_argument_count(void);
const char *clinux_argument(int index);

/// Changes the process's user permanently, with the groups of the group database (initgroups(3)); −1 with errno.
int clinux_become(const char *user, unsigned uid, unsigned gid);

/// Lets the calling thread not receive a signal.
void clinux_block_signal(int number);

/// Blocks the signals in the calling thread and waits for one of them (sigtimedwait(2)); 0 when none came.
int clinux_wait_for_signal(const int *signals, int signal_count, int64_t milliseconds);
/// Blocks the signals in the calling thread and in those that it starts.
void clinux_block_signals(const int *signals, int signal_count);
/// From now on a signal by which the process ends itself, or SIGABRT, is first stored there; for a few places,
/// permanently.
int clinux_note_deadly_signal(uint32_t *place);
/// A stack for that handler in the calling thread, until it is released; nothing before the handler is installed.
void clinux_take_signal_stack(void);
void clinux_drop_signal_stack(void);
/// "SEGV"; NULL for a number that is no signal's.
const char *clinux_signal_name(int number);
/// The next signal of a signalfd, 0 when there is none.
int clinux_signalfd_read(int fd, int *pid_of_sender);
int clinux_accept(int listener);
int clinux_peer_of(int fd, clinux_peer_credentials *credentials);
/// Supplementary groups of the peer of a Unix socket at connect(2) (Linux 4.13, SO_PEERGROUPS; net/core/sock.c).
/// `count`: room, then how many there are; ERANGE when that is more.
int clinux_peer_groups_of(int fd, uint32_t *groups, size_t *count);
/// Groups of a user by the group database (getgrouplist(3)); `count` as above, and −1 when that is more.
int clinux_groups_of_user(const char *name, uint32_t gid, uint32_t *groups, size_t *count);
/// Unix stream listener; `path_length` must fit sun_path (107 bytes). The file has these permission bits from the first
/// moment. Changes the process's umask meanwhile: before other threads make files.
int clinux_bind_unix(const char *path, size_t path_length, uint32_t mode);
/// Sets the group of a socket file of the caller's own, and of no other file that is at that path meanwhile.
int clinux_set_socket_group(const char *path, uint32_t gid);
int clinux_connect_unix(const char *path, size_t path_length);
/// TCP on 127.0.0.1 (or ::1) only. `port` 0 lets the kernel choose.
int clinux_bind_loopback(uint16_t port, bool ipv6);
int clinux_connect_loopback(uint16_t port);
/// Port of a bound TCP socket, 0 where it is none.
int clinux_local_port(int fd);
/// AF_UNIX, AF_INET, AF_INET6 or −1.
int clinux_socket_family(int fd);
/// True for 127.0.0.0/8 and ::1.
bool clinux_socket_is_loopback(int fd);
/// Path of a Unix socket into `path` (size 108 or more); its length, 0 for an unnamed one, −1 on failure.
int clinux_socket_path(int fd, char *path, size_t path_size);
int clinux_set_nonblocking(int fd);
int clinux_set_cloexec(int fd);
int clinux_set_nodelay(int fd);
/// Bytes that were sent and not read by the peer (SIOCOUTQ), −1 on failure.
int clinux_queued_byte_count(int fd);

/// Bytes that a stream socket has received and nobody has read (SIOCINQ), −1 on failure.
int clinux_unread_byte_count(int fd);
int clinux_flock_exclusive_nonblocking(int fd);
/// A file in memory that can neither grow nor shrink, close-on-exec (memfd_create(2)).
int clinux_memory_file(const char *name, size_t byte_count);
/// Size of a file that clinux_memory_file made, −1 for any other.
int64_t clinux_memory_file_size(int fd);
/// Maps a file for reading and writing, shared with whoever else maps it; NULL on failure.
void *clinux_map_shared(int fd, size_t byte_count);
void clinux_unmap(void *address, size_t byte_count);
/// Frees the pages of a shared mapping for everybody who maps the file; they read as zeros then (madvise(2), MADV_REMOVE).
void clinux_discard_shared(void *address, size_t byte_count);
int64_t clinux_monotonic_ns(void);
/// Time of the processor that this thread has used.
int64_t clinux_thread_cpu_ns(void);
/// Wall clock, nanoseconds since 1970.
int64_t clinux_realtime_ns(void);
/// A semaphore of this process (sem_overview(7)); NULL when there is no memory.
void *clinux_semaphore_make(void);
void clinux_semaphore_free(void *semaphore);
void clinux_semaphore_post(void *semaphore);
/// False after `timeout_ms` (negative: never) of the monotonic clock, which cannot be set.
bool clinux_semaphore_wait(void *semaphore, int64_t timeout_ms);
/// Names the calling thread, at most 15 bytes (pthread_setname_np(3)).
void clinux_name_thread(const char *name);
/// Asks the scheduler for time slices of `slice_ns` for the calling thread, 0 for the usual ones; threads that it starts have
/// the usual ones. −1 where that is not allowed or not known.
int clinux_request_slice(uint64_t slice_ns);
/// Whether the calling thread may be kept busy for long; false until it is set.
bool clinux_thread_may_block(void);
void clinux_set_thread_may_block(bool may_block);
/// The fault scope of the calling thread; 0 for none (debug builds).
uint64_t clinux_fault_scope(void);
void clinux_set_fault_scope(uint64_t scope);
/// Where `part` first occurs in `text`, or -1; in time that grows with the sum of the lengths (memmem(3) of glibc).
ssize_t clinux_find_bytes(const void *text, size_t text_length, const void *part, size_t part_length);
/// Why the guard of a thread refuses counted memory.
typedef enum clinux_guard_reason { CLINUX_GUARD_NONE, CLINUX_GUARD_STACK, CLINUX_GUARD_TIME } clinux_guard_reason;
/// From now on the calling thread gets no counted memory while less than `margin` bytes of its stack are left.
void clinux_guard_stack(size_t margin);
/// Until clinux_guard_end, the calling thread gets no counted memory after `asks` has returned true; it is called now
/// and then.
void clinux_guard_begin(bool (*asks)(void *), void *context);
/// Whether memory is refused now.
bool clinux_is_beyond_guard(void);
/// Whether the guard has refused memory since it began, and why.
clinux_guard_reason clinux_guard_end(void);
clinux_guard_reason clinux_guard_refusal(void);
/// From now on the calling thread's library may not read from a file after `asks` has returned true; it is called now and
/// then. NULL: it may.
void clinux_guard_reads(bool (*asks)(void *), void *context);
/// Whether a read has to fail now.
bool clinux_must_not_read(void);
/// One user's use of a library's memory and of temporary files; never freed. NULL stands for nobody in particular.
typedef struct clinux_account clinux_account;
/// The account of a user; NULL when there is no memory for one. Any thread.
clinux_account *clinux_account_of(uint32_t uid);
/// Sets the account that is charged for what the calling thread takes from now on.
void clinux_work_for(clinux_account *account);
/// The same for a new piece of work: earlier refusals are forgotten.
void clinux_begin_work_for(clinux_account *account);
clinux_account *clinux_worked_for(void);
/// The uid of an account that is not NULL.
uint32_t clinux_account_uid(const clinux_account *account);
typedef struct {
    int64_t bytes, peak;
    uint64_t refusals;
} clinux_usage;
/// Memory of one account, of all for NULL; likewise temporary files. Exact to 64 KiB for each thread.
clinux_usage clinux_memory_usage(const clinux_account *account);
clinux_usage clinux_file_usage(const clinux_account *account);
/// The most that may be in use, in bytes, in all and by one account; 0: no limit.
void clinux_set_memory_limits(int64_t in_all, int64_t by_one);
/// The same for temporary files: bytes by one account, and open files in all and by one.
void clinux_set_file_limits(int64_t by_one, int64_t count_in_all, int64_t count_by_one);
/// Memory that is charged to the account of the calling thread, and credited to the same account by whoever frees it.
/// NULL if there is none, or if a limit is exceeded.
void *clinux_counted_allocate(int byte_count);
void clinux_counted_free(void *memory);
void *clinux_counted_resize(void *memory, int byte_count);
int clinux_counted_size(void *memory);
/// From now on the calling thread gets more than it asks for where it asks for 1,024 bytes: twice as much each time, a few times.
///
/// SQLite's hash tables never ask for more (rehash in src/hash.c, SQLITE_MALLOC_SOFT_LIMIT): 64 places, in which 100,000 tables of
/// a schema are searched one after the other, several times for each that is read. They use what they got, as xSize tells it.
/// Only while a schema is read: where a table has more than two elements for each of its many places, it asks again with
/// each one that is added.
void clinux_begin_roomy_tables(void);
void clinux_end_roomy_tables(void);
/// Charges a temporary file's growth, or credits it; false, without a change, if that exceeds the limit of its account.
bool clinux_charge_file(clinux_account *account, int64_t change);
/// The same for a temporary file that is to be opened, and one that was closed.
bool clinux_open_file(clinux_account *account);
void clinux_close_file(clinux_account *account);
/// Accounts for the calling thread's collected changes; to be called before it ends.
void clinux_flush_counted(void);
enum {
    CLINUX_REFUSED_NOTHING,
    CLINUX_REFUSED_MEMORY_IN_ALL,
    CLINUX_REFUSED_MEMORY_BY_ONE,
    CLINUX_REFUSED_FILES_BY_ONE,
    CLINUX_REFUSED_FILE_COUNT,
};
/// The limit that was reached on this thread since the last call.
int clinux_take_refusal(void);
/// Cores that this thread may run on (sched_getaffinity(2)), 1 or more.
int clinux_core_count(void);
/// Caps the number of malloc arenas, and gives them slack (mallopt(3)). A thread that has one alone waits for no other thread's lock;
/// each costs some resident memory.
void clinux_limit_malloc_arenas(int count);
/// Adds to the counted size of the heap, besides counted memory.
void clinux_note_heap(int64_t change);
enum { CLINUX_FREED_BYTE_COUNT_MIN = 32 << 20 };
/// From now on `clinux_wait_for_freed_memory` returns when so much was freed since its last return. False if somebody
/// else waits for that already.
bool clinux_watch_freed_memory(void);
void clinux_wait_for_freed_memory(void);
/// _exit(2).
_Noreturn void clinux_exit_at_once(int status);
/// Gives free memory of all arenas back to the system (malloc_trim(3)).
void clinux_trim_malloc(void);
