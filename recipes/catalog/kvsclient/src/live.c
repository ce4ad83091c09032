#include "live.h"

#include <openssl/crypto.h>
#include <signal.h>

#include "codes.h"
#include "credentials.h"
#include "fragments.h"
#include "pipeline.h"
#include "report.h"
#include "service.h"
#include "upload.h"

#define FIRST_PAUSE (G_USEC_PER_SEC * 2 / 5) /* kvssink was back after 0.4 s */
#define MOST_PAUSE (10 * G_USEC_PER_SEC)
#define DRAIN_SECONDS 5

static const struct options *options;
static struct credentials keys;
static char endpoint[MOST_URL];
static volatile sig_atomic_t stopped;
static gint64 began, closing; /* closing: when the end was asked for, 0 before */
static gboolean finished;
static int code = -1;

static void on_signal(int number) {
    (void)number;
    stopped = 1;
}

static void catch_signals(void) {
    /* Once: a second signal ends the program at once, as it would without us. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void decide(int chosen, const char *kind, const char *reason) {
    if (code < 0) {
        code = chosen;
        report(kind, "%s", reason);
    }
}

/* Looks after signals, time and the pipeline. Returns FALSE where there is nothing more to be done. */
static gboolean tick(void *data) {
    gint64 now = g_get_monotonic_time();
    const char *fault = pipeline_fault();

    (void)data;
    if (fault != NULL && closing == 0) {
        decide(CODE_RESTART, "restart", fault);
        stopped = 1;
    }
    if (closing == 0 && (stopped || pipeline_ended() ||
                         (options->seconds > 0 && now - began > options->seconds * G_USEC_PER_SEC))) {
        closing = now;
        report("stop", "%s: closing the stream", stopped ? "asked to" : "at its end");
        pipeline_end();
    }
    if (closing != 0 && !finished && (pipeline_ended() || now - closing > DRAIN_SECONDS * G_USEC_PER_SEC)) {
        finished = TRUE;
        fragments_finish();
    }
    if (closing != 0 && now - closing > options->stop * G_USEC_PER_SEC) {
        decide(CODE_UNCLOSED, "stop", "the last fragment was not confirmed in time: it may be lost");
        return FALSE;
    }
    return TRUE;
}

/* Waits, with ticks. Returns FALSE where a tick says to leave. */
static gboolean wait_for(gint64 microseconds) {
    gint64 until = g_get_monotonic_time() + microseconds;

    while (tick(NULL)) {
        if (g_get_monotonic_time() >= until) {
            return TRUE;
        }
        g_usleep(20000);
    }
    return FALSE;
}

/* Nothing is sent before the first fragment has begun, as kvssink. Returns FALSE where there will be none. */
static gboolean wait_for_frames(void) {
    while (!fragments_pending()) {
        if (!wait_for(0) || fragments_done()) {
            return FALSE;
        }
        g_usleep(10000);
    }
    return TRUE;
}

/* Connections one after another, until all is confirmed or none helps any more. */
static void connect_on(void) {
    gint64 pause = FIRST_PAUSE;
    guint64 persisted = 0;
    guint failures = 0;

    while (code < 0 || closing != 0) {
        enum outcome outcome;
        int got;

        if (!wait_for_frames()) {
            return;
        }
        got = credentials_get(options, &keys);
        if (got >= 0) {
            decide(got, "give-up", "no credentials");
            return;
        }
        outcome = upload_run(options, &keys, endpoint, tick, NULL);
        if (outcome == OUTCOME_DONE || outcome == OUTCOME_LEAVE) {
            return;
        }
        if (outcome == OUTCOME_FATAL) {
            decide(CODE_GIVE_UP, "give-up", "a restart does not help");
            return;
        }
        if (fragments_totals().persisted > persisted || outcome == OUTCOME_ROTATE) {
            persisted = fragments_totals().persisted;
            failures = 0;
            pause = FIRST_PAUSE;
        }
        if (++failures > options->retries) {
            decide(CODE_RESTART, "restart", "no connection confirms anything");
            return;
        }
        if (outcome == OUTCOME_BROKEN && options->iot_endpoint != NULL && failures > 1) {
            credentials_forget(&keys);
        }
        /* An ERROR ack is answered at once, as by the SDK; not one after another. */
        if ((outcome == OUTCOME_BROKEN || failures > 1) && !wait_for(pause)) {
            return;
        }
        pause = MIN(pause * 2, MOST_PAUSE);
    }
}

static void sum_up(void) {
    struct totals totals = fragments_totals();
    GString *row = row_begin(0, "end");

    g_string_append_printf(row,
                           "%d,\"fragments\":%" G_GUINT64_FORMAT ",\"persisted\":%" G_GUINT64_FORMAT
                           ",\"lost\":%" G_GUINT64_FORMAT ",\"sent_again\":%" G_GUINT64_FORMAT,
                           code, totals.begun, totals.persisted, totals.lost, totals.sent_again);
    row_end(row);
}

int live_run(const struct options *given) {
    options = given;
    code = pipeline_open(options);
    if (code >= 0) {
        return code;
    }
    fragments_open((gsize)options->buffer << 20, upload_wake);
    catch_signals();
    code = service_find(options, &keys, pipeline_media_type(), endpoint);
    if (code < 0) {
        began = g_get_monotonic_time();
        if (pipeline_start()) {
            connect_on();
            decide(fragments_totals().begun > 0 || stopped ? CODE_DONE : CODE_RESTART, "end", "no more to send");
        } else {
            const char *fault = pipeline_fault();

            decide(CODE_GIVE_UP, "give-up", fault != NULL ? fault : "the pipeline cannot start");
        }
    }
    pipeline_close();
    OPENSSL_cleanse(&keys, sizeof keys);
    sum_up();
    return code;
}
