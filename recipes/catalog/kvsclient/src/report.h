/* What the program says: `kvsclient: NAME: KIND: TEXT` on standard error for people, JSON lines on standard output for
 * tests. One write a line; texts of others are made printable. */
#ifndef KVSCLIENT_REPORT_H
#define KVSCLIENT_REPORT_H

#include <glib.h>

/* The longest line for people, its prefix and its line break included; longer texts are cut. */
#define REPORT_LINE 640

/* The name of the stream, for every line of this thread. Kept, not copied. */
void report_name(const char *name);

/* Times of JSON lines count from now on. */
void report_begin(void);

/* Writes a line to standard error. */
void report(const char *kind, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Begins a JSON line: {"connection": N, "t": SECONDS, "EVENT": … The seconds are those since the program began. */
GString *row_begin(guint connection, const char *event);

/* Appends a text as a JSON string: bytes that are not printable ASCII become \u escapes; at most `most` bytes. */
void row_text(GString *row, const char *text, gsize length, gsize most);

/* Closes the object, writes the line, and frees it. */
void row_end(GString *row);

#endif
