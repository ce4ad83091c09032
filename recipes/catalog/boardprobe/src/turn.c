/* TURN: an allocation with the credentials that were given, released again; RFC 5766 with RFC 5389's long-term ones. */
#include "stun.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define UDP 17
#define MOST_WORD 256
/* RFC 5766, 4: what the server may ask once more for, a nonce that is stale among it. */
#define MOST_TURNS 3

/* A connected datagram socket, a stream, or TLS over one. */
struct way {
    int line;
    bool stream;
    struct tls *tls;
};

struct login {
    char realm[MOST_WORD];
    char nonce[MOST_WORD];
    unsigned char key[EVP_MAX_MD_SIZE];
    unsigned key_size;
};

static bool write_all(const struct way *way, const unsigned char *data, size_t size) {
    if (way->tls != NULL) {
        return tls_write(way->tls, data, size);
    }
    return send(way->line, data, size, 0) == (ssize_t)size;
}

static bool read_whole(const struct way *way, unsigned char *data, size_t size) {
    for (size_t got = 0; got < size;) {
        long count = way->tls != NULL ? tls_read(way->tls, data + got, size - got)
                                      : (long)recv(way->line, data + got, size - got, 0);
        if (count <= 0) {
            return false;
        }
        got += (size_t)count;
    }
    return true;
}

/* One message of a stream: the header says how long it is. */
static bool read_message(const struct way *way, struct stun *came) {
    if (!read_whole(way, came->bytes, STUN_HEADER)) {
        return false;
    }
    size_t length = (size_t)came->bytes[2] << 8 | came->bytes[3];
    if (STUN_HEADER + length > sizeof came->bytes || !read_whole(way, came->bytes + STUN_HEADER, length)) {
        return false;
    }
    came->size = STUN_HEADER + length;
    return true;
}

static unsigned exchange(const struct way *way, const struct stun *asked, struct stun *came, int *error) {
    if (!way->stream) {
        return stun_ask(way->line, NULL, 0, asked, came, STUN_TRIES, error);
    }
    *error = ECONNRESET;
    if (!write_all(way, asked->bytes, asked->size)) {
        return 0;
    }
    while (read_message(way, came)) {
        unsigned kind = stun_answers(came, asked);
        if (kind != 0) {
            return kind;
        }
    }
    return 0;
}

/* RFC 5389, 15.4: the length counts the attribute itself, which is over all that is before it. */
static void add_integrity(struct stun *message, const struct login *login) {
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    unsigned size = 20;
    size_t covered = message->size;
    stun_add(message, STUN_MESSAGE_INTEGRITY, digest, 20);
    HMAC(EVP_sha1(), login->key, (int)login->key_size, message->bytes, covered, digest, &size);
    memcpy(message->bytes + covered + 4, digest, 20);
}

static void add_login(struct stun *message, const struct endpoint *asked, const struct login *login) {
    stun_add(message, STUN_USERNAME, asked->user, strlen(asked->user));
    stun_add(message, STUN_REALM, login->realm, strlen(login->realm));
    stun_add(message, STUN_NONCE, login->nonce, strlen(login->nonce));
    add_integrity(message, login);
}

static bool take_text(const struct stun *answer, unsigned name, char *text, size_t room) {
    size_t size = 0;
    const unsigned char *value = stun_find(answer, name, &size);
    if (value == NULL || size == 0 || size >= room || memchr(value, 0, size) != NULL) {
        return false;
    }
    memcpy(text, value, size);
    text[size] = '\0';
    return true;
}

/* What the server says in its challenge; the key is MD5 of name, realm and password: RFC 5389, 15.4. */
static bool take_challenge(const struct stun *answer, const struct endpoint *asked, struct login *login) {
    char text[sizeof asked->user + MOST_WORD + sizeof asked->password];
    if (!take_text(answer, STUN_REALM, login->realm, sizeof login->realm) ||
        !take_text(answer, STUN_NONCE, login->nonce, sizeof login->nonce)) {
        return false;
    }
    int size = snprintf(text, sizeof text, "%s:%s:%s", asked->user, login->realm, asked->password);
    return EVP_Digest(text, (size_t)size, login->key, &login->key_size, EVP_md5(), NULL) == 1;
}

