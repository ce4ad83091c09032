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
    const char *replay;     /* file, - for standard input, or NULL */
    char **words;           /* of the pipeline; none with --test and --replay */
    gboolean test, no_audio, no_create, fast;
    guint seconds, fps, width, height, bitrate, gop;
    guint retention, buffer, stall, stop, retries, wait;
};

/* Returns a negative number where the options can be used, an exit code otherwise. */
int options_read(int argc, char **argv, struct options *options);

#endif
