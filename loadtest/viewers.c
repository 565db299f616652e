/* Many viewers in one thread: opens websockets, reads what comes, and says how long it took.
 *
 * viewers PORT PATH KIND [PUBLISH]
 *   KIND  seatmap: binary frames (docs/protocol.md); those who click hold seats and give them back
 *         text:    text messages with "#<19 digits of ns>" in them; PUBLISH is the path of a websocket that sends them
 *         post:    the same, PUBLISH being a path for HTTP POST;  socketio: the same over Socket.IO
 * Lines on its standard input, each answered by one line of JSON:
 *   open N C          N more viewers, C handshakes at once      drop          all viewers leave without a word
 *   return C          those who left come back, each with its position
 *   one ROUNDS        so many times: one message, until all have it
 *   rate R SECONDS    R changes or messages a second
 *   stall N           N sockets that never read                 stalled       how many of those are still open
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { CLOSED, CONNECTING, SHAKING, GREETING, OPEN };
enum { VIEWER, CLICKER, PUBLISHER };
enum { CLICKERS = 64, BASKET = 8, SEATS = 100000, PER_ADDRESS = 20000, SLOTS = 70000 };

typedef struct {
    int fd, state, role, size, room, stalled;
    uint8_t *part;               /* the beginning of a message that has not come whole */
    uint32_t epoch, version;     /* of a seatmap viewer's map */
    uint64_t asked, shown;       /* when it began to connect; when it had its map */
    int held, busy;              /* of a clicker: seats in its basket; whether it waits for an answer */
    char hold[64];
} Socket;

static Socket sockets[SLOTS], clickers[CLICKERS], publisher;
static int count, is_open, shaking, epoll, port, kind_post, kind_sio, kind_map, next_seat;
static const char *path, *publish_path = "";
static uint64_t clicked[SEATS];  /* seat -> when it was clicked; 0: not, or no more of interest */
static uint64_t sent_at, deliveries, frames, clicks, refused, lost;
static int reached;
static uint8_t buffer[1 << 20];

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "viewers: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- waits, as a histogram whose buckets are 1 % wide ---- */

static uint32_t waits[4096];
static uint64_t waited, longest;

static int bucket(uint64_t ns) {
    int high = 63 - __builtin_clzll(ns | 64);
    return (high - 6) * 64 + (int)(ns >> (high - 6) & 63);
}

static void wait_of(uint64_t ns) {
    waits[bucket(ns)]++;
    waited++;
    if (ns > longest) longest = ns;
}

static double wait_at(double share) {
    uint64_t seen = 0;
    for (int i = 0; i < 4096; i++)
        if ((seen += waits[i]) > share * waited) return (double)((64ull + i % 64) << i / 64) / 1e6;
    return longest / 1e6;
}

static void forget_waits(void) {
    memset(waits, 0, sizeof waits);
    waited = longest = deliveries = frames = clicks = refused = 0;
}

/* ---- connections ---- */

static void send_all(Socket *s, const void *data, size_t size) {
    if (send(s->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size) fail("cannot send");
}

static void send_text(Socket *s, const char *text) {
    size_t size = strlen(text);
    uint8_t message[1024];
    int head = size < 126 ? 2 : 4;
    message[0] = 0x81;
    message[1] = 0x80 | (size < 126 ? size : 126);
    if (head == 4) message[2] = size >> 8, message[3] = size;
    memset(message + head, 0, 4); /* a mask of zeros: we need no protection from ourselves */
    memcpy(message + head + 4, text, size);
    send_all(s, message, head + 4 + size);
}

static void begin(Socket *s, int index) {
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001 + index / PER_ADDRESS)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001), .sin_port = htons(port)};
    struct linger at_once = {1, 0};
    int one = 1, small = 4096;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (s->fd < 0) fail("cannot open a socket");
    setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    if (s->stalled) setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (bind(s->fd, (void *)&from, sizeof from)) fail("cannot bind");
    if (connect(s->fd, (void *)&to, sizeof to) && errno != EINPROGRESS) fail("cannot connect");
    s->state = CONNECTING;
    s->size = 0;
    s->asked = now();
    s->shown = 0;
    shaking++;
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = s};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &event)) fail("cannot watch a socket");
}

static void leave(Socket *s) {
    if (s->state == CLOSED) return;
    if (s->state != OPEN) shaking--;
    else if (s->role == VIEWER && !s->stalled) is_open--;
    s->state = CLOSED;
    close(s->fd);
}

