#include "status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codes.h"
#include "report.h"
#include "watch.h"

#define MOST_STATUS 8192

static const struct options *settings;
static const char *current = "starting";
static gint64 began, since; /* monotonic; since the epoch, in microseconds */
static int end_code = -1;
static char *end_reason, *last_reason;
static guint restarts;
static guint tenths; /* of a frame a second, over the last few seconds */
static guint64 frames_before;
static gint64 time_before;

/* Puts a text into quotes. What is no ASCII stays as it is: `report_clean` gives valid UTF-8. */
static void put_text(GString *json, const char *text) {
    char *clean = text != NULL ? report_clean(text) : NULL;

    if (clean == NULL) {
        g_string_append(json, "null");
        return;
    }
    g_string_append_c(json, '"');
    for (const char *at = clean; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\') {
            g_string_append_c(json, '\\');
        }
        g_string_append_c(json, *at);
    }
    g_string_append_c(json, '"');
    g_free(clean);
}

/* Returns the text behind a key of a file that `make` has written; NULL where there is none. To be freed. */
static char *text_of(const char *json, const char *key) {
    const char *at = strstr(json, key);
    GString *text;

    if (at == NULL) {
        return NULL;
    }
    at += strlen(key);
    if (*at++ != '"') {
        return NULL;
    }
    text = g_string_new(NULL);
    for (; *at != '"' && *at != '\0'; at++) {
        if (*at == '\\' && at[1] != '\0') {
            at++;
        }
        g_string_append_c(text, *at);
    }
    return g_string_free(text, FALSE);
}

/* Counts an earlier process of this stream that did not end as asked. */
static void take_over(const char *json) {
    const char *count = strstr(json, "\"restarts\":");
    char *state = text_of(json, "\"state\":");
    const char *code = strstr(json, "\"exit\":");
    int exit_code = code != NULL ? (int)g_ascii_strtoll(code + strlen("\"exit\":"), NULL, 10) : 0;

    if (state != NULL && strcmp(state, "ended") == 0 && (exit_code == CODE_DONE || exit_code == CODE_UNCLOSED)) {
        g_free(state);
        return;
    }
    restarts = count != NULL ? (guint)g_ascii_strtoull(count + strlen("\"restarts\":"), NULL, 10) + 1 : 1;
    if (state != NULL && strcmp(state, "ended") == 0) {
        last_reason = text_of(json, "\"reason\":");
    } else {
        last_reason = g_strdup("it ended without a word: it crashed or was killed");
    }
    g_free(state);
}

void status_open(const struct options *options) {
    char json[MOST_STATUS];
    ssize_t length;
    int file;

    settings = options;
    began = g_get_monotonic_time();
    since = g_get_real_time();
    if (options->status == NULL) {
        return;
    }
    file = open(options->status, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    length = file >= 0 ? read(file, json, sizeof json - 1) : -1;
    if (file >= 0) {
        close(file);
    }
    if (length > 0) {
        json[length] = '\0';
        take_over(json);
    }
}

void status_state(const char *state) {
    if (strcmp(state, current) != 0) {
        current = state;
        since = g_get_real_time();
    }
}

void status_end(int code, const char *reason) {
    status_state("ended");
    end_code = code;
    g_free(end_reason);
    end_reason = g_strdup(reason);
}

static void put_age(GString *json, const char *key, gint64 age) {
    if (age < 0) {
        g_string_append_printf(json, ",\"%s\":null", key);
    } else {
        g_string_append_printf(json, ",\"%s\":%" G_GINT64_FORMAT, key, age / G_USEC_PER_SEC);
    }
}

/* Numbers without a decimal point of their own: GStreamer may have set a locale that writes commas. */
static char *make(gint64 now) {
    GString *json = g_string_new("{\"schema\":1,\"name\":");
    struct totals totals = watch_totals(now);

    put_text(json, settings->name);
    g_string_append_printf(json, ",\"pid\":%ld,\"state\":\"%s\"", (long)getpid(), current);
    g_string_append_printf(json, ",\"since\":%" G_GINT64_FORMAT, since / G_USEC_PER_SEC);
    g_string_append_printf(json, ",\"updated\":%" G_GINT64_FORMAT, g_get_real_time() / G_USEC_PER_SEC);
    g_string_append_printf(json, ",\"uptime\":%" G_GINT64_FORMAT, (now - began) / G_USEC_PER_SEC);
    g_string_append_printf(json, ",\"frames\":%" G_GUINT64_FORMAT ",\"bytes\":%" G_GUINT64_FORMAT, totals.frames,
                           totals.bytes);
    g_string_append_printf(json, ",\"fps\":%u.%u,\"fragments\":%" G_GUINT64_FORMAT, tenths / 10, tenths % 10,
                           totals.fragments);
    put_age(json, "frame_age", totals.frame_age);
    put_age(json, "ack_age", totals.ack_age);
    if (totals.status != 0) {
        g_string_append_printf(json, ",\"status\":\"0x%08x\"", totals.status);
    } else {
        g_string_append(json, ",\"status\":null");
    }
    g_string_append(json, ",\"pads\":[");
    watch_list(json, now);
    g_string_append_printf(json, "],\"restarts\":%u,\"last_reason\":", restarts);
    put_text(json, last_reason);
    if (end_code >= 0) {
        g_string_append_printf(json, ",\"exit\":%d,\"reason\":", end_code);
    } else {
        g_string_append(json, ",\"exit\":null,\"reason\":");
    }
    put_text(json, end_reason);
    g_string_append(json, "}\n");
    return g_string_free(json, FALSE);
}

static void measure(gint64 now) {
    guint64 frames = watch_totals(now).frames;
    gint64 spent = now - time_before;

    if (time_before > 0 && spent >= G_USEC_PER_SEC && frames >= frames_before) {
        tenths = (guint)((frames - frames_before) * 10 * G_USEC_PER_SEC / (guint64)spent);
    }
    if (time_before == 0 || spent >= G_USEC_PER_SEC) {
        frames_before = frames;
        time_before = now;
    }
}

/* Writes a file beside the real one and renames it: who reads gets the old one or the new one. Not synced to the disk:
 * after a power cut nobody asks for it. */
static gboolean write_whole(const char *path, const char *text) {
    char *beside = g_strconcat(path, ".new", NULL);
    int file = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    gsize length = strlen(text);
    gboolean done = file >= 0 && write(file, text, length) == (ssize_t)length;

    if (file >= 0) {
        done = close(file) == 0 && done;
    }
    done = done && rename(beside, path) == 0;
    g_free(beside);
    return done;
}

void status_write(void) {
    static gboolean told;
    gint64 now = g_get_monotonic_time();
    char *json;

    measure(now);
    if (settings == NULL || settings->status == NULL) {
        return;
    }
    json = make(now);
    if (!write_whole(settings->status, json) && !told) {
        report("warning", "the status file %s cannot be written: %s", settings->status, g_strerror(errno));
        told = TRUE;
    }
    g_free(json);
}

void status_report(void) {
    struct totals totals = watch_totals(g_get_monotonic_time());
    char ack[32] = "none";

    if (totals.ack_age >= 0) {
        g_snprintf(ack, sizeof ack, "%" G_GINT64_FORMAT " s ago", totals.ack_age / G_USEC_PER_SEC);
    }
    report("status",
           "%s, %" G_GUINT64_FORMAT " frames, %u.%u fps, %" G_GUINT64_FORMAT " bytes, %" G_GUINT64_FORMAT
           " fragments, last ack %s, %u restarts",
           current, totals.frames, tenths / 10, tenths % 10, totals.bytes, totals.fragments, ack, restarts);
}
