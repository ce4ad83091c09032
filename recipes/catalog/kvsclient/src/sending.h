/* A stream from its fragments to the service: connections one after another, until all is confirmed. */
#ifndef KVSCLIENT_SENDING_H
#define KVSCLIENT_SENDING_H

#include "credentials.h"
#include "fragments.h"
#include "options.h"
#include "service.h"
#include "upload.h"

struct sending {
    const struct options *options;
    struct store *store;
    struct line *line;
    struct ears ears;
    struct credentials keys;
    char endpoint[MOST_URL];
    int code; /* an exit code, with SENT_NO_KEYS */
};

enum sent {
    SENT_ALL,     /* everything is confirmed */
    SENT_LEFT,    /* the tick said to leave */
    SENT_NO_KEYS, /* keys are refused; why has been reported */
    SENT_REFUSED, /* what no restart cures; it has been reported */
    SENT_NOTHING  /* connection after connection, and none confirms anything */
};

/* Finds the stream or makes it. Returns as `service_find`; `status`: of the SDK, where it has failed and one is known. */
int sending_open(struct sending *sending, const char *media_type, guint32 *status);

/* Sends until there is nothing more to send, or to hope for. */
enum sent sending_run(struct sending *sending);

/* Forgets the keys. */
void sending_close(struct sending *sending);

#endif