static void opened(Socket *s) {
    s->state = OPEN;
    shaking--;
    if (s->role == VIEWER) is_open++;
    if (!kind_map) s->shown = now();
}

static void greet(Socket *s) {
    char request[1024], where[512];
    snprintf(where, sizeof where, "%s", s->role == PUBLISHER ? publish_path : path);
    if (kind_map && s->version)
        snprintf(where, sizeof where, "%s?epoch=%u&version=%u", path, s->epoch, s->version);
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", where, port);
    send_all(s, request, strlen(request));
    s->state = SHAKING;
}

/* ---- what comes ---- */

static uint32_t u32(const uint8_t *at) { return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24; }

static void seat_frame(Socket *s, const uint8_t *frame, int size, uint64_t when) {
    frames++;
    if (size < 16 || s->role != VIEWER) return;
    int type = frame[0];
    if (type != 1 && type != 2 && type != 4) {
        if (type == 3 && !s->shown) s->shown = when; /* a heartbeat: nothing was missed */
        return;
    }
    s->epoch = u32(frame + 4);
    s->version = u32(frame + (type == 2 ? 12 : 8));
    if (!s->shown) s->shown = when;
    if (type != 2) return;
    for (int at = 16; at + 4 <= size; at += 4) {
        uint32_t entry = u32(frame + at), seat = entry >> 8;
        if ((entry & 255) != 1 || seat >= SEATS || !clicked[seat]) continue;
        deliveries++;
        reached++;
        wait_of(when - clicked[seat]);
    }
}

static void text_message(Socket *s, const char *text, int size, uint64_t when) {
    if (s->role == CLICKER) {
        if (size < 15 || memcmp(text, "{\"type\":\"reply\"", 15)) return;
        const char *hold = memmem(text, size, "\"hold_id\":\"", 11);
        s->busy = 0;
        if (memmem(text, size, "\"error\"", 7)) refused++;
        if (!hold) return;
        const char *end = memchr(hold + 11, '"', text + size - hold - 11);
        if (end) snprintf(s->hold, sizeof s->hold, "%.*s", (int)(end - hold - 11), hold + 11);
        return;
    }
    if (kind_sio && s->role == VIEWER) {
        if (s->state == GREETING && text[0] == '0') { send_text(s, "40"); return; }
        if (s->state == GREETING) { opened(s); return; }
        if (size == 1 && text[0] == '2') { send_text(s, "3"); return; }
    }
    const char *mark = s->role == VIEWER ? memchr(text, '#', size) : NULL;
    if (kind_map || !mark || mark + 20 > text + size) return;
    uint64_t at = strtoull(mark + 1, NULL, 10);
    frames++;
    deliveries++;
    wait_of(when - at);
    if (at == sent_at) reached++;
}

static int whole_messages(Socket *s, uint8_t *data, int size, uint64_t when) {
    int at = 0;
    if (s->state == SHAKING) {
        uint8_t *end = memmem(data, size, "\r\n\r\n", 4);
        if (!end) return 0;
        if (memcmp(data, "HTTP/1.1 101", 12)) { lost++; leave(s); return size; }
        at = end + 4 - data;
        if (kind_sio && s->role == VIEWER) s->state = GREETING;
        else opened(s);
    }
    if (s->role == PUBLISHER && kind_post) return size;
    while (size - at >= 2 && s->state != CLOSED) {
        int length = data[at + 1] & 127, head = 2, op = data[at] & 15;
        if (length == 126) head = 4;
        if (length == 127) head = 10;
        if (size - at < head) break;
        if (head == 4) length = data[at + 2] << 8 | data[at + 3];
        if (head == 10) length = data[at + 6] << 24 | data[at + 7] << 16 | data[at + 8] << 8 | data[at + 9];
        if (size - at < head + length) break;
        if (op == 2) seat_frame(s, data + at + head, length, when);
        else if (op == 1) text_message(s, (char *)data + at + head, length, when);
        else if (op == 9) { uint8_t pong[6] = {0x8a, 0x80}; send_all(s, pong, 6); }
        else if (op == 8) { lost++; leave(s); }
        at += head + length;
    }
    return at;
}

static void take(Socket *s, int size) {
    uint64_t when = now();
    uint8_t *data = buffer;
    if (s->size) { /* put what came now behind what came before */
        if (s->size + size > s->room) s->part = realloc(s->part, s->room = s->size + size);
        memcpy(s->part + s->size, buffer, size);
        data = s->part;
        size += s->size;
    }
    int done = whole_messages(s, data, size, when), rest = s->state == CLOSED ? 0 : size - done;
    if (rest && data == buffer && rest > s->room) s->part = realloc(s->part, s->room = rest);
    if (rest) memmove(s->part, data + done, rest);
    s->size = rest;
}

