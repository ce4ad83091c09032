/* AWS Signature Version 4 in a header, with the headers that kvssink signs.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
#ifndef KVSCLIENT_SIGV4_H
#define KVSCLIENT_SIGV4_H

#include <glib.h>

#include "credentials.h"

struct header {
    const char *name; /* lower case; sorted by it */
    const char *value;
};

struct signing {
    const struct credentials *credentials;
    const char *region;
    const char *path;
    const struct header *headers; /* the signed ones, `host` and `x-amz-date` among them */
    guint count;
    const char *date; /* 20261126T221857Z, as in x-amz-date */
    struct {
        const char *text;
        gsize length;
    } body; /* for putMedia the empty one: the upload is not signed */
};

/* Writes a moment as x-amz-date has it. `moment`: seconds since 1970. */
void sigv4_date(gint64 moment, char date[17]);

/* Returns the value of the Authorization header. To be freed with g_free; NULL where libcrypto fails. */
char *sigv4_authorization(const struct signing *signing);

#endif
