/* WebSocket frames (RFC 6455), as far as the generator and the floor need them. No extensions. */

#ifndef FRAMES_H
#define FRAMES_H

#include <stdint.h>
#include <string.h>

enum { OP_CONTINUATION = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

/* The key of the RFC's own example and what a server must answer to it: one key for all, so nobody needs SHA-1. */
#define HANDSHAKE_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define HANDSHAKE_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* Bytes that a frame's header and mask take at most. */
#define HEADER_MOST 14

struct frame {
    uint8_t opcode;
    uint8_t *payload; /* unmasked in place when it came masked */
    uint64_t length;
    uint64_t whole; /* bytes of the frame with its header */
};

/* Read the frame at `bytes`. 1: read; 0: not all of it is there yet; -1: not a frame we can read (extensions). */
static int frame_read(uint8_t *bytes, uint64_t available, struct frame *frame)
{
    if (available < 2)
        return 0;
    if (bytes[0] & 0x70)
        return -1;
    uint64_t header = 2, length = bytes[1] & 0x7f;
    int masked = bytes[1] & 0x80;
    if (length == 126) {
        if (available < 4)
            return 0;
        length = (uint64_t)bytes[2] << 8 | bytes[3];
        header = 4;
    } else if (length == 127) {
        if (available < 10)
            return 0;
        length = 0;
        for (int i = 2; i < 10; i++)
            length = length << 8 | bytes[i];
        header = 10;
    }
    if (length > 1ull << 30)
        return -1;
    if (masked)
        header += 4;
    if (available < header + length)
        return 0;
    frame->opcode = bytes[0] & 0x0f;
    frame->payload = bytes + header;
    frame->length = length;
    frame->whole = header + length;
    if (masked)
        for (uint64_t i = 0; i < length; i++)
            frame->payload[i] ^= bytes[header - 4 + (i & 3)];
    return 1;
}

/* Write a whole frame to `to` (which has room for HEADER_MOST more than `length`); its size. */
static uint64_t frame_write(uint8_t *to, uint8_t opcode, const uint8_t *payload, uint64_t length,
                            const uint8_t *mask)
{
    uint64_t at = 0;
    uint8_t bit = mask ? 0x80 : 0;
    to[at++] = 0x80 | opcode;
    if (length < 126) {
        to[at++] = bit | (uint8_t)length;
    } else if (length < 65536) {
        to[at++] = bit | 126;
        to[at++] = (uint8_t)(length >> 8);
        to[at++] = (uint8_t)length;
    } else {
        to[at++] = bit | 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            to[at++] = (uint8_t)(length >> shift);
    }
    if (!mask) {
        memcpy(to + at, payload, length);
        return at + length;
    }
    memcpy(to + at, mask, 4);
    at += 4;
    for (uint64_t i = 0; i < length; i++)
        to[at + i] = payload[i] ^ mask[i & 3];
    return at + length;
}

#endif
