/* What all requests have in common: TLS, times, and answers that are bounded whatever a server sends. */
#ifndef KVSCLIENT_HTTP_H
#define KVSCLIENT_HTTP_H

#include <curl/curl.h>
#include <glib.h>

#include "options.h"

#define HTTP_ATTEMPTS 5
#define MOST_BODY (64 * 1024)
#define MOST_HEADERS (64 * 1024)

struct answer {
    long status; /* 0: none */
    GString *body;
    char error[CURL_ERROR_SIZE]; /* libcurl's words where there was none */
};

/* Returns TRUE for a text that may be a header's value: printable ASCII. */
gboolean http_is_header(const char *text);

/* Returns TRUE for letters that a stream, region, thing or alias may have: they cannot break a header or a URL. */
gboolean http_is_name(const char *text, gsize most);

/* Opens a request: TLS alone, HTTP/1.1 as kvssink, no redirects, --ca and --connect-to, bounded headers. */
CURL *http_open(const struct options *options, const char *url);

/* Asks, and waits for the whole answer, so long at most. Never fails: `answer` says what came. Free it with `http_free`. */
void http_ask(CURL *curl, guint seconds, struct answer *answer);
void http_free(struct answer *answer);

/* Reports an answer that is no success, with the service's own words. */
void http_report(const char *who, const struct answer *answer);

/* Waits before a repetition: not before the first one, then 0.25 s and twice as long each time. */
void http_pause(guint attempt);

#endif
