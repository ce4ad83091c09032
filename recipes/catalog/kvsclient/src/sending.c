#include "sending.h"

#include "codes.h"

#define FIRST_PAUSE (G_USEC_PER_SEC * 2 / 5) /* kvssink was back after 0.4 s */
#define MOST_PAUSE (10 * G_USEC_PER_SEC)
#define TICK (G_USEC_PER_SEC / 50)

/* Waits, with ticks. Returns FALSE where a tick says to leave. */
static gboolean wait_for(struct sending *sending, gint64 microseconds) {
    gint64 until = g_get_monotonic_time() + microseconds;

    while (sending->ears.tick(sending->ears.data)) {
        if (g_get_monotonic_time() >= until) {
            return TRUE;
        }
        g_usleep(TICK);
    }
    return FALSE;
}

/* Nothing is sent before the first fragment has begun, as kvssink. Returns FALSE where there will be none. */
static gboolean wait_for_frames(struct sending *sending, enum sent *sent) {
    while (!fragments_pending(sending->store)) {
        if (fragments_done(sending->store)) {
            *sent = SENT_ALL;
            return FALSE;
        }
        if (!wait_for(sending, 0)) {
            *sent = SENT_LEFT;
            return FALSE;
        }
        g_usleep(TICK / 2);
    }
    return TRUE;
}

/* What one connection's end means for the stream. Returns FALSE where there is to be another connection. */
static gboolean is_last(enum outcome outcome, enum sent *sent) {
    switch (outcome) {
    case OUTCOME_DONE:
        *sent = SENT_ALL;
        return TRUE;
    case OUTCOME_LEAVE:
        *sent = SENT_LEFT;
        return TRUE;
    case OUTCOME_FATAL:
        *sent = SENT_REFUSED;
        return TRUE;
    default:
        return FALSE;
    }
}

int sending_open(struct sending *sending, const char *media_type, guint32 *status) {
    return service_find(sending->options, &sending->keys, media_type, sending->endpoint, status);
}

enum sent sending_run(struct sending *sending) {
    gint64 pause = FIRST_PAUSE;
    guint64 persisted = 0;
    guint failures = 0;
    enum sent sent;

    while (wait_for_frames(sending, &sent)) {
        enum outcome outcome;

        sending->code = credentials_get(sending->options, &sending->keys);
        if (sending->code >= 0 && sending->code != CODE_RESTART) {
            return SENT_NO_KEYS;
        }
        outcome = sending->code >= 0 ? OUTCOME_BROKEN
                                     : upload_run(sending->line, sending->options, &sending->keys, sending->endpoint,
                                                  sending->store, &sending->ears);
        if (is_last(outcome, &sent)) {
            return sent;
        }
        if (fragments_totals(sending->store).persisted > persisted || outcome == OUTCOME_ROTATE) {
            persisted = fragments_totals(sending->store).persisted;
            failures = 0;
            pause = FIRST_PAUSE;
        }
        if (++failures > sending->options->retries) {
            return SENT_NOTHING;
        }
        if (outcome == OUTCOME_BROKEN && failures > 1) {
            credentials_forget(&sending->keys);
        }
        /* An ERROR ack is answered at once, as by the SDK; not one after another. */
        if ((outcome == OUTCOME_BROKEN || failures > 1) && !wait_for(sending, pause)) {
            return SENT_LEFT;
        }
        pause = MIN(pause * 2, MOST_PAUSE);
    }
    return sent;
}

void sending_close(struct sending *sending) {
    credentials_forget(&sending->keys);
}
