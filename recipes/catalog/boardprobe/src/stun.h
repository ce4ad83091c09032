/* STUN messages: RFC 5389 and what RFC 5780 and RFC 5766 add. */
#ifndef BOARDPROBE_STUN_H
#define BOARDPROBE_STUN_H

#include "reach.h"

#include <netinet/in.h>
#include <stdint.h>

#define STUN_MOST 1500
#define STUN_HEADER 20

enum {
    STUN_BINDING = 0x0001,
    STUN_ALLOCATE = 0x0003,
    STUN_REFRESH = 0x0004,
    STUN_SUCCESS = 0x0100, /* or-ed to a method */
    STUN_ERROR = 0x0110,
};

enum {
    STUN_MAPPED_ADDRESS = 0x0001,
    STUN_CHANGE_REQUEST = 0x0003,
    STUN_CHANGED_ADDRESS = 0x0005, /* of RFC 3489 */
    STUN_USERNAME = 0x0006,
    STUN_MESSAGE_INTEGRITY = 0x0008,
    STUN_ERROR_CODE = 0x0009,
    STUN_LIFETIME = 0x000d,
    STUN_REALM = 0x0014,
    STUN_NONCE = 0x0015,
    STUN_XOR_RELAYED_ADDRESS = 0x0016,
    STUN_REQUESTED_TRANSPORT = 0x0019,
    STUN_XOR_MAPPED_ADDRESS = 0x0020,
    STUN_OTHER_ADDRESS = 0x802c,
};

struct stun {
    unsigned char bytes[STUN_MOST];
    size_t size;
};

/* A request with a transaction of its own. */
void stun_begin(struct stun *message, unsigned method);
void stun_add(struct stun *message, unsigned name, const void *value, size_t size);
/* The kind of what came, where it is a whole message that answers `asked`; 0 otherwise. */
unsigned stun_answers(const struct stun *came, const struct stun *asked);
/* The value of an attribute; NULL where there is none. */
const unsigned char *stun_find(const struct stun *message, unsigned name, size_t *size);
/* An address in an attribute; false where it has none that can be read. */
bool stun_address(const struct stun *message, unsigned name, struct sockaddr_storage *found);
/* Where the answer says that the question came from. */
bool stun_mapped(const struct stun *answer, struct sockaddr_storage *found);

/* Times that a question is sent: RFC 5389, 7.2.1, waits half a second, and twice as long each time. */
#define STUN_TRIES 3
#define STUN_FEW 2
/* Send a question until it is answered, 3.5 s or 1.5 s; returns the answer's kind, or 0 and why as an errno. */
unsigned stun_ask(int line, const struct sockaddr *to, socklen_t length, const struct stun *asked, struct stun *came,
                  int tries, int *error);

void reach_stun(const struct endpoint *asked, struct outcome *seen);
void reach_nat(const struct endpoint *asked, struct outcome *seen);
void reach_turn(const struct endpoint *asked, struct outcome *seen);

#endif
