/* What the kernel alone allows: a websocket server that is nothing but a loop of send().
 *
 * limit PORT: whatever a connection to /pub says is sent to all others, as it came, in a frame built once.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

typedef struct { int fd, open, size; uint8_t data[1024]; } Peer;

static Peer *viewers[70000];
static int count, epoll;
/* The key that viewers.c sends is always the same, hence so is its answer. */
static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static void leave(Peer *peer) {
    for (int i = 0; i < count; i++)
        if (viewers[i] == peer) { viewers[i] = viewers[--count]; break; }
    close(peer->fd);
    free(peer);
}

static void to_all(const uint8_t *text, int size) {
    uint8_t frame[512] = {0x81};
    int head = 2;
    if (size < 126) frame[1] = size;
    else frame[1] = 126, frame[2] = size >> 8, frame[3] = size, head = 4;
    memcpy(frame + head, text, size);
    for (int i = 0; i < count; i++) (void)!send(viewers[i]->fd, frame, head + size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void hear(Peer *peer) {
    int got = recv(peer->fd, peer->data + peer->size, sizeof peer->data - peer->size, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { leave(peer); return; }
    peer->size += got;
    if (!peer->open) {
        if (!memmem(peer->data, peer->size, "\r\n\r\n", 4)) return;
        (void)!send(peer->fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
        if (memcmp(peer->data, "GET /pub", 8)) viewers[count++] = peer;
        peer->open = 1;
        peer->size = 0;
        return;
    }
    while (peer->size >= 6) { /* short text messages in one piece, masked */
        int size = peer->data[1] & 127, whole = size + 6;
        if (peer->size < whole) return;
        for (int i = 0; i < size; i++) peer->data[6 + i] ^= peer->data[2 + i % 4];
        if ((peer->data[0] & 15) == 1) to_all(peer->data + 6, size);
        memmove(peer->data, peer->data + whole, peer->size -= whole);
    }
}

int main(int argc, char **argv) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    struct rlimit files;
    if (argc < 2) return 2;
    at.sin_port = htons(atoi(argv[1]));
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&at, sizeof at) || listen(listener, 4096)) { perror("limit"); return 1; }
    epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, events[512];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int n = epoll_wait(epoll, events, 512, -1), fd;
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) { hear(events[i].data.ptr); continue; }
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                Peer *peer = calloc(1, sizeof *peer);
                peer->fd = fd;
                event.data.ptr = peer;
                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}
