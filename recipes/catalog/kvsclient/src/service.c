#include "service.h"

#include <string.h>
#include <sys/utsname.h>

#include "codes.h"
#include "http.h"
#include "json.h"
#include "report.h"
#include "sigv4.h"
#include "status.h"

#define CREATING_SECONDS 30

#define AGENT "AWS-SDK-KVS-CPP-CLIENT"
#define MOST_AGENT 512

/* What is asked of the control plane, and what came of it. */
struct asked {
    const struct options *options;
    struct credentials *keys;
    guint32 status; /* the last one that an answer stood for; 0: none yet */
};

/* kvssink's form; the last word is ours, where the SDK has CPPSDK. */
static void write_agent(const struct options *options, char agent[MOST_AGENT]) {
    struct utsname system = {0};

    uname(&system);
    g_snprintf(agent, MOST_AGENT, "%.200s/3.4.1/1.5.1 GCC/%d.%d.%d %.40s/%.60s %.40s kvsclient",
               options->agent != NULL ? options->agent : AGENT, __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__,
               system.sysname, system.release, system.machine);
}

static struct curl_slist *add(struct curl_slist *list, const char *name, const char *value) {
    char *line = g_strdup_printf("%s: %s", name, value);

    list = curl_slist_append(list, line);
    g_free(line);
    return list;
}

/* The host of https://HOST[:PORT], as kvssink names and signs it: without the port. */
static char *host_of(const char *endpoint) {
    const char *host = endpoint + strlen("https://");

    return g_strndup(host, strcspn(host, ":/"));
}

/* The headers of a JSON call. */
static struct curl_slist *call_headers(const struct options *options, const struct credentials *keys,
                                       const char *endpoint, const char *path, const char *body) {
    char agent[MOST_AGENT], date[17], *host = host_of(endpoint), *authorization, *length = g_strdup_printf("%zu", strlen(body));
    struct curl_slist *list = NULL;

    write_agent(options, agent);
    sigv4_date(g_get_real_time() / G_USEC_PER_SEC, date);
    const struct header headers[] = {{"host", host}, {"user-agent", agent}, {"x-amz-date", date}};
    authorization = sigv4_authorization(&(struct signing){.credentials = keys, .region = options->region, .path = path,
                                                          .headers = headers, .count = G_N_ELEMENTS(headers),
                                                          .date = date, .body = {body, strlen(body)}});
    list = add(list, "Host", host);
    list = add(list, "Authorization", authorization);
    list = add(list, "content-length", length);
    list = add(list, "content-type", "application/json");
    list = add(list, "user-agent", agent);
    list = add(list, "X-Amz-Date", date);
    if (keys->token[0] != '\0') {
        list = add(list, "x-amz-security-token", keys->token);
    }
    g_free(authorization);
    g_free(length);
    g_free(host);
    return list;
}

struct curl_slist *service_put_media(const struct options *options, const struct credentials *keys,
                                     const char *endpoint) {
    char agent[MOST_AGENT], date[17], start[40], *host = host_of(endpoint), *authorization;
    gint64 now = g_get_real_time() / 1000;
    struct curl_slist *list = NULL;

    write_agent(options, agent);
    sigv4_date(now / 1000, date);
    /* Milliseconds are not padded: 48 of them are ".48" on kvssink's wire. */
    g_snprintf(start, sizeof start, "%" G_GINT64_FORMAT ".%d", now / 1000, (int)(now % 1000));
    const struct header headers[] = {
        {"connection", "keep-alive"},
        {"host", host},
        {"transfer-encoding", "chunked"},
        {"user-agent", agent},
        {"x-amz-date", date},
        {"x-amzn-fragment-acknowledgment-required", options->unconfirmed ? "0" : "1"},
        {"x-amzn-fragment-timecode-type", "ABSOLUTE"},
        {"x-amzn-producer-start-timestamp", start},
        {"x-amzn-stream-name", options->stream},
    };
    authorization = sigv4_authorization(&(struct signing){.credentials = keys, .region = options->region,
                                                          .path = "/putMedia", .headers = headers,
                                                          .count = G_N_ELEMENTS(headers), .date = date,
                                                          .body = {"", 0}});
    list = add(list, "Host", host);
    list = add(list, "Authorization", authorization);
    list = add(list, "connection", "keep-alive");
    list = add(list, "content-type", "application/json");
    list = add(list, "transfer-encoding", "chunked");
    list = add(list, "user-agent", agent);
    list = add(list, "X-Amz-Date", date);
    if (keys->token[0] != '\0') {
        list = add(list, "x-amz-security-token", keys->token);
    }
    for (guint i = 5; i < G_N_ELEMENTS(headers); i++) {
        list = add(list, headers[i].name, headers[i].value);
    }
    g_free(authorization);
    g_free(host);
    return list;
}

/* One call, repeated while a repetition may help. `missing`: a 404 is an answer, not an error. Returns as
 * `service_find`; `answer` is to be freed in any case. */
