/* A recorded client: one JSON object a line, {"connection": 3, "t": 0.067, "from": "client", "data": "base64"}. */
#ifndef KVSCLIENT_CAPTURE_H
#define KVSCLIENT_CAPTURE_H

#include <glib.h>

struct record {
    guint connection;
    gint64 time; /* microseconds since the connection began */
    gboolean client;
    GBytes *data;
};

/* Reads a file, or standard input for "-". Returns records in their order, to be freed with g_ptr_array_unref; NULL where
 * it cannot be read, as reported. */
GPtrArray *capture_read(const char *path);

/* What the client said first on a connection, as text: enough for the head of a request, however it was cut. To be freed
 * with g_free. */
char *capture_request(const GPtrArray *records, guint connection);

/* The host that a connection's first request names; NULL where it names none. To be freed with g_free. */
char *capture_host(const GPtrArray *records, guint connection);

#endif
