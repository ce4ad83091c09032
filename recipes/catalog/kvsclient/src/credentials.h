/* Keys to sign with: given, of the environment, of a file, or short-lived ones for a client certificate from the IoT
 * credential provider.
 * https://docs.aws.amazon.com/iot/latest/developerguide/authorizing-direct-aws.html */
#ifndef KVSCLIENT_CREDENTIALS_H
#define KVSCLIENT_CREDENTIALS_H

#include <glib.h>

#include "options.h"

struct credentials {
    char key[128], secret[128], token[4096]; /* token "" where there is none */
    gint64 expires;                          /* seconds since 1970; 0: never */
};

/* Gets keys, or new ones where those that are held expire within ten seconds. Returns a negative number where there are
 * some, an exit code otherwise; why has been reported. */
int credentials_get(const struct options *options, struct credentials *held);

/* Returns TRUE where they were never got or expire within ten seconds. */
gboolean credentials_expiring(const struct credentials *held);

/* Forgets them, so that the next `credentials_get` asks again: a service has refused them. */
void credentials_forget(struct credentials *held);

#endif
