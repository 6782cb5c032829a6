/* The floor of an activation: the least that a Type=notify service with one socket from systemd can do.
 * It says READY=1, accepts, and answers every request with one fixed health_response, one connection at a time. No libraries
 * but the C library, and no checks beyond what keeps it from hanging: measure.py puts it into the unit that is measured.
 * Usage: started by systemd only (LISTEN_FDS, NOTIFY_SOCKET). Ends on SIGTERM. */
#define _GNU_SOURCE
#include <stddef.h>

#include "../common.h"

enum { FIRST_SOCKET = 3 }; /* SD_LISTEN_FDS_START, sd_listen_fds(3) */

/* sd_notify(3): one datagram to $NOTIFY_SOCKET, a path or an abstract name. */
static void notify(const char *state) {
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path) return;
    struct sockaddr_un address = unix_address(path);
    if (*path == '@') address.sun_path[0] = 0;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + (*path == '/'));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, state, strlen(state), 0, (struct sockaddr *)&address, size) < 0) die("notify");
    close(fd);
}

static void serve(int fd, const struct request *reply) {
    char buffer[4096];
    while (read(fd, buffer, sizeof buffer) > 0) {
        if (send(fd, reply->bytes, reply->used, MSG_NOSIGNAL) < 0) break;
    }
    close(fd);
}

int main(void) {
    const char *count = getenv("LISTEN_FDS");
    if (!count || strcmp(count, "1") != 0) {
        fprintf(stderr, "minimal-service: wants exactly one socket from systemd\n");
        return 1;
    }
    struct request reply;
    begin_frame(&reply, 1, "health_response");
    put_byte(&reply, 0x81), put_text(&reply, "status"), put_text(&reply, "healthy");
    end_frame(&reply);
    notify("READY=1");
    for (;;) {
        int fd = accept4(FIRST_SOCKET, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0 && errno != EINTR && errno != ECONNABORTED) die("accept");
        if (fd >= 0) serve(fd, &reply);
    }
}
