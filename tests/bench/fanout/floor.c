/* The floor: what a fan-out costs when nothing but the kernel's send() is left.
 *
 *     floor PORT
 *
 * One thread, epoll, one room. Every text frame of a client goes unchanged to all clients, one send() each. No Redis,
 * no checks, no other process: a lower bound, not a chat server. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frames.h"

#define READ_MOST 65536
#define EVENTS 512

struct client {
    int fd;
    int open;      /* the handshake is over */
    int place;     /* index in `room`; -1 before */
    uint8_t *in;   /* the beginning of a frame whose end has not come yet */
    size_t in_len;
    uint8_t *out;  /* what the kernel did not take yet */
    size_t out_len, out_at;
};

static int poller;
static struct client **room;
static int room_size, room_most;
static uint8_t chunk[2 * READ_MOST];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void interest(struct client *c, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}

static void leave(struct client *c)
{
    if (c->place >= 0) {
        room[c->place] = room[--room_size];
        room[c->place]->place = c->place;
    }
    /* freed by nobody: events of this round may still point here, and a benchmark's clients do not come and go */
    close(c->fd);
    c->fd = -1;
}

static void keep(struct client *c, const uint8_t *bytes, size_t length)
{
    c->out = realloc(c->out, c->out_len + length);
    memcpy(c->out + c->out_len, bytes, length);
    c->out_len += length;
    interest(c, EPOLLIN | EPOLLOUT);
}

static void give(struct client *c, const uint8_t *bytes, size_t length)
{
    if (c->out_len) {
        keep(c, bytes, length);
        return;
    }
    ssize_t sent = send(c->fd, bytes, length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        return; /* its hang-up is about to be read */
    if (sent < 0)
        sent = 0;
    if ((size_t)sent < length)
        keep(c, bytes + sent, length - (size_t)sent);
}

static void give_rest(struct client *c)
{
    ssize_t sent = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL);
    if (sent > 0)
        c->out_at += (size_t)sent;
    if (c->out_at == c->out_len) {
        c->out_len = c->out_at = 0;
        interest(c, EPOLLIN);
    }
}

/* How many of these bytes are used up; -1: the client is gone. */
static ssize_t understand(struct client *c, uint8_t *bytes, size_t length)
{
    static uint8_t frame_out[READ_MOST + HEADER_MOST];
    size_t at = 0;
    if (!c->open) {
        uint8_t *end = memmem(bytes, length, "\r\n\r\n", 4);
        if (!end)
            return 0;
        static const char yes[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Accept: " HANDSHAKE_ACCEPT "\r\n\r\n";
        give(c, (const uint8_t *)yes, sizeof yes - 1);
        c->open = 1;
        if (room_size == room_most)
            room = realloc(room, (room_most = room_most ? 2 * room_most : 1024) * sizeof *room);
        c->place = room_size;
        room[room_size++] = c;
        at = (size_t)(end - bytes) + 4;
    }
    struct frame frame;
    int read;
    while ((read = frame_read(bytes + at, length - at, &frame)) == 1) {
        at += frame.whole;
        if (frame.opcode == OP_CLOSE)
            return -1;
        if (frame.opcode == OP_TEXT) {
            size_t size = frame_write(frame_out, OP_TEXT, frame.payload, frame.length, NULL);
            for (int i = 0; i < room_size; i++)
                give(room[i], frame_out, size);
        }
    }
    return read < 0 ? -1 : (ssize_t)at;
}

static void hear(struct client *c)
{
    if (c->in_len)
        memcpy(chunk, c->in, c->in_len);
    ssize_t got = recv(c->fd, chunk + c->in_len, READ_MOST - c->in_len, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    size_t length = c->in_len + (got > 0 ? (size_t)got : 0);
    ssize_t used = got > 0 ? understand(c, chunk, length) : -1;
    if (used < 0) {
        leave(c);
        return;
    }
    c->in_len = length - (size_t)used;
    if (c->in_len) {
        c->in = realloc(c->in, c->in_len);
        memcpy(c->in, chunk + used, c->in_len);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 4096))
        fail("listen");
    poller = epoll_create1(0);
    struct epoll_event of_listener = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &of_listener);
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, -1);
        if (count < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int i = 0; i < count; i++) {
            struct client *c = events[i].data.ptr;
            if (c == NULL) {
                int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (fd < 0)
                    continue;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                c = calloc(1, sizeof *c);
                c->fd = fd;
                c->place = -1;
                struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
                epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
                continue;
            }
            if (c->fd >= 0 && events[i].events & EPOLLOUT)
                give_rest(c);
            if (c->fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                hear(c);
        }
    }
}
