#include "upload.h"

#include <curl/curl.h>
#include <string.h>

#include "http.h"
#include "report.h"
#include "service.h"
#include "status.h"

#define POLL_MILLISECONDS 100
/* What the service has to end its answer after an ERROR ack, or at an end in order. */
#define ENDING_SECONDS 2

struct line {
    CURLM *multi;
    guint connections;
};

struct upload {
    const struct options *options;
    const struct credentials *keys;
    struct store *store;
    const struct ears *ears;
    CURL *curl;
    guint number;
    struct acks acks;
    enum outcome outcome;
    gboolean paused; /* the body waits for more to send */
    gboolean ending; /* the body is to end now */
    gboolean ended;  /* the body has ended */
    gboolean foreign; /* the answer is none of the service's */
    gint64 ends, heard;
    char error[CURL_ERROR_SIZE]; /* libcurl's words */
};

struct line *upload_open(void) {
    static gsize opened;
    struct line *line = g_new0(struct line, 1);

    if (g_once_init_enter(&opened)) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        g_once_init_leave(&opened, 1);
    }
    line->multi = curl_multi_init();
    return line;
}

void upload_close(struct line *line) {
    curl_multi_cleanup(line->multi);
    g_free(line);
}

void upload_wake(void *line) {
    curl_multi_wakeup(((struct line *)line)->multi);
}

static void tell(const struct upload *upload, guint32 status) {
    if (upload->ears->status != NULL && status != 0) {
        upload->ears->status(status, upload->ears->data);
    }
}

static void end_body(struct upload *upload, enum outcome outcome) {
    if (!upload->ending && !upload->ended) {
        upload->outcome = outcome;
        upload->ends = g_get_monotonic_time() + ENDING_SECONDS * G_USEC_PER_SEC;
    }
    upload->ending = TRUE;
}

static size_t on_read(char *out, size_t size, size_t count, void *data) {
    struct upload *upload = data;
    gsize copied = 0;

    if (!upload->ending) {
        gboolean rotate = credentials_expiring(upload->keys);

        switch (fragments_read(upload->store, out, size * count, rotate, &copied)) {
        case SUPPLY_SOME:
            return copied;
        case SUPPLY_NONE_YET:
            upload->paused = TRUE;
            return CURL_READFUNC_PAUSE;
        case SUPPLY_END:
            end_body(upload, fragments_done(upload->store) ? OUTCOME_DONE : OUTCOME_ROTATE);
            break;
        }
    }
    upload->ended = TRUE;
    return 0;
}

static void on_error_ack(struct upload *upload, const struct ack *ack) {
    struct verdict verdict = status_of_ack(ack->error_id);

    report(verdict.cure == CURE_NONE ? "give-up" : "error",
           "status 0x%08x: ERROR ack %" G_GUINT64_FORMAT " %s (%s) for fragment %" G_GUINT64_FORMAT, verdict.status,
           ack->error_id, verdict.name, ack->error, ack->timecode);
    tell(upload, verdict.status);
    if (verdict.cure == CURE_SKIP && ack->timed) {
        fragments_give_up(upload->store, ack->timecode);
    }
    end_body(upload, verdict.cure == CURE_NONE ? OUTCOME_FATAL : OUTCOME_ERROR);
}

/* What confirms a fragment: a stream that keeps nothing is never told that it is kept. */
static const char *last_ack(const struct options *options) {
    return options->retention > 0 ? "PERSISTED" : "RECEIVED";
}

static void on_ack(const struct ack *ack, void *data) {
    struct upload *upload = data;

    if (upload->ears->ack != NULL) {
        upload->ears->ack(upload->number, ack, upload->ears->data);
    }
    if (strcmp(ack->event, "ERROR") == 0) {
        on_error_ack(upload, ack);
    } else if (strcmp(ack->event, last_ack(upload->options)) == 0 && !fragments_persisted(upload->store, ack->timecode)) {
        report("warning", "%s for fragment %" G_GUINT64_FORMAT ", which was not sent", ack->event, ack->timecode);
    }
}

