#include "credentials.h"

#include <openssl/crypto.h>
#include <string.h>

#include "codes.h"
#include "http.h"
#include "json.h"
#include "report.h"
#include "status.h"

#define MARGIN_SECONDS 10

static gint64 now(void) {
    return g_get_real_time() / G_USEC_PER_SEC;
}

gboolean credentials_expiring(const struct credentials *held) {
    return held->key[0] == '\0' || (held->expires != 0 && held->expires - now() < MARGIN_SECONDS);
}

void credentials_forget(struct credentials *held) {
    OPENSSL_cleanse(held, sizeof *held);
}

static int from_environment(struct credentials *held) {
    const char *key = g_getenv("AWS_ACCESS_KEY_ID"), *secret = g_getenv("AWS_SECRET_ACCESS_KEY");
    const char *token = g_getenv("AWS_SESSION_TOKEN");

    token = token != NULL ? token : "";
    if (key == NULL || secret == NULL || key[0] == '\0' || secret[0] == '\0') {
        report("give-up", "no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, and no --iot-endpoint");
        return CODE_GIVE_UP;
    }
    if (strlen(key) >= sizeof held->key || strlen(secret) >= sizeof held->secret ||
        strlen(token) >= sizeof held->token || !http_is_header(key) || !http_is_header(token)) {
        report("give-up", "the environment's keys are too long or have letters that no header may have");
        return CODE_GIVE_UP;
    }
    g_strlcpy(held->key, key, sizeof held->key);
    g_strlcpy(held->secret, secret, sizeof held->secret);
    g_strlcpy(held->token, token, sizeof held->token);
    return -1;
}

/* Reads {"credentials": {…}}; nothing is held unless all of it can be read. */
static gboolean read_answer(struct slice json, struct credentials *held) {
    struct credentials got = {0};
    char expiration[40];
    GDateTime *time;

    if (!json_string(json, "credentials.accessKeyId", got.key, sizeof got.key) ||
        !json_string(json, "credentials.secretAccessKey", got.secret, sizeof got.secret) ||
        !json_string(json, "credentials.sessionToken", got.token, sizeof got.token) ||
        !json_string(json, "credentials.expiration", expiration, sizeof expiration)) {
        return FALSE;
    }
    time = g_date_time_new_from_iso8601(expiration, NULL);
    if (time == NULL || got.key[0] == '\0') {
        return FALSE;
    }
    got.expires = g_date_time_to_unix(time);
    g_date_time_unref(time);
    *held = got;
    OPENSSL_cleanse(&got, sizeof got);
    return TRUE;
}

static CURL *open_request(const struct options *options, struct curl_slist **headers) {
    char *url = g_strdup_printf("https://%s/role-aliases/%s/credentials", options->iot_endpoint, options->iot_alias);
    char *thing = g_strdup_printf("x-amzn-iot-thingname: %s", options->iot_thing);
    CURL *curl = http_open(options, url);

    *headers = curl_slist_append(curl_slist_append(NULL, "user-agent: AWS-SDK-KVS"), thing);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *headers);
    curl_easy_setopt(curl, CURLOPT_SSLCERT, options->iot_cert);
    curl_easy_setopt(curl, CURLOPT_SSLKEY, options->iot_key);
    g_free(thing);
    g_free(url);
    return curl;
}

static int from_iot(const struct options *options, struct credentials *held) {
    int code = CODE_RESTART;

    for (guint attempt = 0; attempt < HTTP_ATTEMPTS && code == CODE_RESTART; attempt++) {
        struct curl_slist *headers;
        CURL *curl = open_request(options, &headers);
        struct answer answer;

        http_pause(attempt);
        http_ask(curl, &answer);
        if (answer.status == 200) {
            code = read_answer((struct slice){answer.body->str, answer.body->len}, held) ? -1 : CODE_RESTART;
            report(code < 0 ? "credentials" : "error", code < 0 ? "by certificate, %" G_GINT64_FORMAT " s to go"
                                                                 : "Failed to parse Iot credentials (%" G_GINT64_FORMAT ")",
                   held->expires - now());
        } else {
            code = status_of_answer(answer.status).cure == CURE_NONE ? CODE_GIVE_UP : CODE_RESTART;
            http_report("the credential provider", &answer);
        }
        http_free(&answer);
        curl_slist_free_all(headers);
        curl_easy_cleanup(curl);
    }
    return code;
}

int credentials_get(const struct options *options, struct credentials *held) {
    if (!credentials_expiring(held)) {
        return -1;
    }
    return options->iot_endpoint != NULL ? from_iot(options, held) : from_environment(held);
}
