/* STUN messages, and a binding request to one server: which address it sees us come from. */
#include "stun.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COOKIE 0x2112a442u
#define FIRST_WAIT 500

static unsigned take16(const unsigned char *at) {
    return (unsigned)at[0] << 8 | at[1];
}

static void put16(unsigned char *at, unsigned value) {
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
}

void stun_begin(struct stun *message, unsigned method) {
    unsigned char *at = message->bytes;
    uint32_t cookie = htonl(COOKIE);
    put16(at, method);
    put16(at + 2, 0);
    memcpy(at + 4, &cookie, 4);
    memset(at + 8, 0, 12);
    int random = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (random != -1) {
        if (read(random, at + 8, 12) != 12) {
            memcpy(at + 8, "boardprobe..", 12);
        }
        close(random);
    }
    message->size = STUN_HEADER;
}

void stun_add(struct stun *message, unsigned name, const void *value, size_t size) {
    size_t padded = (size + 3) & ~(size_t)3;
    if (message->size + 4 + padded > sizeof message->bytes) {
        return;
    }
    unsigned char *at = message->bytes + message->size;
    put16(at, name);
    put16(at + 2, (unsigned)size);
    memset(at + 4, 0, padded);
    if (size > 0) {
        memcpy(at + 4, value, size);
    }
    message->size += 4 + padded;
    put16(message->bytes + 2, (unsigned)(message->size - STUN_HEADER));
}

unsigned stun_answers(const struct stun *came, const struct stun *asked) {
    if (came->size < STUN_HEADER || STUN_HEADER + take16(came->bytes + 2) != came->size ||
        memcmp(came->bytes + 4, asked->bytes + 4, 16) != 0) {
        return 0;
    }
    unsigned kind = take16(came->bytes);
    return (kind & ~(unsigned)STUN_ERROR) == take16(asked->bytes) && (kind & STUN_SUCCESS) ? kind : 0;
}

const unsigned char *stun_find(const struct stun *message, unsigned name, size_t *size) {
    size_t at = STUN_HEADER;
    while (at + 4 <= message->size) {
        size_t length = take16(message->bytes + at + 2);
        if (at + 4 + length > message->size) {
            return NULL;
        }
        if (take16(message->bytes + at) == name) {
            *size = length;
            return message->bytes + at + 4;
        }
        at += 4 + ((length + 3) & ~(size_t)3);
    }
    return NULL;
}

bool stun_address(const struct stun *message, unsigned name, struct sockaddr_storage *found) {
    size_t size = 0;
    const unsigned char *value = stun_find(message, name, &size);
    /* What is xor-ed is so with the cookie and the transaction behind it. */
    const unsigned char *mask = message->bytes + 4;
    bool hidden = name == STUN_XOR_MAPPED_ADDRESS || name == STUN_XOR_RELAYED_ADDRESS;
    unsigned char plain[16];
    if (value == NULL || (size != 8 && size != 20) || value[1] != (size == 8 ? 1 : 2)) {
        return false;
    }
    for (size_t at = 0; at < size - 4; at++) {
        plain[at] = value[4 + at] ^ (hidden ? mask[at] : 0);
    }
    unsigned port = take16(value + 2) ^ (hidden ? COOKIE >> 16 : 0);
    memset(found, 0, sizeof *found);
    if (size == 8) {
        struct sockaddr_in *four = (struct sockaddr_in *)found;
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
        memcpy(&four->sin_addr, plain, 4);
    } else {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)found;
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)port);
        memcpy(&six->sin6_addr, plain, 16);
    }
    return true;
}

bool stun_mapped(const struct stun *answer, struct sockaddr_storage *found) {
    return stun_address(answer, STUN_XOR_MAPPED_ADDRESS, found) || stun_address(answer, STUN_MAPPED_ADDRESS, found);
}

unsigned stun_ask(int line, const struct sockaddr *to, socklen_t length, const struct stun *asked, struct stun *came,
                  int tries, int *error) {
    struct pollfd waiting = {.fd = line, .events = POLLIN};
    int wait = FIRST_WAIT;
    *error = ETIMEDOUT;
    for (int turn = 0; turn < tries; turn++, wait *= 2) {
        if (sendto(line, asked->bytes, asked->size, 0, to, length) == -1) {
            *error = errno;
            if (errno != EPERM && errno != ECONNREFUSED) {
                return 0;
            }
        }
        while (poll(&waiting, 1, wait) == 1) {
            ssize_t count = recv(line, came->bytes, sizeof came->bytes, 0);
            if (count == -1) {
                *error = errno; /* a message of ICMP; another answer may still come */
                break;
            }
            came->size = (size_t)count;
            unsigned kind = stun_answers(came, asked);
            if (kind != 0) {
                return kind;
            }
        }
    }
    return 0;
}

/* Our own address on the way to a server: a datagram socket that is connected sends nothing. */
static void note_local(int line, struct outcome *seen) {
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    char text[80];
    if (getsockname(line, (struct sockaddr *)&own, &size) == 0) {
        address_text((struct sockaddr *)&own, text, sizeof text);
        outcome_note(seen, "local", "%s", text);
    }
}

void reach_stun(const struct endpoint *asked, struct outcome *seen) {
    struct addrinfo *found = resolve(&asked->servers[0], AF_UNSPEC, SOCK_DGRAM, seen);
    struct sockaddr_storage mapped;
    struct stun question, answer;
    int error = EADDRNOTAVAIL;
    char text[80];
    if (found == NULL) {
        return;
    }
    outcome_stage(seen, "udp");
    for (const struct addrinfo *to = found; to != NULL; to = to->ai_next) {
        address_text(to->ai_addr, text, sizeof text);
        outcome_note(seen, "address", "%s", text);
        int line = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (line == -1 || connect(line, to->ai_addr, to->ai_addrlen) != 0) {
            error = errno;
        } else {
            note_local(line, seen);
            stun_begin(&question, STUN_BINDING);
            if (stun_ask(line, NULL, 0, &question, &answer, STUN_TRIES, &error) == (STUN_BINDING | STUN_SUCCESS) &&
                stun_mapped(&answer, &mapped)) {
                address_text((struct sockaddr *)&mapped, text, sizeof text);
                outcome_note(seen, "mapped", "%s", text);
                outcome_state(seen, "ok");
            }
        }
        if (line != -1) {
            close(line);
        }
        if (*seen->state) {
            break;
        }
    }
    freeaddrinfo(found);
    if (!*seen->state) {
        outcome_state(seen, state_of(error));
    }
}
