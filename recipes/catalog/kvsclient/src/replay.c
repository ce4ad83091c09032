#include "replay.h"

#include <curl/curl.h>
#include <poll.h>
#include <string.h>

#include "answer.h"
#include "capture.h"
#include "codes.h"
#include "http.h"
#include "report.h"

/* After the last answer that is waited for, another one would be one too many. */
#define LINGER_MICROSECONDS 200000

struct replay {
    const struct options *options;
    guint number;
    CURL *curl;
    struct answers recorded, got;
    gboolean closed; /* by the service */
    gboolean late;   /* an answer did not come in time */
    gint64 began;
    guint64 sent;
};

static gint64 elapsed(const struct replay *replay) {
    return g_get_monotonic_time() - replay->began;
}

/* Reads what is there, and waits for more for up to `milliseconds`. */
static void pump(struct replay *replay, int milliseconds) {
    char bytes[16384];
    size_t length = 0;
    CURLcode code;

    while ((code = curl_easy_recv(replay->curl, bytes, sizeof bytes, &length)) == CURLE_OK && length > 0) {
        answers_feed(&replay->got, bytes, length);
    }
    if (code != CURLE_AGAIN) {
        replay->closed = TRUE;
        answers_ended(&replay->got);
    } else if (milliseconds > 0) {
        struct pollfd wait = {.events = POLLIN};
        curl_socket_t socket = CURL_SOCKET_BAD;

        curl_easy_getinfo(replay->curl, CURLINFO_ACTIVESOCKET, &socket);
        wait.fd = socket;
        poll(&wait, 1, milliseconds);
    }
}

static gboolean stands(const struct replay *replay) {
    return !replay->closed && !replay->got.foreign;
}

/* Waits for as many answers as were recorded up to here, and for the recorded time. */
static void wait_turn(struct replay *replay, gint64 time) {
    gint64 until = g_get_monotonic_time() + replay->options->wait * G_USEC_PER_SEC;

    while (stands(replay)) {
        gboolean owed = !replay->late && replay->got.events->len < replay->recorded.events->len;
        gboolean early = !replay->options->fast && elapsed(replay) < time;

        if (!owed && !early) {
            return;
        }
        if (owed && !early && g_get_monotonic_time() > until) {
            replay->late = TRUE; /* waited for once a connection: what comes after depends on it */
            report("late", "connection %u: %u answers, %u were recorded", replay->number, replay->got.events->len,
                   replay->recorded.events->len);
            return;
        }
        pump(replay, 10);
    }
}

static void send_all(struct replay *replay, GBytes *data) {
    gsize size;
    const char *bytes = g_bytes_get_data(data, &size);

    while (size > 0 && stands(replay)) {
        size_t sent = 0;
        CURLcode code = curl_easy_send(replay->curl, bytes, size, &sent);

        if (code == CURLE_AGAIN) {
            pump(replay, 10);
        } else if (code != CURLE_OK) {
            replay->closed = TRUE;
        }
        bytes += sent;
        size -= sent;
        replay->sent += sent;
    }
}

static void play(struct replay *replay, const GPtrArray *records) {
    for (guint i = 0; i < records->len; i++) {
        const struct record *record = records->pdata[i];
        gsize size;
        const char *bytes = g_bytes_get_data(record->data, &size);

        if (record->connection != replay->number) {
            continue;
        }
        if (record->client) {
            wait_turn(replay, record->time);
            send_all(replay, record->data);
        } else {
            answers_feed(&replay->recorded, bytes, size);
        }
    }
    wait_turn(replay, 0);
    for (gint64 until = g_get_monotonic_time() + LINGER_MICROSECONDS; g_get_monotonic_time() < until && stands(replay);) {
        pump(replay, 10);
    }
}

/* Compares with the recording. Where that one's answer was cut off, more may come now. */
static gboolean is_same(const struct replay *replay) {
    const GPtrArray *recorded = replay->recorded.events, *got = replay->got.events;

    if (got->len < recorded->len || (replay->recorded.complete && got->len > recorded->len) || replay->got.foreign) {
        return FALSE;
    }
    for (guint i = 0; i < recorded->len; i++) {
        if (strcmp(recorded->pdata[i], got->pdata[i]) != 0) {
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean connect_to(struct replay *replay, const char *host) {
    char *url = replay->options->endpoint != NULL ? g_strdup(replay->options->endpoint) : g_strconcat("https://", host, NULL);
    CURLcode code;

    replay->curl = http_open(replay->options, url);
    g_free(url);
    curl_easy_setopt(replay->curl, CURLOPT_CONNECT_ONLY, 1L);
    if (replay->options->iot_cert != NULL && replay->options->iot_key != NULL) {
        curl_easy_setopt(replay->curl, CURLOPT_SSLCERT, replay->options->iot_cert);
        curl_easy_setopt(replay->curl, CURLOPT_SSLKEY, replay->options->iot_key);
    }
    code = curl_easy_perform(replay->curl);
    if (code != CURLE_OK) {
        report("error", "connection %u to %.200s: %s", replay->number, host, curl_easy_strerror(code));
    }
    return code == CURLE_OK;
}

/* Replays one connection. Returns TRUE where the answers are the recorded ones. */
static gboolean run(const struct options *options, const GPtrArray *records, guint number) {
    struct replay replay = {.options = options, .number = number};
    char *host = capture_host(records, number), *request = capture_request(records, number);
    gboolean same = FALSE;
    GString *row;

    answers_open(&replay.recorded, number, FALSE, request);
    answers_open(&replay.got, number, TRUE, request);
    if (host != NULL && connect_to(&replay, host)) {
        replay.began = g_get_monotonic_time();
        play(&replay, records);
        same = is_same(&replay);
    }
    row = row_begin(number, "end");
    g_string_append_printf(row, "\"%s\",\"sent\":%" G_GUINT64_FORMAT ",\"same\":%s",
                           replay.got.foreign ? "not http" : replay.closed ? "server" : "client", replay.sent,
                           same ? "true" : "false");
    row_end(row);
    if (replay.curl != NULL) {
        curl_easy_cleanup(replay.curl);
    }
    answers_free(&replay.recorded);
    answers_free(&replay.got);
    g_free(request);
    g_free(host);
    return same;
}

int replay_run(const struct options *options) {
    GPtrArray *records = capture_read(options->replay);
    GHashTable *done = g_hash_table_new(NULL, NULL);
    int code = records == NULL || records->len == 0 ? CODE_USAGE : CODE_DONE;

    for (guint i = 0; code != CODE_USAGE && i < records->len; i++) {
        const struct record *record = records->pdata[i];

        if (record->client && g_hash_table_add(done, GUINT_TO_POINTER(record->connection)) &&
            !run(options, records, record->connection)) {
            code = CODE_UNCLOSED;
        }
    }
    g_hash_table_unref(done);
    if (records != NULL) {
        g_ptr_array_unref(records);
    }
    return code;
}
