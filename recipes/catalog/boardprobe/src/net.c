/* HTTPS through libcurl, the way of the producer's SDK. */
#include "probes.h"
#include "report.h"

#include <curl/curl.h>
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
    report_text("libwebsockets", wss_library());
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
        *date = date_of(value, left);
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
