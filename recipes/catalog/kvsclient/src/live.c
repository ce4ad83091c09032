#include "live.h"

#include <signal.h>

#include "codes.h"
#include "pipeline.h"
#include "report.h"
#include "sending.h"

#define DRAIN_SECONDS 5

static const struct options *options;
static struct sending sending;
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
        fragments_finish(sending.store);
    }
    if (closing != 0 && now - closing > options->stop * G_USEC_PER_SEC) {
        decide(CODE_UNCLOSED, "stop", "the last fragment was not confirmed in time: it may be lost");
        return FALSE;
    }
    return TRUE;
}

static void on_ack(guint connection, const struct ack *ack, void *data) {
    (void)data;
    acks_print(connection, ack);
}

/* Sends to the end, and says how it came to it. */
static void send_all(void) {
    switch (sending_run(&sending)) {
    case SENT_NO_KEYS:
        decide(sending.code, "give-up", "no credentials");
        break;
    case SENT_REFUSED:
        decide(CODE_GIVE_UP, "give-up", "a restart does not help");
        break;
    case SENT_NOTHING:
        decide(CODE_RESTART, "restart", "no connection confirms anything");
        break;
    default:
        decide(fragments_totals(sending.store).begun > 0 || stopped ? CODE_DONE : CODE_RESTART, "end",
               "no more to send");
    }
}

static void sum_up(void) {
    struct totals totals = fragments_totals(sending.store);
    GString *row = row_begin(0, "end");

    g_string_append_printf(row,
                           "%d,\"fragments\":%" G_GUINT64_FORMAT ",\"persisted\":%" G_GUINT64_FORMAT
                           ",\"lost\":%" G_GUINT64_FORMAT ",\"sent_again\":%" G_GUINT64_FORMAT,
                           code, totals.begun, totals.persisted, totals.lost, totals.sent_again);
    row_end(row);
}

int live_run(const struct options *given) {
    options = given;
    sending = (struct sending){.options = options, .line = upload_open(), .ears = {.tick = tick, .ack = on_ack}};
    sending.store = fragments_open(&(struct keeping){.most = (gsize)options->buffer << 20, .acks = TRUE,
                                                     .changed = upload_wake, .data = sending.line});
    code = pipeline_open(options, sending.store, sending.line);
    if (code >= 0) {
        return code;
    }
    catch_signals();
    code = sending_open(&sending, pipeline_media_type(), NULL);
    if (code < 0) {
        began = g_get_monotonic_time();
        if (pipeline_start()) {
            send_all();
        } else {
            const char *fault = pipeline_fault();

            decide(CODE_GIVE_UP, "give-up", fault != NULL ? fault : "the pipeline cannot start");
        }
    }
    pipeline_close();
    sending_close(&sending);
    sum_up();
    fragments_free(sending.store);
    upload_close(sending.line);
    return code;
}
