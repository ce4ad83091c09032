#include "messages.h"

#include "causes.h"
#include "codes.h"
#include "course.h"
#include "report.h"

static GstElement *pipeline;
static gboolean done_at_end, live;

/* Says how an error ends the stream, and ends it. An error of the source leaves what came of it to be closed. */
static void end_with(GstMessage *message, struct verdict verdict, const char *reason) {
    GstObject *origin = GST_MESSAGE_SRC(message);
    gboolean of_sink = GST_IS_ELEMENT(origin) && GST_OBJECT_FLAG_IS_SET(origin, GST_ELEMENT_FLAG_SINK);

    if (course_closing() && !course_decided()) {
        course_decide(CODE_UNCLOSED, reason);
        course_quit(FALSE);
        return;
    }
    course_decide(verdict.code, reason);
    if (of_sink) {
        course_quit(FALSE);
    } else {
        course_close();
    }
}

static void on_error(GstMessage *message) {
    const char *name = GST_MESSAGE_SRC_NAME(message);
    GError *error = NULL;
    struct verdict verdict;
    char *debug = NULL, *reason;

    course_update(g_get_monotonic_time());
    gst_message_parse_error(message, &error, &debug);
    verdict = cause_of_error(error, debug, course_streaming());
    report_seldom("error", "%s: %s (%s)", name, error->message, debug != NULL ? debug : "");
    reason = g_strdup_printf("%s: %s", name, verdict.meaning != NULL ? verdict.meaning : error->message);
    end_with(message, verdict, reason);
    g_free(reason);
    g_free(debug);
    g_clear_error(&error);
}

static void on_warning(GstMessage *message) {
    const char *name = GST_MESSAGE_SRC_NAME(message);
    GError *error = NULL;
    char *debug = NULL;

    gst_message_parse_warning(message, &error, &debug);
    report_seldom("warning", "%s: %s (%s)", name, error->message, debug != NULL ? debug : "");
    g_free(debug);
    g_clear_error(&error);
}

static void on_end(void) {
    if (course_closing()) {
        course_decide(CODE_DONE, "as asked; the last fragment is closed");
    } else if (done_at_end) {
        course_decide(CODE_DONE, "the source is at its end");
    } else {
        course_decide(CODE_RESTART, "the source ended");
    }
    course_quit(FALSE);
}

/* As gst-launch-1.0: a source that is not live waits until enough has been read ahead. */
static void on_buffering(GstMessage *message) {
    gint percent = 0;

    gst_message_parse_buffering(message, &percent);
    if (!live && !course_closing()) {
        gst_element_set_state(pipeline, percent < 100 ? GST_STATE_PAUSED : GST_STATE_PLAYING);
    }
}

static gboolean on_message(GstBus *bus, GstMessage *message, gpointer data) {
    (void)bus;
    (void)data;
    switch (GST_MESSAGE_TYPE(message)) {
    case GST_MESSAGE_ERROR:
        on_error(message);
        break;
    case GST_MESSAGE_WARNING:
        on_warning(message);
        break;
    case GST_MESSAGE_EOS:
        on_end();
        break;
    case GST_MESSAGE_LATENCY:
        gst_bin_recalculate_latency(GST_BIN(pipeline));
        break;
    case GST_MESSAGE_BUFFERING:
        on_buffering(message);
        break;
    case GST_MESSAGE_CLOCK_LOST:
        gst_element_set_state(pipeline, GST_STATE_PAUSED);
        gst_element_set_state(pipeline, GST_STATE_PLAYING);
        break;
    case GST_MESSAGE_REQUEST_STATE: {
        GstState state;

        gst_message_parse_request_state(message, &state);
        gst_element_set_state(pipeline, state);
        break;
    }
    default:
        break;
    }
    return G_SOURCE_CONTINUE;
}

/* In the pipeline's threads: lets through what `on_message` has a use for, so that the rest wakes nobody up. */
static GstBusSyncReply choose(GstBus *bus, GstMessage *message, gpointer data) {
    const guint wanted = GST_MESSAGE_ERROR | GST_MESSAGE_WARNING | GST_MESSAGE_EOS | GST_MESSAGE_LATENCY |
                         GST_MESSAGE_BUFFERING | GST_MESSAGE_CLOCK_LOST | GST_MESSAGE_REQUEST_STATE;

    (void)bus;
    (void)data;
    /* Types beyond the mask share a bit of their own. */
    if (!GST_MESSAGE_TYPE_IS_EXTENDED(message) && ((guint)GST_MESSAGE_TYPE(message) & wanted) != 0) {
        return GST_BUS_PASS;
    }
    gst_message_unref(message);
    return GST_BUS_DROP;
}

void messages_open(GstElement *given, gboolean once) {
    GstBus *bus = gst_element_get_bus(given);

    pipeline = given;
    done_at_end = once;
    gst_bus_set_sync_handler(bus, choose, NULL, NULL);
    gst_bus_add_watch(bus, on_message, NULL);
    gst_object_unref(bus);
}

void messages_live(void) {
    live = TRUE;
}

void messages_take_failure(void) {
    GstBus *bus = gst_element_get_bus(pipeline);
    GstMessage *message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);

    if (message != NULL) {
        on_error(message);
        gst_message_unref(message);
    } else {
        course_decide(CODE_RESTART, "the pipeline cannot be started, and no element says why");
    }
    gst_object_unref(bus);
}
