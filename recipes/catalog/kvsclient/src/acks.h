/* The acks in a PutMedia answer: JSON objects one after another, cut anywhere. */
#ifndef KVSCLIENT_ACKS_H
#define KVSCLIENT_ACKS_H

#include <glib.h>

/* A real ack has 130 to 180 bytes. */
#define MOST_ACK 4096

struct ack {
    char event[16]; /* BUFFERING, RECEIVED, PERSISTED, IDLE, ERROR */
    char fragment[132];
    char error[64];
    gboolean timed;
    guint64 timecode; /* milliseconds, where `timed` */
    guint64 error_id;
};

struct acks {
    char text[MOST_ACK];
    gsize length;
    int depth;
    gboolean quoted, escaped;
};

typedef void (*ack_taken)(const struct ack *ack, void *data);

/* Takes bytes as they come, and calls back for each whole ack. Returns FALSE, and takes no more, where they are none. */
gboolean acks_feed(struct acks *acks, const char *bytes, gsize length, ack_taken taken, void *data);

/* Writes an ack as a JSON line for tests. */
void acks_print(guint connection, const struct ack *ack);

#endif
