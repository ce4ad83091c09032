/* WSS through libwebsockets, the way of the WebRTC SDK. */
#include "probes.h"
#include "report.h"

#include <libwebsockets.h>
#include <string.h>

const char *wss_library(void) {
    return lws_get_library_version();
}

time_t date_of(const char *value, size_t length) {
    time_t date = 0;
    return lws_http_date_parse_unix(value, length, &date) ? 0 : date;
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
