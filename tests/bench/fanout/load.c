/* The load generator: N WebSockets to one server; some of them publish, and every one is checked.
 *
 *     load --ports P[,P…] --path /ws/ --sockets N [--rooms R] [--senders W] [--setup FILE] --publish FILE
 *          (--closed | --rate MESSAGES_PER_SECOND) [--warm S] [--seconds S] [--drain S] [--stall S]
 *          [--in-flight N] [--sources N] [--answer PREFIX=REPLY] [--patience S] [--wait]
 *
 * Socket i is in room i % R; sockets 0…W-1 publish. Messages carry an id, "~fan~" + four hexadecimal digits of the
 * sender + "-" + eight of its message's number. A receiver finds ids in the byte stream of its frames, however many
 * messages a frame and frames a read may hold. Everybody in the room, the sender too, must get every id exactly once,
 * and those of one sender in their order.
 *
 * FILE of --setup, a line per step: socket TAB wait TAB send. When a frame that contains `wait` comes, `send` leaves;
 * an empty `wait` does not wait, an empty `send` sends nothing. Lines of `*` are for sockets that have none. A socket
 * has joined when it has taken its last step. FILE of --publish: sender TAB frame, in which %id% and %uuid7% are
 * replaced; `*` for all others.
 *
 * --closed: a sender publishes again when all of its room have received its last message (one that is not complete
 * within --stall seconds is given up, and counts as missing). --rate: message k is due at k / rate seconds, whatever
 * the server does, and latency counts from then.
 *
 * Lines of JSON on standard output: {"event":"joined"}; with --wait a line on standard input is awaited (its end ends
 * the program); {"event":"start"} and {"event":"end"} of the measured window; last, the result:
 *   deliveries, messages, frames, seconds   of the window: messages received, sent, frames that carried them
 *   sent, received                          of the whole run: messages, and deliveries without duplicates
 *   missing, duplicates, disorder, strays   of the whole run; a stray is an id of another room or that was never sent
 *   closed, stalls                          sockets lost before the end; messages given up
 *   p50_ms, p99_ms, max_ms                  from sent (or due) to received, of the window's deliveries
 *   cpu_seconds                             own CPU in the window
 * An {"error": …} line and exit code 1 when the sockets could not be made. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "frames.h"

#define MARKER "~fan~"
#define MARKER_LENGTH 5
#define ID_LENGTH (MARKER_LENGTH + 4 + 1 + 8)
#define READ_MOST (1 << 20)
#define EVENTS 512
#define PORTS_MOST 16
#define SECOND 1000000000ull
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

/* --- what was asked for ------------------------------------------------------------------------------------------ */

static struct {
    int ports[PORTS_MOST], port_count;
    const char *path, *setup, *publish, *answer;
    uint32_t sockets, rooms, senders, in_flight, sources;
    int closed_loop, wait;
    double rate, warm, seconds, drain, stall, patience;
} asked = {.path = "/",
           .rooms = 1,
           .senders = 1,
           .in_flight = 16,
           .warm = 1.5,
           .seconds = 4,
           .drain = 3,
           .stall = 10,
           .patience = 60};

/* --- sockets and senders ----------------------------------------------------------------------------------------- */

struct step {
    char *wait, *send;
};

struct script {
    struct step *steps;
    uint32_t count;
};

/* Numbers first…last of a sender that have been passed over; they may still come, late. */
struct gap {
    uint32_t sender, first, last;
};

enum phase { UNOPENED, CONNECTING, UPGRADING, SETTING_UP, JOINED, GONE };

struct socket {
    int fd;
    enum phase phase;
    uint32_t index, room, step;
    struct script script;
    uint8_t *in; /* the beginning of a frame whose end has not come yet */
    size_t in_len, in_most;
    uint8_t *out; /* what the kernel did not take yet */
    size_t out_len, out_at;
    uint32_t *next; /* by sender of the room: the number that is due */
    struct gap *gaps;
    uint32_t gap_count;
    char last_heard[160]; /* for the person who reads why joining failed */
};

struct sender {
    struct socket *socket;
    char *text;
    uint64_t *sent_at; /* by number */
    uint32_t sent, most;
    uint32_t left;    /* how many of the room have not received the last message */
};

