/* What the program is asked: from its command line, and secrets from the environment alone. */
#ifndef KVSCLIENT_OPTIONS_H
#define KVSCLIENT_OPTIONS_H

#include <glib.h>

struct options {
    const char *stream, *region;
    const char *endpoint;   /* of the control plane; NULL: the region's */
    const char *connect_to; /* HOST:PORT in place of every name, or NULL */
    const char *ca;         /* file, or NULL: libcurl's own */
    const char *iot_endpoint, *iot_cert, *iot_key, *iot_alias, *iot_thing; /* iot_endpoint NULL: keys of the environment */
    const char *iot_ca;     /* for the credential provider alone; NULL: as for the service */
    const char *access, *secret, *token; /* keys; NULL: the environment's, or the file's */
    const char *credential_path;         /* file with keys, where there are no others; or NULL */
    const char *tags;       /* of a stream that is created, a JSON object; or NULL */
    const char *agent;      /* how the user agent begins; NULL: as kvssink's */
    const char *replay;     /* file, - for standard input, or NULL */
    char **words;           /* of the pipeline; none with --test and --replay */
    gboolean test, no_audio, no_create, fast;
    guint seconds, fps, width, height, bitrate, gop;
    guint retention, buffer, stall, stop, retries, wait;
    guint rotation;             /* seconds that keys of a file are used */
    gboolean unconfirmed;       /* no acks are asked for */
    guint connect, answer;      /* seconds for a connection, and for a whole answer */
    guint iot_connect, iot_answer;
};

/* Returns a negative number where the options can be used, an exit code otherwise. */
int options_read(int argc, char **argv, struct options *options);

#endif
