/* Fragments from when their first frame comes until the service has confirmed them: what is not PERSISTED when a
 * connection breaks is sent again. Called from the pipeline's threads and from the one that sends. */
#ifndef KVSCLIENT_FRAGMENTS_H
#define KVSCLIENT_FRAGMENTS_H

#include <glib.h>

enum supply {
    SUPPLY_SOME,     /* bytes were copied */
    SUPPLY_NONE_YET, /* wait for frames, or for acks of the end */
    SUPPLY_END       /* all is confirmed, or the boundary that was asked for is reached */
};

struct totals {
    guint64 begun, persisted, lost, sent_again;
};

struct keeping {
    gsize most;     /* bytes that may wait in it */
    gboolean waits; /* where it is full, whoever brings more waits until there is room */
    gboolean acks;  /* kept until they are confirmed; without it until they were sent */
    void (*changed)(void *data); /* called, unlocked, whenever there is more to send */
    void *data;
};

/* A stream's fragments. */
struct store;

struct store *fragments_open(const struct keeping *keeping);
void fragments_free(struct store *store);

/* Nobody waits for room from now on. */
void fragments_hurry(struct store *store);

/* Sets what every connection begins with. Taken over. */
void fragments_header(struct store *store, GByteArray *header);

/* Begins a fragment, which ends the one before. Returns FALSE, and leaves all as it is, where the store is full. */
gboolean fragments_begin(struct store *store, guint64 milliseconds);

/* Appends a block to the fragment that was begun last. */
void fragments_append(struct store *store, guint track, gint16 relative, gboolean key, const guint8 *data, gsize size);

/* Ends the stream: the last fragment gets the tag that closes it. */
void fragments_finish(struct store *store);

/* Returns TRUE where there is anything to send, or to wait for. */
gboolean fragments_pending(struct store *store);

/* Returns TRUE where `fragments_finish` was called and no fragment waits any more. */
gboolean fragments_done(struct store *store);

/* Begins at the first fragment that is not confirmed: for a new connection. */
void fragments_rewind(struct store *store);

/* Copies what comes next. `boundary`: end where the next fragment would begin. */
enum supply fragments_read(struct store *store, char *out, gsize size, gboolean boundary, gsize *copied);

/* A fragment is confirmed. Returns FALSE where no such fragment was sent to its end: then the ack is none of it. */
gboolean fragments_persisted(struct store *store, guint64 milliseconds);

/* The service will never take this fragment: it is given up. */
void fragments_give_up(struct store *store, guint64 milliseconds);

struct totals fragments_totals(struct store *store);

#endif