static struct socket *sockets;
static struct sender *senders;
static struct script default_script;
static int poller, timer;
static uint32_t opened, joined, in_flight;
static uint8_t chunk[READ_MOST];

static enum { JOINING, WAITING, WARMING, MEASURING, DRAINING, DONE } stage = JOINING;
static uint64_t stage_ends, loop_began, due_count, joining_began;
static uint64_t sent_total, expected_total, received_total;
static uint64_t duplicates, disorder, strays, closed, stalls;
static uint64_t window_deliveries, window_messages, window_frames, window_began, window_ended;
static double window_cpu, join_seconds;

/* --- small things ------------------------------------------------------------------------------------------------ */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static uint64_t ns(double seconds)
{
    return (uint64_t)(seconds * 1e9);
}

static double own_cpu(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void put_json_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar((unsigned char)*text < ' ' ? ' ' : *text);
    }
}

static void fail(const char *shape, ...)
{
    char text[600];
    va_list values;
    va_start(values, shape);
    vsnprintf(text, sizeof text, shape, values);
    va_end(values);
    printf("{\"error\":\"");
    put_json_text(text);
    printf("\"}\n");
    fflush(stdout);
    exit(1);
}

static void *grown(void *old, size_t bytes)
{
    void *new = realloc(old, bytes);
    if (!new)
        fail("out of memory");
    return new;
}

static uint32_t room_size(uint32_t room)
{
    return (asked.sockets - room + asked.rooms - 1) / asked.rooms;
}

static uint64_t random_bits(void)
{
    static uint64_t state;
    if (!state)
        state = (now_ns() ^ (uint64_t)getpid() << 32) | 1;
    state ^= state << 13; /* xorshift: masks and ids need no more */
    state ^= state >> 7;
    return state ^= state << 17;
}

/* --- latencies: 64 steps to an octave of microseconds, so 1.6 % exact ---------------------------------------------- */

#define OCTAVES 40
static uint64_t histogram[OCTAVES * 64], latency_most;

static void count_latency(uint64_t nanoseconds)
{
    if (nanoseconds > latency_most)
        latency_most = nanoseconds;
    uint64_t us = nanoseconds / 1000;
    int shift = us < 128 ? 0 : 57 - __builtin_clzll(us);
    histogram[(uint64_t)shift * 64 + (us >> shift)]++;
}

static double latency_ms(double part)
{
    uint64_t wanted = (uint64_t)((double)window_deliveries * part), seen = 0;
    for (uint64_t i = 0; i < OCTAVES * 64; i++) {
        seen += histogram[i];
        if (seen > wanted) {
            uint64_t shift = i < 128 ? 0 : i / 64 - 1;
            return (double)((i - shift * 64) << shift) / 1000;
        }
    }
    return 0;
}

/* --- sending ----------------------------------------------------------------------------------------------------- */

static void interest(struct socket *s, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = s};
    epoll_ctl(poller, EPOLL_CTL_MOD, s->fd, &e);
}

static void lose(struct socket *s, const char *why);

static void give(struct socket *s, const void *bytes, size_t length)
{
    if (s->phase == GONE)
        return;
    ssize_t sent = s->out_len ? 0 : send(s->fd, bytes, length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        lose(s, strerror(errno));
        return;
    }
    if (sent < 0)
        sent = 0;
    if ((size_t)sent < length) {
        s->out = grown(s->out, s->out_len + length - (size_t)sent);
        memcpy(s->out + s->out_len, (const uint8_t *)bytes + sent, length - (size_t)sent);
        s->out_len += length - (size_t)sent;
        interest(s, EPOLLIN | EPOLLOUT);
    }
}

static void give_rest(struct socket *s)
{
    ssize_t sent = send(s->fd, s->out + s->out_at, s->out_len - s->out_at, MSG_NOSIGNAL);
    if (sent > 0)
        s->out_at += (size_t)sent;
    if (s->out_at == s->out_len) {
        s->out_len = s->out_at = 0;
        interest(s, EPOLLIN);
    }
}

