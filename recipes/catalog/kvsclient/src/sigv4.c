#include "sigv4.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define DIGEST 32
#define SERVICE "kinesisvideo"

static void to_hex(const unsigned char *bytes, char hex[2 * DIGEST + 1]) {
    for (guint i = 0; i < DIGEST; i++) {
        g_snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
}

static gboolean hash(const char *text, gsize length, char hex[2 * DIGEST + 1]) {
    unsigned char digest[DIGEST];

    if (EVP_Digest(text, length, digest, NULL, EVP_sha256(), NULL) != 1) {
        return FALSE;
    }
    to_hex(digest, hex);
    return TRUE;
}

static gboolean authenticate(const void *key, gsize length, const char *text, unsigned char digest[DIGEST]) {
    return HMAC(EVP_sha256(), key, (int)length, (const unsigned char *)text, strlen(text), digest, NULL) != NULL;
}

void sigv4_date(gint64 moment, char date[17]) {
    GDateTime *time = g_date_time_new_from_unix_utc(moment);

    g_snprintf(date, 17, "%04d%02d%02dT%02d%02d%02dZ", g_date_time_get_year(time) % 10000, g_date_time_get_month(time),
               g_date_time_get_day_of_month(time), g_date_time_get_hour(time), g_date_time_get_minute(time),
               g_date_time_get_second(time));
    g_date_time_unref(time);
}

/* The key of one day, region and service, and what it says of a text. */
static gboolean sign(const struct signing *signing, const char *text, char hex[2 * DIGEST + 1]) {
    const char *parts[] = {NULL, signing->region, SERVICE, "aws4_request", text};
    char *secret = g_strconcat("AWS4", signing->credentials->secret, NULL);
    unsigned char key[DIGEST];
    char day[9];
    gboolean good;

    g_strlcpy(day, signing->date, sizeof day);
    parts[0] = day;
    good = authenticate(secret, strlen(secret), parts[0], key);
    for (guint i = 1; good && i < G_N_ELEMENTS(parts); i++) {
        unsigned char next[DIGEST];

        good = authenticate(key, DIGEST, parts[i], next);
        memcpy(key, next, DIGEST);
    }
    to_hex(key, hex);
    OPENSSL_cleanse(key, sizeof key);
    OPENSSL_cleanse(secret, strlen(secret));
    g_free(secret);
    return good;
}

char *sigv4_authorization(const struct signing *signing) {
    GString *request = g_string_new(NULL), *names = g_string_new(NULL);
    char body[2 * DIGEST + 1], whole[2 * DIGEST + 1], signature[2 * DIGEST + 1];
    char *scope, *text, *authorization = NULL;

    g_string_printf(request, "POST\n%s\n\n", signing->path);
    for (guint i = 0; i < signing->count; i++) {
        g_string_append_printf(request, "%s:%s\n", signing->headers[i].name, signing->headers[i].value);
        g_string_append_printf(names, "%s%s", i > 0 ? ";" : "", signing->headers[i].name);
    }
    if (!hash(signing->body.text, signing->body.length, body)) {
        goto out;
    }
    g_string_append_printf(request, "\n%s\n%s", names->str, body);
    if (!hash(request->str, request->len, whole)) {
        goto out;
    }
    scope = g_strdup_printf("%.8s/%s/" SERVICE "/aws4_request", signing->date, signing->region);
    text = g_strdup_printf("AWS4-HMAC-SHA256\n%s\n%s\n%s", signing->date, scope, whole);
    if (sign(signing, text, signature)) {
        authorization = g_strdup_printf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
                                        signing->credentials->key, scope, names->str, signature);
    }
    g_free(text);
    g_free(scope);
out:
    g_string_free(names, TRUE);
    g_string_free(request, TRUE);
    return authorization;
}
