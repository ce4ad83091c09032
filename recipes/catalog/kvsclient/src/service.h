/* The control plane as kvssink asks it: describeStream, createStream where it is missing, getDataEndpoint. */
#ifndef KVSCLIENT_SERVICE_H
#define KVSCLIENT_SERVICE_H

#include <curl/curl.h>
#include <glib.h>

#include "credentials.h"
#include "options.h"

#define MOST_URL 512

/* Finds the stream, or makes it, and the address for its media. Returns a negative number, or an exit code. `status`:
 * of the SDK, where it has failed and one is known; or NULL. */
int service_find(const struct options *options, struct credentials *keys, const char *media_type,
                 char endpoint[MOST_URL], guint32 *status);

/* The signed headers of a putMedia that begins now, as kvssink writes them. To be freed with curl_slist_free_all. */
struct curl_slist *service_put_media(const struct options *options, const struct credentials *keys,
                                     const char *endpoint);

#endif
