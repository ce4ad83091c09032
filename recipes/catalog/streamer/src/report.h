/* Log lines: `boardstream: NAME: KIND: TEXT`, one write each, without passwords and without line breaks. */
#ifndef BOARDSTREAM_REPORT_H
#define BOARDSTREAM_REPORT_H

#include <glib.h>

/* The longest line, its prefix and its line break included; longer texts are cut. */
#define REPORT_LINE 640

/* The name of the stream, for every line. Kept, not copied. */
void report_name(const char *name);

/* A text that no line may show. Copied. Texts of fewer than four bytes are not looked for: they would be found
 * everywhere, and so be told by what is missing. */
void report_hide(const char *secret);

/* Writes a line to standard error. */
void report(const char *kind, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* As `report`, for what may come with every frame: ten lines, then one in 30 s, which says how many were left out. */
void report_seldom(const char *kind, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Puts a whole line together without writing it, for a signal handler to write. */
void report_line(char line[REPORT_LINE], const char *kind, const char *text);

/* Returns a text as a line shows it: one line of valid UTF-8, cut, and without secrets. To be freed. */
char *report_clean(const char *text);

/* Sends GLib's own warnings through `report_seldom`: they may quote the value of a property. */
void report_catch_glib(void);

#endif
