/* HTTPS through libcurl and WSS through libwebsockets: the ways of the producer and of the WebRTC SDK. */
#include "probes.h"
#include "report.h"

#include <curl/curl.h>
#include <libwebsockets.h>
#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* Requests are refused when their signature is more than 300 s off; the figures are the deploy's own. */
#define SKEW_WARN 60
#define SKEW_ERROR 240

void probe_libraries(void) {
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    report_text("curl", curl->version);
    report_text("curl_tls", curl->ssl_version != NULL ? curl->ssl_version : "none");
    report_text("openssl", OpenSSL_version(OPENSSL_VERSION));
    report_text("libwebsockets", lws_get_library_version());
}

static size_t on_header(char *data, size_t unit, size_t count, void *user) {
    static const char name[] = "date:";
    size_t length = unit * count;
    time_t *date = user;
    if (length > sizeof name && strncasecmp(data, name, sizeof name - 1) == 0) {
        const char *value = data + sizeof name - 1;
        size_t left = length - (sizeof name - 1);
        while (left && *value == ' ') {
            value++;
            left--;
        }
        if (lws_http_date_parse_unix(value, left, date)) {
            *date = 0;
        }
    }
    return length;
}

static size_t on_body(char *data, size_t unit, size_t count, void *user) {
    (void)data;
    (void)user;
    return unit * count;
}

static void judge_skew(time_t date) {
    long long skew = (long long)time(NULL) - (long long)date;
    report_number("clock_skew", skew);
    enum level level = llabs(skew) >= SKEW_ERROR ? LEVEL_ERROR : llabs(skew) >= SKEW_WARN ? LEVEL_WARN : LEVEL_OK;
    finding(level, "clock-skew", "%lld s against the server", skew);
}

void probe_https(const char *url, const char *ca_file, long timeout_seconds) {
    char reason[CURL_ERROR_SIZE] = "";
    time_t date = 0;
    long verdict = 0, status = 0;
    CURL *handle = curl_easy_init();
    if (handle == NULL) {
        finding(LEVEL_ERROR, "https", "libcurl does not start");
        return;
    }
    curl_easy_setopt(handle, CURLOPT_URL, url);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_TIMEOUT, timeout_seconds);
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(handle, CURLOPT_HEADERDATA, &date);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
    if (*ca_file != '\0') {
        curl_easy_setopt(handle, CURLOPT_CAINFO, ca_file);
    }
    CURLcode code = curl_easy_perform(handle);
    curl_easy_getinfo(handle, CURLINFO_SSL_VERIFYRESULT, &verdict);
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    report_open("https");
    report_text("url", url);
    report_number("curl_code", code);
    report_number("status", status);
    report_text("certificate", X509_verify_cert_error_string(verdict));
    if (code != CURLE_OK) {
        finding(LEVEL_ERROR, "https", "%s: %s (certificate: %s)", url, *reason ? reason : curl_easy_strerror(code),
                X509_verify_cert_error_string(verdict));
    } else {
        finding(LEVEL_OK, "https", "HTTP %ld", status);
        if (date != 0) {
            judge_skew(date);
        } else {
            finding(LEVEL_NOTE, "clock-skew", "the server sent no date that can be read");
        }
    }
    report_close();
    curl_easy_cleanup(handle);
}

struct handshake {
    int state; /* 0 waiting, 1 established, -1 failed */
    char reason[256];
};

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length) {
    struct handshake *hand = lws_context_user(lws_get_context(wsi));
    (void)user;
    if (reason == LWS_CALLBACK_CLIENT_CONNECTION_ERROR && hand->state == 0) {
        /* Closing after the handshake, as we do below, is reported as an error too: it is none. */
        hand->state = -1;
        snprintf(hand->reason, sizeof hand->reason, "%.*s", in != NULL ? (int)length : 0, in != NULL ? (char *)in : "");
    } else if (reason == LWS_CALLBACK_CLIENT_ESTABLISHED) {
        hand->state = 1;
        return -1; /* the handshake was all we came for */
    }
    return 0;
}

static const struct lws_protocols protocols[] = {{"wss", on_event, 0, 4096, 0, NULL, 0}, {NULL, NULL, 0, 0, 0, NULL, 0}};

void probe_wss(const char *url, const char *ca_file, int timeout_seconds) {
    struct handshake hand = {0, "no answer in time"};
    struct lws_context_creation_info options;
    struct lws_client_connect_info connect;
    const char *scheme, *address, *path;
    char place[512], full_path[512];
    int port = 443;
    snprintf(place, sizeof place, "%s", url);
    if (lws_parse_uri(place, &scheme, &address, &port, &path) || strcmp(scheme, "wss") != 0) {
        finding(LEVEL_ERROR, "wss", "%s is not a wss:// address", url);
        return;
    }
    snprintf(full_path, sizeof full_path, "/%s", path);
    lws_set_log_level(0, NULL); /* its notices print headers, credentials among them */
    memset(&options, 0, sizeof options);
    options.port = CONTEXT_PORT_NO_LISTEN;
    options.protocols = protocols;
    options.user = &hand;
    options.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    options.client_ssl_ca_filepath = *ca_file != '\0' ? ca_file : NULL;
    options.connect_timeout_secs = (unsigned)timeout_seconds;
    options.timeout_secs = (unsigned)timeout_seconds;
    struct lws_context *context = lws_create_context(&options);
    if (context == NULL) {
        finding(LEVEL_ERROR, "wss", "libwebsockets does not start");
        return;
    }
    memset(&connect, 0, sizeof connect);
    connect.context = context;
    connect.address = connect.host = connect.origin = address;
    connect.port = port;
    connect.path = full_path;
    connect.protocol = "wss";
    connect.ssl_connection = LCCSCF_USE_SSL;
    time_t deadline = time(NULL) + timeout_seconds;
    if (lws_client_connect_via_info(&connect) == NULL && hand.state == 0) {
        hand.state = -1;
    }
    while (hand.state == 0 && time(NULL) < deadline) {
        lws_service(context, 0);
    }
    lws_context_destroy(context);
    report_open("wss");
    report_text("url", url);
    report_flag("established", hand.state == 1);
    report_close();
    if (hand.state == 1) {
        finding(LEVEL_OK, "wss", "handshake done");
    } else {
        finding(LEVEL_ERROR, "wss", "%s: %s", url, hand.reason);
    }
}