static void turn(int ms) {
    static struct epoll_event events[1024];
    int n = epoll_wait(epoll, events, 1024, ms);
    for (int i = 0; i < n; i++) {
        Socket *s = events[i].data.ptr;
        if (s->state == CLOSED) continue;
        if (s->state == CONNECTING) {
            int error = 0;
            socklen_t size = sizeof error;
            getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size);
            if (error) { lost++; leave(s); continue; }
            struct epoll_event event = {.events = s->stalled ? 0 : EPOLLIN, .data.ptr = s};
            epoll_ctl(epoll, EPOLL_CTL_MOD, s->fd, &event);
            if (s->role == PUBLISHER && kind_post) opened(s);
            else greet(s);
            if (s->stalled) { s->state = OPEN; shaking--; }
            continue;
        }
        if (s->stalled) { leave(s); continue; } /* that is all it is told of */
        int size = recv(s->fd, buffer, sizeof buffer, 0);
        if (size > 0) take(s, size);
        else if (size == 0 || (errno != EAGAIN && errno != EINTR)) { lost++; leave(s); }
    }
}

/* ---- what is asked of us ---- */

static void click(Socket *s) {
    char command[256];
    if (s->held == BASKET) {
        snprintf(command, sizeof command, "{\"type\":\"release\",\"id\":\"r\",\"hold_id\":\"%s\"}", s->hold);
        s->held = 0;
    } else {
        int seat = next_seat++ % SEATS;
        snprintf(command, sizeof command, "{\"type\":\"hold\",\"id\":\"h\",\"seats\":[%d]}", seat);
        clicked[seat] = now();
        s->held++;
    }
    s->busy = 1;
    clicks++;
    send_text(s, command);
}

static void publish(void) {
    char body[128], request[512];
    sent_at = now();
    snprintf(body, sizeof body, "{\"event\":1,\"at\":\"#%019llu\",\"seats\":[12345]}..", (unsigned long long)sent_at);
    clicks++;
    if (!kind_post) { send_text(&publisher, body); return; }
    snprintf(request, sizeof request, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n"
             "Content-Length: %zu\r\n\r\n%s", publish_path, strlen(body), body);
    send_all(&publisher, request, strlen(request));
}

static int act(int number) { /* one change or message; 0 where nobody is free to make it */
    if (!kind_map) { publish(); return 1; }
    for (int i = 0; i < CLICKERS; i++) {
        Socket *s = &clickers[(number + i) % CLICKERS];
        if (s->state == OPEN && !s->busy) { click(s); return 1; }
    }
    return 0;
}

static void connect_all(int first, int last, int at_once, int stalled) {
    for (int i = first; i < last || shaking;) {
        while (i < last && shaking < at_once) {
            sockets[i].role = VIEWER;
            sockets[i].stalled = stalled;
            begin(&sockets[i], i);
            i++;
        }
        turn(100);
    }
}

static void ready(void) { /* those who make changes are there */
    if (kind_map)
        for (int i = 0; i < CLICKERS; i++) {
            if (clickers[i].state != CLOSED) continue;
            clickers[i] = (Socket){.role = CLICKER};
            begin(&clickers[i], 0);
        }
    else if (publisher.state == CLOSED) {
        publisher.role = PUBLISHER;
        begin(&publisher, 0);
    }
    while (shaking) turn(100);
}

static void pass(double seconds) {
    for (uint64_t until = now() + seconds * 1e9; now() < until;) turn(1);
}

static void come(int first, int at_once, const char *word) {
    uint64_t began = now();
    uint64_t lost_before = lost;
    connect_all(first, count, at_once, 0);
    double shaken = (now() - began) / 1e9;
    int shown = 0;
    while (shown < count - first - (int)(lost - lost_before) && now() - began < 60e9) {
        turn(10);
        shown = 0;
        for (int i = first; i < count; i++) shown += sockets[i].shown != 0 || sockets[i].stalled;
    }
    forget_waits();
    uint32_t lowest = ~0u, highest = 0;
    for (int i = first; i < count; i++) {
        Socket *s = &sockets[i];
        if (s->shown) wait_of(s->shown - s->asked);
        if (s->state == OPEN && s->version < lowest) lowest = s->version;
        if (s->version > highest) highest = s->version;
    }
    printf("{\"%s\":%d,\"handshake_s\":%.3f,\"seconds\":%.3f,\"shown\":%d,\"lost\":%llu,\"p50\":%.2f,\"p99\":%.2f,"
           "\"lowest\":%u,\"highest\":%u}\n", word, count - first, shaken, (now() - began) / 1e9, shown,
           (unsigned long long)(lost - lost_before), wait_at(.5), wait_at(.99), lowest, highest);
}