static int call(struct asked *asked, const char *path, const char *body, gboolean missing, struct answer *answer) {
    const struct options *options = asked->options;
    char *base = options->endpoint != NULL ? g_strdup(options->endpoint)
                                           : g_strdup_printf("https://kinesisvideo.%s.amazonaws.com", options->region);
    char *url = g_strconcat(base, path, NULL);
    int code = CODE_RESTART;

    *answer = (struct answer){.body = g_string_new(NULL)};
    for (guint attempt = 0; attempt < HTTP_ATTEMPTS && code == CODE_RESTART; attempt++) {
        struct curl_slist *headers;
        struct verdict verdict;
        CURL *curl;

        http_pause(attempt);
        code = credentials_get(options, asked->keys);
        if (code >= 0) {
            asked->status = code == CODE_GIVE_UP ? STATUS_DENIED : 0;
            break;
        }
        http_free(answer);
        curl = http_open(options, url);
        headers = call_headers(options, asked->keys, base, path, body);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        http_ask(curl, options->answer, answer);
        curl_easy_cleanup(curl);
        curl_slist_free_all(headers);
        if (answer->status == 200 || (missing && answer->status == 404)) {
            code = -1;
            break;
        }
        http_report(path + 1, answer);
        verdict = status_of_answer(answer->status);
        asked->status = verdict.status;
        code = verdict.cure == CURE_NONE ? CODE_GIVE_UP : CODE_RESTART;
        report("error", "%s: status 0x%08x: %s", path + 1, verdict.status, verdict.name);
    }
    g_free(url);
    g_free(base);
    return code;
}

static int create(struct asked *asked, const char *media_type) {
    struct answer answer;
    char *body;
    int code;

    if (asked->options->no_create) {
        asked->status = STATUS_NOT_FOUND;
        report("give-up", "status 0x%08x: there is no stream %s", STATUS_NOT_FOUND, asked->options->stream);
        return CODE_GIVE_UP;
    }
    body = g_strdup_printf("{\n\t\"DeviceName\": \"Kinesis_Video_Device\",\n\t\"StreamName\": \"%s\",\n"
                           "\t\"MediaType\": \"%s\",\n\t\"DataRetentionInHours\": %u%s%s\n}",
                           asked->options->stream, media_type, asked->options->retention,
                           asked->options->tags != NULL ? ",\n\t\"Tags\": " : "",
                           asked->options->tags != NULL ? asked->options->tags : "");
    code = call(asked, "/createStream", body, FALSE, &answer);
    http_free(&answer);
    g_free(body);
    return code;
}

/* Describes the stream until it is neither being created nor updated. */
static int find_or_create(struct asked *asked, const char *media_type) {
    char *body = g_strdup_printf("{\n\t\"StreamName\": \"%s\"\n}", asked->options->stream);
    int code = -1;

    for (guint second = 0; second < CREATING_SECONDS; second++) {
        struct answer answer;
        char state[32] = "";
        gboolean missing;

        code = call(asked, "/describeStream", body, TRUE, &answer);
        missing = answer.status == 404;
        json_string((struct slice){answer.body->str, answer.body->len}, "StreamInfo.Status", state, sizeof state);
        http_free(&answer);
        if (code >= 0 || strcmp(state, "ACTIVE") == 0) {
            break;
        }
        if (missing) {
            code = create(asked, media_type);
            break;
        }
        code = CODE_RESTART;
        g_usleep(G_USEC_PER_SEC);
    }
    g_free(body);
    return code;
}

/* An address that a URL may be made of: https, a host and perhaps a port. */
static gboolean is_endpoint(const char *text) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:";
    gsize prefix = strlen("https://");

    return g_str_has_prefix(text, "https://") && text[prefix] != '\0' && text[prefix] != ':' &&
           strspn(text + prefix, letters) == strlen(text + prefix);
}

/* Asks for the address of the media. A stream that was made just now is not found for some seconds. */
static int find_endpoint(struct asked *asked, char endpoint[MOST_URL]) {
    char *body = g_strdup_printf("{\n\t\"StreamName\": \"%s\",\n\t\"APIName\": \"PUT_MEDIA\"\n}", asked->options->stream);
    int code = CODE_RESTART;

    for (guint second = 0; second < CREATING_SECONDS; second++) {
        struct answer answer;
        gboolean found, missing;

        code = call(asked, "/getDataEndpoint", body, TRUE, &answer);
        missing = answer.status == 404;
        found = code < 0 && !missing &&
                json_string((struct slice){answer.body->str, answer.body->len}, "DataEndpoint", endpoint, MOST_URL) &&
                is_endpoint(endpoint);
        http_free(&answer);
        if (found || code >= 0) {
            break;
        }
        code = CODE_RESTART;
        if (!missing) {
            asked->status = STATUS_NO_ACK;
            report("error", "status 0x%08x: getDataEndpoint names no https address", STATUS_NO_ACK);
            break;
        }
        g_usleep(G_USEC_PER_SEC);
    }
    g_free(body);
    return code;
}

int service_find(const struct options *options, struct credentials *keys, const char *media_type,
                 char endpoint[MOST_URL], guint32 *status) {
    struct asked asked = {.options = options, .keys = keys};
    int code = find_or_create(&asked, media_type);

    code = code < 0 ? find_endpoint(&asked, endpoint) : code;
    if (status != NULL) {
        *status = code < 0 ? 0 : asked.status;
    }
    return code;
}
