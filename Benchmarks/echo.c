/* The floor: an epoll server that writes back what it reads, one thread, no parsing.
 * Usage: echo SOCKET. Ends on SIGTERM. Started by run.py as the peer of row 1. */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>

#include "common.h"

static int listen_unix(const char *path) {
    struct sockaddr_un address = unix_address(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0) die(path);
    return fd;
}

static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

/* Writes all of it, waiting where the peer is slow. Returns 0 when the peer is gone. */
static int write_all(int fd, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t written = write(fd, bytes, count);
        if (written > 0) {
            bytes += written, count -= (size_t)written;
        } else if (errno == EAGAIN) {
            struct pollfd one = {.fd = fd, .events = POLLOUT};
            poll(&one, 1, 1000);
        } else if (errno != EINTR) {
            return 0;
        }
    }
    return 1;
}

static void serve(int fd) {
    static char buffer[1 << 16];
    ssize_t count = read(fd, buffer, sizeof buffer);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0 || !write_all(fd, buffer, (size_t)count)) close(fd);
}

int main(int argc, char **argv) {
    if (argc != 2) return fprintf(stderr, "usage: echo SOCKET\n"), 64;
    int listener = listen_unix(argv[1]), epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) die("epoll_create1");
    signal(SIGPIPE, SIG_IGN); /* a client may leave before its echo */
    watch(epoll, listener);
    for (;;) {
        struct epoll_event events[256];
        int count = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd != listener) {
                serve(events[i].data.fd);
                continue;
            }
            int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd >= 0) watch(epoll, fd);
        }
    }
}