/* A client masks its frames. */
static void give_frame(struct socket *s, uint8_t opcode, const char *payload, size_t length)
{
    static uint8_t *made;
    static size_t made_most;
    if (made_most < length + HEADER_MOST)
        made = grown(made, made_most = length + HEADER_MOST);
    uint64_t bits = random_bits();
    give(s, made, frame_write(made, opcode, (const uint8_t *)payload, length, (const uint8_t *)&bits));
}

/* A UUIDv7 of this moment: 48 bits of milliseconds, the version, random bits. */
static void write_uuid7(char *to)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    uint64_t a = random_bits(), b = random_bits();
    char text[37];
    snprintf(text, sizeof text, "%08x-%04x-7%03x-%04x-%012llx", (unsigned)(ms >> 16), (unsigned)(ms & 0xffff),
             (unsigned)(a & 0xfff), (unsigned)(0x8000 | (a >> 12 & 0x3fff)),
             (unsigned long long)(b & 0xffffffffffffull));
    memcpy(to, text, 36);
}

static void publish(uint32_t which, uint64_t at)
{
    struct sender *sender = &senders[which];
    if (sender->sent == sender->most)
        sender->sent_at = grown(sender->sent_at, (sender->most = sender->most ? 2 * sender->most : 1024) * 8ul);
    uint32_t number = sender->sent++;
    sender->sent_at[number] = at;
    sender->left = room_size(sender->socket->room);
    sent_total++;
    expected_total += sender->left;
    if (stage == MEASURING)
        window_messages++;

    static char text[1 << 16];
    size_t length = 0;
    for (const char *from = sender->text; *from;) {
        if (length > sizeof text - 64)
            fail("a published frame is too long");
        if (strncmp(from, "%id%", 4) == 0) {
            length += (size_t)snprintf(text + length, ID_LENGTH + 1, MARKER "%04x-%08x", which, number);
            from += 4;
        } else if (strncmp(from, "%uuid7%", 7) == 0) {
            write_uuid7(text + length);
            length += 36;
            from += 7;
        } else {
            text[length++] = *from++;
        }
    }
    give_frame(sender->socket, OP_TEXT, text, length);
}

/* --- receiving --------------------------------------------------------------------------------------------------- */

/* Whether the number was missing so far; it no longer is. */
static int take_from_gap(struct socket *s, uint32_t sender, uint32_t number)
{
    for (uint32_t i = 0; i < s->gap_count; i++) {
        struct gap *gap = &s->gaps[i];
        if (gap->sender != sender || number < gap->first || number > gap->last)
            continue;
        if (number > gap->first && number < gap->last) {
            s->gaps = grown(s->gaps, (s->gap_count + 1) * sizeof *gap);
            gap = &s->gaps[i];
            s->gaps[s->gap_count++] = (struct gap){sender, number + 1, gap->last};
            gap->last = number - 1;
        } else if (gap->first == gap->last) {
            *gap = s->gaps[--s->gap_count];
        } else if (number == gap->first) {
            gap->first++;
        } else {
            gap->last--;
        }
        return 1;
    }
    return 0;
}

static void received(struct socket *s, uint32_t which, uint32_t number, uint64_t at)
{
    if (which >= asked.senders || which % asked.rooms != s->room || number >= senders[which].sent) {
        strays++;
        return;
    }
    struct sender *sender = &senders[which];
    uint32_t *next = &s->next[which / asked.rooms];
    if (number == *next) {
        ++*next;
    } else if (number > *next) {
        s->gaps = grown(s->gaps, (s->gap_count + 1) * sizeof *s->gaps);
        s->gaps[s->gap_count++] = (struct gap){which, *next, number - 1};
        *next = number + 1;
    } else if (take_from_gap(s, which, number)) {
        disorder++;
    } else {
        duplicates++;
        return;
    }
    received_total++;
    if (stage == MEASURING) {
        window_deliveries++;
        count_latency(at - sender->sent_at[number]);
    }
    if (number + 1 == sender->sent && --sender->left == 0 && asked.closed_loop &&
        (stage == WARMING || stage == MEASURING))
        publish(which, now_ns());
}

static uint32_t hexadecimal(const uint8_t *digits, int count, int *good)
{
    uint32_t value = 0;
    for (int i = 0; i < count; i++) {
        uint8_t d = digits[i];
        uint32_t one = d >= '0' && d <= '9' ? d - '0' : d >= 'a' && d <= 'f' ? d - 'a' + 10 : 16;
        if (one == 16)
            *good = 0;
        value = value << 4 | one;
    }
    return value;
}

