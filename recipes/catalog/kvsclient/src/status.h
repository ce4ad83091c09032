/* The SDK's status codes for what a service says, and whether a restart helps. */
#ifndef KVSCLIENT_STATUS_H
#define KVSCLIENT_STATUS_H

#include <glib.h>

enum cure {
    CURE_SKIP,    /* the service will never take this fragment; the next one it may */
    CURE_AGAIN,   /* a new connection, and the same fragment again */
    CURE_NONE     /* somebody has to change something */
};

struct verdict {
    guint32 status; /* 0: not in the table */
    enum cure cure;
    const char *name;
};

/* The status of an ERROR ack by its ErrorId. */
struct verdict status_of_ack(guint64 id);

/* The status of an HTTP answer that is not 200. */
struct verdict status_of_answer(long http);

#define STATUS_DENIED 0x52000010
#define STATUS_NOT_FOUND 0x52000017
#define STATUS_STORE_FULL 0x5200002e
#define STATUS_NO_ANSWER 0x52000037
#define STATUS_NO_ACK 0x52000051 /* an answer that is none of the service's */

#endif
