/* The little of JSON (RFC 8259) that answers of a service and lines of a capture need: one value by its path. Whatever
 * the text is, it is read within its length, and no deeper than sixteen levels. */
#ifndef KVSCLIENT_JSON_H
#define KVSCLIENT_JSON_H

#include <glib.h>

struct slice {
    const char *text;
    gsize length;
};

/* Finds the value at a path of keys with points between them ("credentials.accessKeyId"). Returns FALSE where the text
 * is no JSON object as far as it was read, or has no such value. A string keeps its quotation marks. */
gboolean json_find(struct slice json, const char *path, struct slice *value);

/* Copies a string of the JSON. Returns FALSE where there is none, where it does not fit with its final NUL, or where it
 * has characters other than printable ASCII: no value that this program needs has any. */
gboolean json_string(struct slice json, const char *path, char *out, gsize size);

/* Reads a number that is a whole one and not negative. */
gboolean json_number(struct slice json, const char *path, guint64 *number);

#endif
