/* One putMedia connection: sends fragments and reads acks at the same time. */
#ifndef KVSCLIENT_UPLOAD_H
#define KVSCLIENT_UPLOAD_H

#include <glib.h>

#include "acks.h"
#include "credentials.h"
#include "fragments.h"
#include "options.h"

enum outcome {
    OUTCOME_DONE,   /* everything is confirmed, and the body ended in order */
    OUTCOME_ROTATE, /* ended in order at a fragment's end: the keys expire */
    OUTCOME_BROKEN, /* by the network, the service, or for want of answers */
    OUTCOME_ERROR,  /* an ERROR ack that a new connection cures */
    OUTCOME_FATAL,  /* one that none cures; it has been reported */
    OUTCOME_LEAVE   /* `tick` said so */
};

/* Where a stream's connections run, one after another. */
struct line;

/* Whom a connection tells. */
struct ears {
    /* Called ten times a second and when there is more to send. Returns FALSE to leave at once. */
    gboolean (*tick)(void *data);
    /* An ack, as it came; the connection's number from 1. NULL: nobody wants them. */
    void (*ack)(guint connection, const struct ack *ack, void *data);
    /* What goes wrong, as a status code of the SDK: what is tried again too. NULL: nobody wants it. */
    void (*status)(guint32 status, void *data);
    void *data;
};

struct line *upload_open(void);
void upload_close(struct line *line);

/* Runs one connection to its end. */
enum outcome upload_run(struct line *line, const struct options *options, const struct credentials *keys,
                        const char *endpoint, struct store *store, const struct ears *ears);

/* Wakes the connection that runs, from any thread. `line`: a struct line; it is what a store calls. */
void upload_wake(void *line);

#endif