static size_t on_answer(char *bytes, size_t size, size_t count, void *data) {
    struct upload *upload = data;
    long status = 0;

    upload->heard = g_get_monotonic_time();
    curl_easy_getinfo(upload->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        return size * count; /* told by its number; its words are the control plane's business */
    }
    if (upload->foreign || !acks_feed(&upload->acks, bytes, size * count, on_ack, upload)) {
        upload->foreign = TRUE;
        return 0;
    }
    return size * count;
}

static CURL *open_request(struct upload *upload, const char *endpoint, struct curl_slist **headers) {
    char *url = g_strconcat(endpoint, "/putMedia", NULL);
    CURL *curl = http_open(upload->options, url);

    *headers = service_put_media(upload->options, upload->keys, endpoint);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *headers);
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(curl, CURLOPT_READDATA, upload);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, upload);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, upload->error);
    /* As kvssink: fewer than 30 bytes a second are a connection that stands. */
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 30L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)upload->options->stall);
    g_free(url);
    return curl;
}

/* How a transfer ended that libcurl is done with. */
static enum outcome judge(struct upload *upload, CURLcode code) {
    struct verdict verdict;
    long status = 0;

    curl_easy_getinfo(upload->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 && status != 0) {
        verdict = status_of_answer(status);
        report("error", "putMedia answers %ld: status 0x%08x: %s", status, verdict.status, verdict.name);
        tell(upload, verdict.status);
        return OUTCOME_BROKEN;
    }
    if (upload->foreign) {
        report("error", "status 0x%08x: the answer has what is no ack", STATUS_NO_ACK);
        tell(upload, STATUS_NO_ACK);
        return OUTCOME_BROKEN;
    }
    if (upload->ending) {
        return upload->outcome;
    }
    report("broken", "%s", code == CURLE_OK          ? "the service has ended its answer"
                           : upload->error[0] != '\0' ? upload->error
                                                      : curl_easy_strerror(code));
    return OUTCOME_BROKEN;
}

/* What time alone ends. Returns FALSE where it goes on. */
static gboolean is_over(struct upload *upload) {
    gint64 now = g_get_monotonic_time();

    if (upload->ending && now > upload->ends) {
        return TRUE;
    }
    if (!fragments_pending(upload->store)) {
        upload->heard = now; /* nothing is owed */
    }
    if (now - upload->heard > upload->options->stall * G_USEC_PER_SEC) {
        report("broken", "status 0x%08x: no answer for %u s", STATUS_NO_ANSWER, upload->options->stall);
        tell(upload, STATUS_NO_ANSWER);
        end_body(upload, OUTCOME_BROKEN);
        return TRUE;
    }
    return FALSE;
}

static enum outcome run(struct upload *upload, CURLM *multi) {
    int running = 1, left;

    while (TRUE) {
        CURLMsg *message;

        curl_multi_perform(multi, &running);
        if ((message = curl_multi_info_read(multi, &left)) != NULL && message->msg == CURLMSG_DONE) {
            return judge(upload, message->data.result);
        }
        if (is_over(upload)) {
            return upload->outcome;
        }
        if (!upload->ears->tick(upload->ears->data)) {
            return OUTCOME_LEAVE;
        }
        if (upload->paused) {
            upload->paused = FALSE;
            curl_easy_pause(upload->curl, CURLPAUSE_CONT); /* asks on_read again, which may pause again */
        }
        curl_multi_poll(multi, NULL, 0, POLL_MILLISECONDS, NULL);
    }
}

enum outcome upload_run(struct line *line, const struct options *options, const struct credentials *keys,
                        const char *endpoint, struct store *store, const struct ears *ears) {
    struct upload upload = {.options = options, .keys = keys, .store = store, .ears = ears, .outcome = OUTCOME_BROKEN,
                            .number = ++line->connections, .heard = g_get_monotonic_time()};
    struct curl_slist *headers;
    enum outcome outcome;

    fragments_rewind(store);
    upload.curl = open_request(&upload, endpoint, &headers);
    curl_multi_add_handle(line->multi, upload.curl);
    outcome = run(&upload, line->multi);
    curl_multi_remove_handle(line->multi, upload.curl);
    curl_easy_cleanup(upload.curl);
    curl_slist_free_all(headers);
    return outcome;
}
