#include "http.h"

#include <string.h>

#include "report.h"

gboolean http_is_header(const char *text) {
    for (; *text != '\0'; text++) {
        if (!g_ascii_isprint(*text)) {
            return FALSE;
        }
    }
    return TRUE;
}

gboolean http_is_name(const char *text, gsize most) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    return text[0] != '\0' && strlen(text) <= most && strspn(text, letters) == strlen(text);
}

/* Counts the bytes of all header lines of a transfer: the handle's own private pointer is the counter. */
static size_t on_header(char *bytes, size_t size, size_t count, void *data) {
    gsize *seen = data;

    (void)bytes;
    *seen += size * count;
    return *seen > MOST_HEADERS ? 0 : size * count;
}

static void only_https(CURL *curl) {
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
#else
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTPS);
#endif
}

/* The rule that leads every name to one address; libcurl reads it as long as there are requests, so it is kept. */
static struct curl_slist *rerouted(const char *address) {
    static gsize made;

    if (address == NULL) {
        return NULL;
    }
    if (g_once_init_enter(&made)) {
        char *rule = g_strdup_printf("::%s", address);

        g_once_init_leave(&made, (gsize)curl_slist_append(NULL, rule));
        g_free(rule);
    }
    return (struct curl_slist *)made;
}

CURL *http_open(const struct options *options, const char *url) {
    static _Thread_local gsize seen; /* a thread has one request at a time */
    CURL *curl = curl_easy_init();

    if (curl == NULL) {
        g_error("no memory for a request");
    }
    seen = 0;
    only_https(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CONNECT_TO, rerouted(options->connect_to));
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)options->connect);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_DNS_CACHE_TIMEOUT, 0L); /* a service may come back at another address */
    curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &seen);
    if (options->ca != NULL) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, options->ca);
    }
    return curl;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *data) {
    GString *body = data;

    if (body->len + size * count > MOST_BODY) {
        return 0;
    }
    g_string_append_len(body, bytes, (gssize)(size * count));
    return size * count;
}

void http_ask(CURL *curl, guint seconds, struct answer *answer) {
    CURLcode code;

    *answer = (struct answer){.body = g_string_new(NULL)};
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)seconds);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer->body);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, answer->error);
    code = curl_easy_perform(curl);
    if (code == CURLE_OK) {
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
    } else if (answer->error[0] == '\0') {
        g_strlcpy(answer->error, curl_easy_strerror(code), sizeof answer->error);
    }
}

void http_free(struct answer *answer) {
    g_string_free(answer->body, TRUE);
}

void http_report(const char *who, const struct answer *answer) {
    if (answer->status != 0) {
        report("error", "%s answers %ld: %.300s", who, answer->status, answer->body->str);
    } else {
        report("error", "%s does not answer: %s", who, answer->error);
    }
}

void http_pause(guint attempt) {
    if (attempt > 0) {
        g_usleep(G_USEC_PER_SEC / 8 * (1ul << MIN(attempt, 6)));
    }
}