static void find_ids(struct socket *s, uint8_t *text, size_t length, uint64_t at)
{
    uint8_t *end = text + length, *found;
    int any = 0;
    while ((found = memmem(text, (size_t)(end - text), MARKER, MARKER_LENGTH))) {
        if (end - found < ID_LENGTH)
            break;
        int good = found[MARKER_LENGTH + 4] == '-';
        uint32_t which = hexadecimal(found + MARKER_LENGTH, 4, &good);
        uint32_t number = hexadecimal(found + MARKER_LENGTH + 5, 8, &good);
        if (good) {
            any = 1;
            received(s, which, number, at);
        } else {
            strays++;
        }
        text = found + ID_LENGTH;
    }
    if (any && stage == MEASURING)
        window_frames++;
}

static void has_joined(struct socket *s)
{
    s->phase = JOINED;
    joined++;
    in_flight--;
}

/* Take all steps that need no waiting, after the one that `heard` (if any) allows. */
static void take_steps(struct socket *s, const uint8_t *heard, size_t length)
{
    while (s->phase == SETTING_UP && s->step < s->script.count) {
        struct step *step = &s->script.steps[s->step];
        size_t wanted = strlen(step->wait);
        if (wanted) {
            if (!heard || !memmem(heard, length, step->wait, wanted))
                return;
            heard = NULL; /* one frame is the answer to one step */
        }
        s->step++;
        if (*step->send)
            give_frame(s, OP_TEXT, step->send, strlen(step->send));
    }
    if (s->phase == SETTING_UP)
        has_joined(s);
}

static void lose(struct socket *s, const char *why)
{
    if (s->phase < JOINED)
        fail("socket %u of %u, with %u joined: %s; it last heard: %s", s->index, asked.sockets, joined, why,
             s->last_heard);
    close(s->fd);
    s->phase = GONE;
    if (stage != DONE)
        closed++;
}

/* How many of these bytes are used up. */
static size_t understand(struct socket *s, uint8_t *bytes, size_t length, uint64_t at)
{
    size_t used = 0;
    if (s->phase == UPGRADING) {
        uint8_t *end = memmem(bytes, length, "\r\n\r\n", 4);
        if (!end)
            return 0;
        used = (size_t)(end - bytes) + 4;
        snprintf(s->last_heard, sizeof s->last_heard, "%.*s", (int)(used < 150 ? used : 150), bytes);
        if (length < 12 || memcmp(bytes + 8, " 101", 4) || !memmem(bytes, used, HANDSHAKE_ACCEPT, 28)) {
            lose(s, "no WebSocket there");
            return used;
        }
        s->phase = SETTING_UP;
        take_steps(s, NULL, 0);
    }
    struct frame frame;
    int read = 0;
    while (s->phase != GONE && (read = frame_read(bytes + used, length - used, &frame)) == 1) {
        used += frame.whole;
        if (frame.opcode == OP_CLOSE) {
            lose(s, "closed by the server");
        } else if (frame.opcode == OP_PING) {
            give_frame(s, OP_PONG, (const char *)frame.payload, frame.length);
        } else if (frame.opcode != OP_PONG) {
            if (s->phase == SETTING_UP) {
                size_t shown = frame.length < sizeof s->last_heard - 1 ? frame.length : sizeof s->last_heard - 1;
                memcpy(s->last_heard, frame.payload, shown);
                s->last_heard[shown] = 0;
                take_steps(s, frame.payload, frame.length);
            }
            find_ids(s, frame.payload, frame.length, at);
            if (asked.answer) {
                const char *reply = strchr(asked.answer, '=') + 1;
                size_t prefix = (size_t)(reply - asked.answer) - 1;
                if (frame.length >= prefix && memcmp(frame.payload, asked.answer, prefix) == 0)
                    give_frame(s, OP_TEXT, reply, strlen(reply));
            }
        }
    }
    if (read < 0)
        lose(s, "a frame that cannot be read");
    return used;
}

