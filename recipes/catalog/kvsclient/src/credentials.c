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

/* Takes keys over. Returns FALSE where they are too long, or have letters that no header may have. */
static gboolean take(struct credentials *held, const char *key, const char *secret, const char *token) {
    if (strlen(key) >= sizeof held->key || strlen(secret) >= sizeof held->secret ||
        strlen(token) >= sizeof held->token || !http_is_header(key) || !http_is_header(token)) {
        return FALSE;
    }
    g_strlcpy(held->key, key, sizeof held->key);
    g_strlcpy(held->secret, secret, sizeof held->secret);
    g_strlcpy(held->token, token, sizeof held->token);
    held->expires = 0;
    return TRUE;
}

static gboolean has_text(const char *text) {
    return text != NULL && text[0] != '\0';
}

/* Static keys: those that were given, or the environment's. */
static int from_texts(const struct options *options, struct credentials *held) {
    gboolean given = has_text(options->access) && has_text(options->secret);
    const char *key = given ? options->access : g_getenv("AWS_ACCESS_KEY_ID");
    const char *secret = given ? options->secret : g_getenv("AWS_SECRET_ACCESS_KEY");
    const char *token = given ? options->token : g_getenv("AWS_SESSION_TOKEN");

    if (take(held, key, secret, token != NULL ? token : "")) {
        return -1;
    }
    report("give-up", "the keys are too long or have letters that no header may have");
    return CODE_GIVE_UP;
}

/* Reads `CREDENTIALS KEY SECRET` or `CREDENTIALS KEY EXPIRATION SECRET TOKEN`. Others may write it anew at any time. */
static gboolean read_words(char **words, guint rotation, struct credentials *held) {
    guint count = g_strv_length(words);
    GDateTime *time;
    gboolean good;

    if ((count != 3 && count != 5) || strcmp(words[0], "CREDENTIALS") != 0) {
        return FALSE;
    }
    good = take(held, words[1], words[count == 3 ? 2 : 3], count == 3 ? "" : words[4]);
    held->expires = now() + rotation + MARGIN_SECONDS;
    if (good && count == 5) {
        time = g_date_time_new_from_iso8601(words[2], NULL);
        good = time != NULL;
        if (good) {
            held->expires = MIN(held->expires, g_date_time_to_unix(time));
            g_date_time_unref(time);
        }
    }
    return good;
}

static void forget_words(char **words) {
    for (char **word = words; *word != NULL; word++) {
        OPENSSL_cleanse(*word, strlen(*word));
    }
    g_strfreev(words);
}

static int from_file(const struct options *options, struct credentials *held) {
    char *text = NULL, **words;
    gsize length = 0;
    gboolean good = FALSE;

    if (g_file_get_contents(options->credential_path, &text, &length, NULL) && length < MOST_BODY) {
        words = g_strsplit(g_strstrip(text), " ", 6);
        good = read_words(words, options->rotation, held);
        forget_words(words);
        OPENSSL_cleanse(text, length);
    }
    g_free(text);
    if (!good) {
        credentials_forget(held);
        report("error", "%s has no credentials that can be read", options->credential_path);
        return CODE_RESTART;
    }
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

    if (options->iot_ca != NULL) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, options->iot_ca);
    }
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)options->iot_connect);
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
        http_ask(curl, options->iot_answer, &answer);
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
    if (options->iot_endpoint != NULL) {
        return from_iot(options, held);
    }
    if ((has_text(options->access) && has_text(options->secret)) ||
        (has_text(g_getenv("AWS_ACCESS_KEY_ID")) && has_text(g_getenv("AWS_SECRET_ACCESS_KEY")))) {
        return from_texts(options, held);
    }
    if (options->credential_path != NULL && g_file_test(options->credential_path, G_FILE_TEST_EXISTS)) {
        return from_file(options, held);
    }
    report("give-up", "no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, no certificate and no file");
    return CODE_GIVE_UP;
}
