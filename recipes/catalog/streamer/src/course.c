#include "course.h"

#include "codes.h"
#include "report.h"
#include "signals.h"
#include "status.h"
#include "watch.h"

/* What an alarm leaves to the main loop: it ends a process only where that does not come round any more. */
#define GRACE_SECONDS 2
/* A sink that has stalled may never come out of its own way; nothing of it would arrive any more. */
#define STALLED_SECONDS 1

static const struct options *options;
static GstElement *pipeline;
static GMainLoop *loop;
static gint64 began;
static gboolean streaming, closing;
static int end_code = -1;
static guint end_seconds; /* that taking the pipeline down may need */

void course_open(const struct options *given, GstElement *made, GMainLoop *main_loop) {
    options = given;
    pipeline = made;
    loop = main_loop;
    end_seconds = MAX(options->stop, 1);
}

void course_begin(void) {
    began = g_get_monotonic_time();
}

gint64 course_began(void) {
    return began;
}

gboolean course_streaming(void) {
    return streaming;
}

gboolean course_closing(void) {
    return closing;
}

gboolean course_decided(void) {
    return end_code >= 0;
}

void course_update(gint64 now) {
    watch_update(now);
    if (!streaming && watch_totals(now).frame_age >= 0) {
        streaming = TRUE;
        status_state("streaming");
        report("streaming", "the first buffer within %" G_GINT64_FORMAT " ms", (now - began) / 1000);
    }
}

void course_decide(int code, const char *reason) {
    if (end_code >= 0) {
        return;
    }
    end_code = code;
    report(code == CODE_RESTART ? "restart" : code == CODE_GIVE_UP ? "give-up" : "stop", "%s", reason);
    /* Now, since taking the pipeline down may not come to its end. */
    status_end(code, reason);
    status_write();
}

static gboolean on_close_over(gpointer data) {
    char *reason = g_strdup_printf("the last fragment was not confirmed within %u s: it may be lost", options->stop);

    (void)data;
    course_decide(CODE_UNCLOSED, reason);
    g_free(reason);
    course_quit(TRUE);
    return G_SOURCE_REMOVE;
}

void course_close(void) {
    if (closing) {
        return;
    }
    closing = TRUE;
    if (!streaming) {
        course_quit(FALSE);
        return;
    }
    signals_deadline(options->stop + GRACE_SECONDS, end_code < 0 ? CODE_UNCLOSED : end_code,
                     "stuck while closing: ended");
    g_timeout_add(options->stop * 1000, on_close_over, NULL);
    gst_element_send_event(pipeline, gst_event_new_eos());
}

void course_quit(gboolean stalled) {
    end_seconds = stalled ? STALLED_SECONDS : end_seconds;
    g_main_loop_quit(loop);
}

int course_finish(void) {
    signals_deadline(end_seconds, end_code, "stuck while the pipeline was taken down: ended");
    gst_element_set_state(pipeline, GST_STATE_NULL);
    watch_update(g_get_monotonic_time());
    status_write();
    report("end", "exit %d", end_code);
    return end_code;
}
