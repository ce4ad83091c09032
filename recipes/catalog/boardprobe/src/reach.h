/* Network endpoints: what is asked about, what became of it, and the parts that ask. */
#ifndef BOARDPROBE_REACH_H
#define BOARDPROBE_REACH_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define MOST_SERVERS 8
#define MOST_NOTES 10

struct server {
    char host[256];
    char port[8];
};

/* One line of stdin. */
struct endpoint {
    char kind[8]; /* tls, stun, nat, turn */
    char name[64];
    char transport[8]; /* of TURN: udp, tcp, tls */
    char user[520];
    char password[520];
    struct server servers[MOST_SERVERS]; /* one, but for nat */
    int server_count;
    int trust; /* from tls_trust; -1 where its CA file cannot be read */
};

struct note {
    char name[12];
    char value[200];
};

/* In memory that a probe's own process shares with the one that reports: what it knew when its time was over counts. */
struct outcome {
    char stage[8];  /* dns, tcp, tls, udp: what it was at last busy with */
    char state[16]; /* empty while it is at work */
    long milliseconds;
    int note_count;
    struct note notes[MOST_NOTES];
};

void outcome_stage(struct outcome *seen, const char *stage);
void outcome_state(struct outcome *seen, const char *state);
__attribute__((format(printf, 3, 4))) void outcome_note(struct outcome *seen, const char *name, const char *format, ...);
/* The state that an errno of a connection or a datagram stands for, as a word. */
const char *state_of(int error);
/* An address as text, `192.0.2.1:443` or `[2001:db8::1]:443`. */
void address_text(const struct sockaddr *address, char *text, size_t size);

/* Addresses of a server, to be freed with freeaddrinfo; NULL, and the outcome told, where there are none. */
struct addrinfo *resolve(const struct server *server, int family, int type, struct outcome *seen);
/* A connected stream socket; -1, and the outcome told, where there is none. */
int dial(const struct server *server, struct outcome *seen);

/* A number for a CA file that is read now, once for all that use it; -1 where OpenSSL cannot read it. */
int tls_trust(const char *ca_file);
/* A TLS client's session over a connected socket, with the certificate judged: state `ok` or what speaks against it. */
struct tls;
struct tls *tls_open(int line, const struct server *server, int trust, struct outcome *seen);
bool tls_write(struct tls *session, const void *data, size_t size);
/* Bytes that came, 0 at the end, -1 for an error; waits. */
long tls_read(struct tls *session, void *data, size_t size);
void tls_close(struct tls *session);

void reach_tls(const struct endpoint *asked, struct outcome *seen);

/* Read what is asked from stdin, ask it all side by side, and report; returns the exit code. */
int probe_reach(void);

#endif