static void one(int rounds) {
    ready();
    pass(0.3);
    forget_waits();
    printf("{\"reach_ms\":[");
    for (int round = 0; round < rounds; round++) {
        memset(clicked, 0, sizeof clicked);
        reached = 0;
        uint64_t began = now();
        for (int i = 0; i < CLICKERS; i++) /* a new basket, so that the click is a hold */
            if (clickers[i].held == BASKET) { clickers[i].held = 0; }
        act(round);
        while (reached < is_open && now() - began < 20e9) turn(0);
        uint64_t took = now() - began;
        printf("%s%.3f", round ? "," : "", took / 1e6);
        pass(0.1 + 2 * took / 1e9); /* so that the next is the first after a pause again */
    }
    printf("],\"viewers\":%d,\"deliveries\":%llu,\"lost\":%llu}\n", is_open, (unsigned long long)deliveries, (unsigned long long)lost);
}

static void rate(double per_s, double seconds) {
    ready();
    forget_waits();
    memset(clicked, 0, sizeof clicked);
    uint64_t began = now(), due = 0, late = 0;
    while (now() - began < seconds * 1e9) {
        while (due < (now() - began) / 1e9 * per_s) late += !act(due++);
        turn(0);
    }
    double took = (now() - began) / 1e9;
    uint64_t made = clicks, in_time = frames;
    pass(1); /* what is still under way */
    printf("{\"changes_per_s\":%.1f,\"frames_per_s\":%.0f,\"deliveries\":%llu,\"p50\":%.2f,\"p99\":%.2f,\"max\":%.2f,"
           "\"skipped\":%llu,\"refused\":%llu,\"viewers\":%d,\"lost\":%llu}\n", made / took, in_time / took,
           (unsigned long long)deliveries, wait_at(.5), wait_at(.99), longest / 1e6, (unsigned long long)late,
           (unsigned long long)refused, is_open, (unsigned long long)lost);
}

static void stalled(void) {
    int alive = 0;
    for (int i = 0; i < count; i++) {
        struct pollfd p = {.fd = sockets[i].fd};
        if (!sockets[i].stalled || sockets[i].state == CLOSED) continue;
        if (poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR)) leave(&sockets[i]);
        else alive++;
    }
    printf("{\"alive\":%d}\n", alive);
}

int main(int argc, char **argv) {
    if (argc < 4) { fprintf(stderr, "viewers PORT PATH KIND [PUBLISH]\n"); return 2; }
    port = atoi(argv[1]);
    path = argv[2];
    kind_map = !strcmp(argv[3], "seatmap");
    kind_sio = !strcmp(argv[3], "socketio");
    kind_post = kind_sio || !strcmp(argv[3], "post");
    if (argc > 4) publish_path = argv[4];
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    setvbuf(stdout, NULL, _IOLBF, 0);
    epoll = epoll_create1(0);
    fcntl(0, F_SETFL, O_NONBLOCK);
    char line[256];
    int length = 0;
    for (;;) {
        char c;
        ssize_t got = read(0, &c, 1);
        if (got == 0) return 0;
        if (got < 0) { turn(5); continue; }
        if (c != '\n') { if (length < 255) line[length++] = c; continue; }
        line[length] = 0;
        length = 0;
        double a = 0, b = 0;
        char word[16] = "";
        sscanf(line, "%15s %lf %lf", word, &a, &b);
        int before = count;
        if (!strcmp(word, "open")) { count += a; come(before, b, "opened"); }
        else if (!strcmp(word, "stall")) { count += a; connect_all(before, count, 100, 1); printf("{\"stalled\":%d}\n", (int)a); }
        else if (!strcmp(word, "stalled")) stalled();
        else if (!strcmp(word, "drop")) { for (int i = 0; i < count; i++) leave(&sockets[i]); printf("{\"dropped\":%d}\n", count); }
        else if (!strcmp(word, "return")) come(0, a, "returned");
        else if (!strcmp(word, "one")) one(a);
        else if (!strcmp(word, "rate")) rate(a, b);
        else printf("{\"error\":\"unknown\"}\n");
    }
}
