/* The command line. */
#ifndef BOARDSTREAM_OPTIONS_H
#define BOARDSTREAM_OPTIONS_H

#include <glib.h>

#define MOST_PROPERTY_FILES 16

struct property_file {
    char *element;
    char *property;
    const char *path;
};

struct options {
    const char *name;   /* of the stream, in every line and in the status file */
    const char *status; /* path of the status file, or NULL */
    const char *file;   /* path of a description, or NULL where words are given */
    char **words;       /* what gst-launch-1.0 would take, ended by NULL */
    struct property_file properties[MOST_PROPERTY_FILES];
    guint property_count;
    guint start;     /* seconds that the first buffer may take; 0: for ever */
    guint stall;     /* seconds without a buffer; 0: for ever */
    guint ack_stall; /* seconds without a confirmed fragment; 0: for ever */
    guint stop;      /* seconds that closing may take */
    guint memory;    /* MB of this process that are too many; 0: any number is right */
    gboolean once;   /* a source that ends is a stream that is done */
};

/* Reads the command line. Returns a negative number to go on, or the exit code: what was asked for is printed (--help,
 * --version), or a line says what is wrong. */
int options_read(int argc, char **argv, struct options *options);

#endif