static void hear(struct socket *s)
{
    size_t had = s->in_len;
    if (had)
        memcpy(chunk, s->in, had);
    ssize_t got = recv(s->fd, chunk + had, sizeof chunk - had, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        lose(s, got < 0 ? strerror(errno) : had == sizeof chunk ? "a frame that is too long" : "hung up");
        return;
    }
    size_t length = had + (size_t)got;
    size_t used = understand(s, chunk, length, now_ns());
    s->in_len = length - used;
    if (s->in_len > s->in_most)
        s->in = grown(s->in, s->in_most = s->in_len);
    if (s->in_len)
        memcpy(s->in, chunk + used, s->in_len);
    else if (s->in_most > 4096) {
        free(s->in); /* a snapshot passed by */
        s->in = NULL;
        s->in_most = 0;
    }
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

static void open_next(void)
{
    struct socket *s = &sockets[opened++];
    in_flight++;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        fail("socket %u: %s (see ulimit -n)", s->index, strerror(errno));
    int yes = 1;
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (asked.sources > 1) {
        /* one address has some 28,000 ports for one destination, and closed connections hold theirs for a minute */
        struct sockaddr_in from = {.sin_family = AF_INET};
        from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + s->index % asked.sources);
        setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
        if (bind(s->fd, (struct sockaddr *)&from, sizeof from))
            fail("socket %u: bind: %s", s->index, strerror(errno));
    }
    int port = asked.ports[s->index / asked.rooms % (uint32_t)asked.port_count];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(s->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        fail("socket %u: connect: %s", s->index, strerror(errno));
    s->phase = CONNECTING;
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = s};
    epoll_ctl(poller, EPOLL_CTL_ADD, s->fd, &e);
}

static void connected(struct socket *s)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error)
        fail("socket %u: connect: %s", s->index, strerror(error));
    s->phase = UPGRADING;
    interest(s, EPOLLIN);
    char text[1024];
    int length = snprintf(text, sizeof text,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: " HANDSHAKE_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n",
                          asked.path, asked.ports[s->index / asked.rooms % (uint32_t)asked.port_count]);
    give(s, text, (size_t)length);
}

/* --- time -------------------------------------------------------------------------------------------------------- */

static void say(const char *event)
{
    printf("{\"event\":\"%s\"}\n", event);
    fflush(stdout);
}