static int error_code(const struct stun *answer) {
    size_t size = 0;
    const unsigned char *value = stun_find(answer, STUN_ERROR_CODE, &size);
    return value != NULL && size >= 4 ? (value[2] & 7) * 100 + value[3] : 0;
}

static void allocate(const struct way *way, const struct endpoint *asked, struct outcome *seen) {
    static const unsigned char transport[4] = {UDP, 0, 0, 0}, none[4] = {0, 0, 0, 0};
    struct login login = {.key_size = 0};
    struct sockaddr_storage relayed;
    struct stun question, answer;
    char text[80];
    int error = 0;
    for (int turn = 0; turn < MOST_TURNS; turn++) {
        stun_begin(&question, STUN_ALLOCATE);
        stun_add(&question, STUN_REQUESTED_TRANSPORT, transport, sizeof transport);
        if (login.key_size > 0) {
            add_login(&question, asked, &login);
        }
        unsigned kind = exchange(way, &question, &answer, &error);
        if (kind == (STUN_ALLOCATE | STUN_SUCCESS)) {
            if (stun_address(&answer, STUN_XOR_RELAYED_ADDRESS, &relayed)) {
                address_text((struct sockaddr *)&relayed, text, sizeof text);
                outcome_note(seen, "relayed", "%s", text);
            }
            stun_begin(&question, STUN_REFRESH);
            stun_add(&question, STUN_LIFETIME, none, sizeof none);
            add_login(&question, asked, &login);
            bool released = exchange(way, &question, &answer, &error) == (STUN_REFRESH | STUN_SUCCESS);
            outcome_note(seen, "released", "%s", released ? "yes" : "no");
            outcome_state(seen, "ok");
            return;
        }
        int code = kind != 0 ? error_code(&answer) : 0;
        if (kind == 0) {
            outcome_state(seen, state_of(error));
            return;
        }
        outcome_note(seen, "code", "%d", code);
        bool challenge = (code == 401 && turn == 0) || code == 438;
        if (!challenge || !take_challenge(&answer, asked, &login)) {
            outcome_state(seen, code == 401 ? "login" : code == 486 || code == 508 ? "full" : "refuses");
            return;
        }
        outcome_note(seen, "realm", "%s", login.realm);
        if (!*asked->user) {
            outcome_state(seen, "ok"); /* it is there, and asks for a name that we have none of */
            return;
        }
    }
    outcome_state(seen, "login");
}

static int dial_datagrams(const struct server *server, struct outcome *seen) {
    struct addrinfo *found = resolve(server, AF_UNSPEC, SOCK_DGRAM, seen);
    char text[80];
    if (found == NULL) {
        return -1;
    }
    outcome_stage(seen, "udp");
    address_text(found->ai_addr, text, sizeof text);
    outcome_note(seen, "address", "%s", text);
    int line = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (line == -1 || connect(line, found->ai_addr, found->ai_addrlen) != 0) {
        outcome_state(seen, state_of(errno));
        if (line != -1) {
            close(line);
        }
        line = -1;
    }
    freeaddrinfo(found);
    return line;
}

void reach_turn(const struct endpoint *asked, struct outcome *seen) {
    const struct server *server = &asked->servers[0];
    struct way way = {.stream = strcmp(asked->transport, "udp") != 0};
    way.line = way.stream ? dial(server, seen) : dial_datagrams(server, seen);
    if (way.line == -1) {
        return;
    }
    if (strcmp(asked->transport, "tls") == 0) {
        way.tls = tls_open(way.line, server, asked->trust, seen);
        if (way.tls == NULL || strcmp(seen->state, "ok") != 0) {
            return; /* nothing of a name or password is sent to who is not the server */
        }
        outcome_state(seen, "");
    }
    allocate(&way, asked, seen);
    if (way.tls != NULL) {
        tls_close(way.tls);
    } else {
        close(way.line);
    }
}
