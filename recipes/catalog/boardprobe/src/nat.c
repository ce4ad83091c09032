/* What a NAT on the way does, by RFC 5780, or by how two servers and more see one socket of ours. */
#include "stun.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_PLACES 4

struct place {
    struct sockaddr_in at;
    struct sockaddr_in mapped;
};

static bool same_address(const struct sockaddr_in *one, const struct sockaddr_in *other) {
    return one->sin_addr.s_addr == other->sin_addr.s_addr;
}

static bool same(const struct sockaddr_in *one, const struct sockaddr_in *other) {
    return same_address(one, other) && one->sin_port == other->sin_port;
}

static void note_place(struct outcome *seen, const char *name, const struct sockaddr_in *place) {
    char text[80];
    address_text((const struct sockaddr *)place, text, sizeof text);
    outcome_note(seen, name, "%s", text);
}

/* How a server sees a socket; with `change` it is to answer from elsewhere: 4 another address, 2 another port. */
static bool see(int line, const struct sockaddr_in *to, unsigned char change, int tries, struct stun *answer,
                struct sockaddr_in *mapped) {
    struct sockaddr_storage found;
    struct stun question;
    unsigned char wish[4] = {0, 0, 0, change};
    int error;
    stun_begin(&question, STUN_BINDING);
    if (change) {
        stun_add(&question, STUN_CHANGE_REQUEST, wish, sizeof wish);
    }
    if (stun_ask(line, (const struct sockaddr *)to, sizeof *to, &question, answer, tries, &error) !=
            (STUN_BINDING | STUN_SUCCESS) ||
        !stun_mapped(answer, &found) || found.ss_family != AF_INET) {
        return false;
    }
    memcpy(mapped, &found, sizeof *mapped);
    return true;
}

/* The address that we have on the way to a server; the port is that of `line`. */
static bool own_address(int line, const struct sockaddr_in *to, struct sockaddr_in *own) {
    struct sockaddr_in bound;
    socklen_t size = sizeof bound;
    bool known = false;
    int other = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (other != -1 && getsockname(line, (struct sockaddr *)&bound, &size) == 0) {
        size = sizeof *own;
        known = connect(other, (const struct sockaddr *)to, sizeof *to) == 0 &&
                getsockname(other, (struct sockaddr *)own, &size) == 0;
        own->sin_port = bound.sin_port;
    }
    if (other != -1) {
        close(other);
    }
    return known;
}

/* RFC 5780, 4.3: one socket, the server's other address, then its other port too. */
static const char *mapping_by_server(int line, const struct place *first, const struct sockaddr_in *other) {
    struct sockaddr_in to = *other, second, third;
    struct stun answer;
    to.sin_port = first->at.sin_port;
    if (!see(line, &to, 0, STUN_TRIES, &answer, &second)) {
        return "unknown";
    }
    if (same(&second, &first->mapped)) {
        return "independent";
    }
    if (!see(line, other, 0, STUN_TRIES, &answer, &third)) {
        return "dependent";
    }
    return same(&third, &second) ? "address" : "port";
}

/* RFC 5780, 4.4: who may answer. A socket of its own, that has sent to nobody else. */
static const char *filtering(const struct sockaddr_in *server) {
    struct sockaddr_in mapped;
    struct stun answer;
    const char *word = "unknown";
    int line = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (line != -1 && see(line, server, 0, STUN_TRIES, &answer, &mapped)) {
        word = see(line, server, 6, STUN_FEW, &answer, &mapped)   ? "independent"
               : see(line, server, 2, STUN_FEW, &answer, &mapped) ? "address"
                                                                  : "port";
    }
    if (line != -1) {
        close(line);
    }
    return word;
}

/* Without such a server: whether several see the same. Two ports of one address say less than two addresses. */
static const char *mapping_by_places(const struct place *places, int count) {
    bool addresses = false, differ = false, differ_by_port = false;
    for (int at = 1; at < count; at++) {
        bool one = same_address(&places[at].at, &places[0].at);
        addresses = addresses || !one;
        if (!same(&places[at].mapped, &places[0].mapped)) {
            differ = true;
            differ_by_port = differ_by_port || one;
        }
    }
    if (count < 2) {
        return "unknown";
    }
    if (differ) {
        return differ_by_port ? "port" : "dependent";
    }
    return addresses ? "independent" : "ports";
}

/* Ask the addresses of the servers over one socket, MOST_PLACES of them: together less time than we have. */
static int ask_all(int line, const struct endpoint *asked, struct place *places, struct sockaddr_in *other,
                   struct outcome *seen) {
    int count = 0, sent = 0;
    for (int at = 0; at < asked->server_count; at++) {
        struct addrinfo *found = resolve(&asked->servers[at], AF_INET, SOCK_DGRAM, seen);
        outcome_state(seen, "");
        outcome_stage(seen, "udp");
        for (const struct addrinfo *to = found; to != NULL && count < MOST_PLACES && sent < MOST_PLACES;
             to = to->ai_next, sent++) {
            struct sockaddr_storage alternative;
            struct stun answer;
            memcpy(&places[count].at, to->ai_addr, sizeof places[count].at);
            if (!see(line, &places[count].at, 0, sent == 0 ? STUN_TRIES : STUN_FEW, &answer, &places[count].mapped)) {
                continue;
            }
            if (count == 0 && (stun_address(&answer, STUN_OTHER_ADDRESS, &alternative) ||
                               stun_address(&answer, STUN_CHANGED_ADDRESS, &alternative)) &&
                alternative.ss_family == AF_INET) {
                memcpy(other, &alternative, sizeof *other);
            }
            count++;
        }
        if (found != NULL) {
            freeaddrinfo(found);
        }
    }
    return count;
}

void reach_nat(const struct endpoint *asked, struct outcome *seen) {
    struct place places[MOST_PLACES];
    struct sockaddr_in other = {0}, own;
    int line = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (line == -1) {
        outcome_state(seen, state_of(errno));
        return;
    }
    int count = ask_all(line, asked, places, &other, seen);
    outcome_note(seen, "answers", "%d", count);
    if (count == 0) {
        outcome_state(seen, "timeout");
        close(line);
        return;
    }
    note_place(seen, "mapped", &places[0].mapped);
    bool known = own_address(line, &places[0].at, &own);
    if (known) {
        note_place(seen, "local", &own);
    }
    bool able = other.sin_family == AF_INET && !same_address(&other, &places[0].at) &&
                other.sin_port != places[0].at.sin_port;
    if (known && same(&own, &places[0].mapped)) {
        outcome_note(seen, "mapping", "none");
    } else {
        const char *word = able ? mapping_by_server(line, &places[0], &other) : "unknown";
        bool by_server = strcmp(word, "unknown") != 0;
        outcome_note(seen, "mapping", "%s", by_server ? word : mapping_by_places(places, count));
        outcome_note(seen, "how", "%s", by_server ? "rfc5780" : "servers");
    }
    close(line);
    outcome_note(seen, "filtering", "%s", able ? filtering(&places[0].at) : "unknown");
    outcome_state(seen, "ok");
}