/* What is due by the clock; then set it for what is due next. */
static void on_time(void)
{
    uint64_t now = now_ns();
    if (stage == JOINING && now > stage_ends)
        fail("only %u of %u sockets had joined after %g s", joined, asked.sockets, asked.patience);
    if (stage == WARMING && now >= stage_ends) {
        stage = MEASURING;
        window_began = now;
        stage_ends = now + ns(asked.seconds);
        window_cpu = own_cpu();
        say("start");
    }
    if (stage == MEASURING && now >= stage_ends) {
        stage = DRAINING;
        window_ended = now;
        stage_ends = now + ns(asked.drain);
        window_cpu = own_cpu() - window_cpu;
        say("end");
    }
    if (stage == DRAINING && (now >= stage_ends || received_total == expected_total))
        stage = DONE;

    int publishing = stage == WARMING || stage == MEASURING;
    uint64_t next = stage == WAITING ? now + SECOND : stage_ends;
    if (publishing && !asked.closed_loop) {
        uint64_t due;
        while ((due = loop_began + (uint64_t)((double)due_count * 1e9 / asked.rate)) <= now)
            publish((uint32_t)(due_count++ % asked.senders), due);
        if (due < next)
            next = due;
    }
    if (publishing && asked.closed_loop)
        for (uint32_t w = 0; w < asked.senders; w++) {
            struct sender *sender = &senders[w];
            if (now > sender->sent_at[sender->sent - 1] + ns(asked.stall)) {
                stalls++;
                publish(w, now);
            }
        }
    /* stalls and the end of draining are looked for ten times a second */
    if (stage != WAITING && next > now + SECOND / 10)
        next = now + SECOND / 10;
    if (stage == DRAINING && next > now + SECOND / 500)
        next = now + SECOND / 500;
    struct itimerspec at = {.it_value = {(time_t)(next / SECOND), (long)(next % SECOND)}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static void begin(void)
{
    stage = WARMING;
    loop_began = now_ns();
    stage_ends = loop_began + ns(asked.warm);
    if (asked.closed_loop)
        for (uint32_t w = 0; w < asked.senders; w++)
            publish(w, now_ns());
    on_time();
}

/* --- the beginning and the end ----------------------------------------------------------------------------------- */

static char *field(char **line)
{
    char *begins = *line;
    char *tab = strchr(begins, '\t');
    if (tab) {
        *tab = 0;
        *line = tab + 1;
    } else {
        *line = begins + strlen(begins);
    }
    return begins;
}

static void read_lines(const char *path, void (*take)(char *line))
{
    FILE *file = fopen(path, "r");
    if (!file)
        fail("%s: %s", path, strerror(errno));
    char *line = NULL;
    size_t most = 0;
    ssize_t length;
    while ((length = getline(&line, &most, file)) > 0) {
        if (line[length - 1] == '\n')
            line[length - 1] = 0;
        take(line);
    }
    free(line);
    fclose(file);
}

static void take_setup(char *line)
{
    char *whose = field(&line);
    char *wait = field(&line);
    uint32_t index = (uint32_t)strtoul(whose, NULL, 10);
    struct script *script = &default_script;
    if (*whose != '*') {
        if (index >= asked.sockets)
            return;
        script = &sockets[index].script;
    }
    script->steps = grown(script->steps, (script->count + 1) * sizeof *script->steps);
    script->steps[script->count++] = (struct step){strdup(wait), strdup(line)};
}

static void take_publish(char *line)
{
    char *whose = field(&line);
    uint32_t only = (uint32_t)strtoul(whose, NULL, 10);
    for (uint32_t w = 0; w < asked.senders; w++)
        if (*whose == '*' ? !senders[w].text : w == only)
            senders[w].text = strdup(line);
}

static void read_arguments(int count, char **words)
{
    for (int i = 1; i < count; i++) {
        const char *name = words[i];
        if (strcmp(name, "--closed") == 0) {
            asked.closed_loop = 1;
            continue;
        }
        if (strcmp(name, "--wait") == 0) {
            asked.wait = 1;
            continue;
        }
        if (i + 1 == count)
            fail("%s needs a value", name);
        char *value = words[++i];
        if (strcmp(name, "--ports") == 0) {
            for (char *port = strtok(value, ","); port && asked.port_count < PORTS_MOST; port = strtok(NULL, ","))
                asked.ports[asked.port_count++] = atoi(port);
        } else if (strcmp(name, "--path") == 0)
            asked.path = value;
        else if (strcmp(name, "--setup") == 0)
            asked.setup = value;
        else if (strcmp(name, "--publish") == 0)
            asked.publish = value;
        else if (strcmp(name, "--answer") == 0 && strchr(value, '='))
            asked.answer = value;
        else if (strcmp(name, "--sockets") == 0)
            asked.sockets = (uint32_t)atoi(value);
        else if (strcmp(name, "--rooms") == 0)
            asked.rooms = (uint32_t)atoi(value);
        else if (strcmp(name, "--senders") == 0)
            asked.senders = (uint32_t)atoi(value);
        else if (strcmp(name, "--in-flight") == 0)
            asked.in_flight = (uint32_t)atoi(value);
        else if (strcmp(name, "--sources") == 0)
            asked.sources = (uint32_t)atoi(value);
        else if (strcmp(name, "--rate") == 0)
            asked.rate = atof(value);
        else if (strcmp(name, "--warm") == 0)
            asked.warm = atof(value);
        else if (strcmp(name, "--seconds") == 0)
            asked.seconds = atof(value);
        else if (strcmp(name, "--drain") == 0)
            asked.drain = atof(value);
        else if (strcmp(name, "--stall") == 0)
            asked.stall = atof(value);
        else if (strcmp(name, "--patience") == 0)
            asked.patience = atof(value);
        else
            fail("%s is not known", name);
    }
    if (!asked.port_count || !asked.sockets || !asked.rooms || !asked.publish || !asked.senders)
        fail("--ports, --sockets, --publish are needed, rooms and senders are at least one");
    if (asked.senders > asked.sockets || asked.senders > 65536)
        fail("more senders than sockets");
    if (!asked.closed_loop && asked.rate <= 0)
        fail("either --closed or --rate");
    if (!asked.sources)
        asked.sources = 1 + asked.sockets / 5000;
}

static void allow_files(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    rlim_t wanted = asked.sockets + 64;
    if (files.rlim_max < wanted)
        files.rlim_max = wanted; /* works for root */
    files.rlim_cur = wanted;
    if (setrlimit(RLIMIT_NOFILE, &files))
        fail("%u sockets need `ulimit -n %u`", asked.sockets, (unsigned)wanted);
}

static void prepare(void)
{
    sockets = calloc(asked.sockets, sizeof *sockets);
    senders = calloc(asked.senders, sizeof *senders);
    if (!sockets || !senders)
        fail("out of memory");
    read_lines(asked.publish, take_publish);
    if (asked.setup)
        read_lines(asked.setup, take_setup);
    uint32_t senders_of_room = (asked.senders + asked.rooms - 1) / asked.rooms;
    for (uint32_t i = 0; i < asked.sockets; i++) {
        struct socket *s = &sockets[i];
        s->index = i;
        s->room = i % asked.rooms;
        s->next = calloc(senders_of_room, sizeof *s->next);
        if (!s->next)
            fail("out of memory");
        if (!s->script.count)
            s->script = default_script;
    }
    for (uint32_t w = 0; w < asked.senders; w++) {
        senders[w].socket = &sockets[w];
        if (!senders[w].text)
            fail("sender %u has nothing to publish", w);
    }
}

static void result(void)
{
    double seconds = (double)(window_ended - window_began) / 1e9;
    printf("{\"event\":\"result\",\"sockets\":%u,\"rooms\":%u,\"senders\":%u,\"deliveries\":%llu,\"messages\":%llu,"
           "\"frames\":%llu,\"seconds\":%.6f,\"sent\":%llu,\"received\":%llu,\"missing\":%llu,\"duplicates\":%llu,\"disorder\":%llu,"
           "\"strays\":%llu,\"closed\":%llu,\"stalls\":%llu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,"
           "\"cpu_seconds\":%.6f,\"join_seconds\":%.3f}\n",
           asked.sockets, asked.rooms, asked.senders, (unsigned long long)window_deliveries,
           (unsigned long long)window_messages, (unsigned long long)window_frames, seconds,
           (unsigned long long)sent_total, (unsigned long long)received_total,
           (unsigned long long)(expected_total - received_total), (unsigned long long)duplicates,
           (unsigned long long)disorder, (unsigned long long)strays, (unsigned long long)closed,
           (unsigned long long)stalls, latency_ms(0.5), latency_ms(0.99), (double)latency_most / 1e6, window_cpu,
           join_seconds);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    read_arguments(argc, argv);
    allow_files();
    prepare();
    poller = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    /* events point to a socket; those of the timer and of standard input to these */
    static char of_timer, of_input;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &of_timer}, events[EVENTS];
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &e);
    joining_began = now_ns();
    stage_ends = joining_began + ns(asked.patience);
    on_time();
    while (stage != DONE) {
        if (stage == JOINING) {
            while (opened < asked.sockets && in_flight < asked.in_flight)
                open_next();
            if (joined == asked.sockets) {
                join_seconds = (double)(now_ns() - joining_began) / 1e9;
                say("joined");
                stage = WAITING;
                if (asked.wait) {
                    e.data.ptr = &of_input;
                    epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &e);
                } else {
                    begin();
                }
            }
        }
        int count = epoll_wait(poller, events, EVENTS, -1);
        if (count < 0 && errno != EINTR)
            fail("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < count; i++) {
            struct socket *s = events[i].data.ptr;
            if ((void *)s == &of_timer) {
                uint64_t rings;
                if (read(timer, &rings, sizeof rings) > 0)
                    on_time();
            } else if ((void *)s == &of_input) {
                char line[80];
                if (read(STDIN_FILENO, line, sizeof line) <= 0)
                    return 0;
                if (stage == WAITING)
                    begin();
            } else if (s->phase == CONNECTING && events[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
                connected(s);
            } else {
                if (s->phase != GONE && s->out_len && events[i].events & EPOLLOUT)
                    give_rest(s);
                if (s->phase != GONE && events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
                    hear(s);
            }
        }
    }
    result();
    return 0;
}
