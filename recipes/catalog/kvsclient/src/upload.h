/* One putMedia connection: sends fragments and reads acks at the same time. */
#ifndef KVSCLIENT_UPLOAD_H
#define KVSCLIENT_UPLOAD_H

#include <glib.h>

#include "credentials.h"
#include "options.h"

enum outcome {
    OUTCOME_DONE,   /* everything is confirmed, and the body ended in order */
    OUTCOME_ROTATE, /* ended in order at a fragment's end: the keys expire */
    OUTCOME_BROKEN, /* by the network, the service, or for want of answers */
    OUTCOME_ERROR,  /* an ERROR ack that a new connection cures */
    OUTCOME_FATAL,  /* one that none cures; it has been reported */
    OUTCOME_LEAVE   /* `tick` said so */
};

/* Called ten times a second and when there is more to send. Returns FALSE to leave at once. */
typedef gboolean (*upload_tick)(void *data);

/* Runs one connection to its end. */
enum outcome upload_run(const struct options *options, struct credentials *keys, const char *endpoint,
                        upload_tick tick, void *data);

/* Wakes the connection that runs, from any thread. */
void upload_wake(void);

/* Before any other call, and once. */
void upload_open(void);

#endif
