#include "pipeline.h"

#include <gst/app/gstappsink.h>
#include <gst/gst.h>

#include "codes.h"
#include "frames.h"
#include "report.h"
#include "testpicture.h"

/* Frames that may wait in a sink for our thread: a few, since the store keeps what cannot be sent. */
#define MOST_QUEUED 16

static GstElement *pipeline;
static struct frames *frames;
static struct line *line;
static guint count;
static gint ended; /* tracks at their end; atomic */

static GstFlowReturn on_sample(GstAppSink *sink, gpointer data) {
    guint track = GPOINTER_TO_UINT(data);
    GstSample *sample = gst_app_sink_pull_sample(sink);
    GstBuffer *buffer = sample != NULL ? gst_sample_get_buffer(sample) : NULL;
    GstCaps *caps = sample != NULL ? gst_sample_get_caps(sample) : NULL;
    GstFlowReturn flow = GST_FLOW_OK;
    guint64 time;

    if (buffer == NULL || caps == NULL) {
        flow = GST_FLOW_EOS;
    } else if (!frames_track(frames, track, caps)) {
        flow = GST_FLOW_NOT_NEGOTIATED;
    } else if (GST_BUFFER_PTS_IS_VALID(buffer)) {
        time = gst_segment_to_running_time(gst_sample_get_segment(sample), GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
        if (GST_CLOCK_TIME_IS_VALID(time)) {
            frames_take(frames, track, time, !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT), buffer);
        }
    }
    if (sample != NULL) {
        gst_sample_unref(sample);
    }
    return flow;
}

static void on_end(GstAppSink *sink, gpointer data) {
    (void)sink;
    frames_end(frames, GPOINTER_TO_UINT(data));
    g_atomic_int_inc(&ended);
    upload_wake(line);
}

/* Takes the sink of a name as a track. Returns FALSE where there is none. */
static gboolean take_sink(const char *name, guint track) {
    GstAppSinkCallbacks callbacks = {.eos = on_end, .new_sample = on_sample};
    GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), name);
    gboolean good = sink != NULL && GST_IS_APP_SINK(sink);

    if (good) {
        g_object_set(sink, "sync", FALSE, "max-buffers", MOST_QUEUED, NULL);
        gst_app_sink_set_callbacks(GST_APP_SINK(sink), &callbacks, GUINT_TO_POINTER(track), NULL);
    }
    if (sink != NULL) {
        gst_object_unref(sink);
    }
    return good;
}

int pipeline_open(const struct options *options, struct store *store, struct line *given) {
    GError *error = NULL;
    char *described;

    if (options->test) {
        described = testpicture_describe(options);
        if (described == NULL) {
            return CODE_GIVE_UP;
        }
        pipeline = gst_parse_launch_full(described, NULL, GST_PARSE_FLAG_FATAL_ERRORS, &error);
        g_free(described);
    } else {
        pipeline = gst_parse_launchv_full((const char **)options->words, NULL, GST_PARSE_FLAG_FATAL_ERRORS, &error);
    }
    if (pipeline == NULL || !GST_IS_BIN(pipeline)) {
        report("give-up", "no pipeline: %s", error != NULL ? error->message : "one element alone");
        g_clear_error(&error);
        return CODE_GIVE_UP;
    }
    if (!take_sink("video", 0)) {
        report("give-up", "the pipeline has no `appsink name=video`");
        return CODE_GIVE_UP;
    }
    count = take_sink("audio", 1) ? 2 : 1;
    frames = frames_open(store, &(struct framing){.count = count, .audio = {FALSE, TRUE}, .by_key = TRUE});
    line = given;
    return -1;
}

const char *pipeline_media_type(void) {
    return count == 2 ? "video/h264,audio/aac" : "video/h264";
}

gboolean pipeline_start(void) {
    return gst_element_set_state(pipeline, GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE;
}

void pipeline_end(void) {
    gst_element_send_event(pipeline, gst_event_new_eos());
}

gboolean pipeline_ended(void) {
    return g_atomic_int_get(&ended) >= (gint)count;
}

const char *pipeline_fault(void) {
    static char text[256];
    GstBus *bus = gst_element_get_bus(pipeline);
    const char *fault = frames_fault(frames);
    GstMessage *message;

    while ((message = gst_bus_pop(bus)) != NULL) {
        if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
            GError *error = NULL;

            gst_message_parse_error(message, &error, NULL);
            g_snprintf(text, sizeof text, "%s: %s", GST_MESSAGE_SRC_NAME(message), error->message);
            g_clear_error(&error);
            fault = fault != NULL ? fault : text;
        } else if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_LATENCY) {
            gst_bin_recalculate_latency(GST_BIN(pipeline));
        }
        gst_message_unref(message);
    }
    gst_object_unref(bus);
    return fault;
}

void pipeline_close(void) {
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
    frames_free(frames);
}
