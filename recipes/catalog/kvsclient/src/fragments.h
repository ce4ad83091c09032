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

/* Opens the store. `most`: bytes that may wait in it. `changed` is called, unlocked, whenever there is more to send. */
void fragments_open(gsize most, void (*changed)(void));

/* Sets what every connection begins with. Taken over. */
void fragments_header(GByteArray *header);

/* Begins a fragment, which ends the one before. Returns FALSE, and leaves all as it is, where the store is full. */
gboolean fragments_begin(guint64 milliseconds);

/* Appends a block to the fragment that was begun last. */
void fragments_append(guint track, gint16 relative, gboolean key, const guint8 *data, gsize size);

/* Ends the stream: the last fragment gets the tag that closes it. */
void fragments_finish(void);

/* Returns TRUE where there is anything to send, or to wait for. */
gboolean fragments_pending(void);

/* Returns TRUE where `fragments_finish` was called and no fragment waits any more. */
gboolean fragments_done(void);

/* Begins at the first fragment that is not confirmed: for a new connection. */
void fragments_rewind(void);

/* Copies what comes next. `boundary`: end where the next fragment would begin. */
enum supply fragments_read(char *out, gsize size, gboolean boundary, gsize *copied);

/* A fragment is confirmed. Returns FALSE where no such fragment was sent to its end: then the ack is none of it. */
gboolean fragments_persisted(guint64 milliseconds);

/* The service will never take this fragment: it is given up. */
void fragments_give_up(guint64 milliseconds);

struct totals fragments_totals(void);

#endif
