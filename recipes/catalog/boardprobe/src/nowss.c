/* For boards without the WebRTC SDK: nothing else there needs libwebsockets, which is more than all of the rest. */
#include "probes.h"
#include "report.h"

#include <curl/curl.h>
#include <stdio.h>

const char *wss_library(void) {
    return "none";
}

time_t date_of(const char *value, size_t length) {
    char text[64];
    snprintf(text, sizeof text, "%.*s", length < sizeof text ? (int)length : (int)sizeof text - 1, value);
    time_t date = curl_getdate(text, NULL);
    return date == (time_t)-1 ? 0 : date;
}

void probe_wss(const char *url, const char *ca_file, int timeout_seconds) {
    (void)ca_file;
    (void)timeout_seconds;
    finding(LEVEL_ERROR, "wss", "%s was not tried: this program was built without libwebsockets", url);
}
