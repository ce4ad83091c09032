/* Which errors a restart cures, and what those mean that it does not. */
#ifndef BOARDSTREAM_CAUSES_H
#define BOARDSTREAM_CAUSES_H

#include <glib.h>

struct verdict {
    int code;            /* CODE_RESTART or CODE_GIVE_UP */
    const char *meaning; /* in words, or NULL where the error says it itself */
};

/* What an error on the bus means. `streamed`: buffers have come through before, so the pipeline itself is right. */
struct verdict cause_of_error(const GError *error, const char *debug, gboolean streamed);

/* What a status code of the KVS SDKs means. */
struct verdict cause_of_status(guint32 status);

#endif
