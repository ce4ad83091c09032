/* The answers on one connection, from its bytes: what a service says, as short texts that can be compared. */
#ifndef KVSCLIENT_ANSWER_H
#define KVSCLIENT_ANSWER_H

#include <glib.h>

#include "acks.h"

#define MOST_HEAD 65536
#define MOST_ANSWER 65536

enum part { PART_HEAD, PART_LENGTH, PART_CHUNK_SIZE, PART_CHUNK, PART_CHUNK_END, PART_TRAILER, PART_UNTIL_CLOSE };

struct answers {
    guint connection;
    gboolean print; /* JSON lines for what comes */
    gboolean media;  /* a body is acks */
    gboolean secret; /* a body is keys, and is not printed */
    GPtrArray *events; /* of texts: "100", "200", "PERSISTED 1795731538527", "ERROR 1795731538527 4010", "end" */
    gboolean complete; /* the last answer came to its end */
    gboolean foreign;  /* what came is no HTTP, too long, or no ack: nothing more is read */
    enum part part;
    guint status;
    guint64 left; /* bytes of a body or a chunk */
    GString *head, *body;
    struct acks acks;
};

/* `request`: the first bytes of what the client asks, which say what the answers are. */
void answers_open(struct answers *answers, guint connection, gboolean print, const char *request);
void answers_feed(struct answers *answers, const char *bytes, gsize length);

/* The service has closed: that ends a body that has no other end. */
void answers_ended(struct answers *answers);

void answers_free(struct answers *answers);

#endif
