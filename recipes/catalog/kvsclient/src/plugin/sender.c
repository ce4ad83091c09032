/* A sender that really sends, by the code of the program kvsclient: a thread of its own speaks to the service, the pads'
 * threads fill a store. A service that is away is waited for; what it has not confirmed is sent again. */
#include "../element/sender.h"

#include <string.h>

#include "../report.h"
#include "../sending.h"
#include "../status.h"
#include "settings.h"

const struct sender_kind sender_kind = {
    "kvsclient", "KVS Sink (kvsclient)", "Sends to Kinesis Video Streams in kvssink's place, by code of our own", {NULL}};

struct sender {
    GstElement *element;
    struct properties *properties;
    struct settings settings;
    struct sending sending;
    struct frames *frames; /* NULL: not open */
    GThread *thread;
    gint leaving, failed; /* atomic */
    gint status;          /* atomic: the last one that was told */
    gint64 ending;        /* when the end was asked for, 0 before; under the lock */
    GMutex lock;
};

struct sender *sender_new(GstElement *element, struct properties *properties) {
    struct sender *sender = g_new0(struct sender, 1);

    sender->element = element;
    sender->properties = properties;
    g_mutex_init(&sender->lock);
    return sender;
}

void sender_free(struct sender *sender) {
    sender_close(sender);
    g_mutex_clear(&sender->lock);
    g_free(sender);
}

/* Returns FALSE where the thread is to end: the pipeline is taken down, or the last ack did not come in time. */
static gboolean on_tick(void *data) {
    struct sender *sender = data;
    gint64 ending;

    g_mutex_lock(&sender->lock);
    ending = sender->ending;
    g_mutex_unlock(&sender->lock);
    return !g_atomic_int_get(&sender->leaving) &&
           (ending == 0 || g_get_monotonic_time() - ending < sender->settings.options.stop * G_USEC_PER_SEC);
}

static void on_ack(guint connection, const struct ack *ack, void *data) {
    static const char *const events[] = {"UNDEFINED", "BUFFERING", "RECEIVED", "PERSISTED", "ERROR", "IDLE"};
    struct sender *sender = data;

    (void)connection;
    for (guint i = 1; i < G_N_ELEMENTS(events); i++) {
        if (strcmp(ack->event, events[i]) == 0) {
            element_tell_ack(sender->element, (enum ack_kind)i, ack->timed ? ack->timecode : 0, ack->fragment);
        }
    }
}

static void on_status(guint32 status, void *data) {
    struct sender *sender = data;

    g_atomic_int_set(&sender->status, (gint)status);
    element_tell_status(sender->element, status);
}

/* Ends the stream with what went wrong last, or with the status given where nobody has told any. */
static void fail(struct sender *sender, guint32 otherwise) {
    guint32 status = (guint32)g_atomic_int_get(&sender->status);

    g_atomic_int_set(&sender->failed, 1);
    element_fail(sender->element, status != 0 ? status : otherwise);
}

static gpointer run(gpointer data) {
    struct sender *sender = data;

    report_name(sender->settings.options.stream);
    switch (sending_run(&sender->sending)) {
    case SENT_ALL:
        element_end(sender->element);
        break;
    case SENT_LEFT:
        if (!g_atomic_int_get(&sender->leaving)) {
            report("stop", "the last fragment was not confirmed in time: it may be lost");
            fail(sender, STATUS_NO_ANSWER);
        }
        break;
    case SENT_NO_KEYS:
        on_status(STATUS_DENIED, sender);
        fail(sender, STATUS_DENIED);
        break;
    default:
        fail(sender, STATUS_NO_ANSWER);
        break;
    }
    return NULL;
}

static void open_line(struct sender *sender) {
    const struct options *options = &sender->settings.options;
    struct sending *sending = &sender->sending;

    *sending = (struct sending){.options = options, .line = upload_open()};
    sending->ears = (struct ears){.tick = on_tick, .ack = on_ack, .status = on_status, .data = sender};
    sending->store = fragments_open(&(struct keeping){
        .most = (gsize)options->buffer << 20,
        .waits = sender->properties->mode == MODE_OFFLINE,
        .acks = !options->unconfirmed,
        .changed = upload_wake,
        .data = sending->line,
    });
    sender->frames = frames_open(sending->store, &sender->settings.framing);
}

gboolean sender_open(struct sender *sender, gboolean video, gboolean audio) {
    const char *wrong = settings_read(&sender->settings, sender->properties, video, audio);
    guint32 status = 0;

    open_line(sender);
    sender->leaving = sender->failed = sender->status = 0;
    sender->ending = 0;
    if (wrong != NULL) {
        GST_ELEMENT_ERROR(sender->element, LIBRARY, SETTINGS, (NULL), ("%s", wrong));
        sender_close(sender);
        return FALSE;
    }
    report_name(sender->settings.options.stream);
    if (!sender->properties->on[ABSOLUTE_FRAGMENT_TIMES]) {
        report("note", "absolute-fragment-times=false: times are sent as absolute ones all the same");
    }
    if (sending_open(&sender->sending, sender->settings.media_type, &status) >= 0) {
        if (status != 0) {
            element_tell_status(sender->element, status);
        }
        element_fail_to_open(sender->element, status);
        sender_close(sender);
        return FALSE;
    }
    return TRUE;
}

void sender_start(struct sender *sender) {
    g_atomic_int_set(&sender->leaving, 0);
    sender->thread = g_thread_new("kvsclient", run, sender);
}

void sender_stop(struct sender *sender) {
    g_atomic_int_set(&sender->leaving, 1);
    fragments_hurry(sender->sending.store);
    upload_wake(sender->sending.line);
    g_clear_pointer(&sender->thread, g_thread_join);
}

void sender_close(struct sender *sender) {
    struct totals totals;

    if (sender->frames == NULL) {
        return;
    }
    totals = fragments_totals(sender->sending.store);
    if (totals.begun > 0) {
        report_name(sender->settings.options.stream);
        report("end",
               "%" G_GUINT64_FORMAT " fragments, %" G_GUINT64_FORMAT " confirmed, %" G_GUINT64_FORMAT
               " given up, %" G_GUINT64_FORMAT " sent again",
               totals.begun, totals.persisted, totals.lost, totals.sent_again);
    }
    report_name("-");
    sending_close(&sender->sending);
    g_clear_pointer(&sender->frames, frames_free);
    fragments_free(sender->sending.store);
    upload_close(sender->sending.line);
    settings_clear(&sender->settings);
}

/* Tracks are numbered as kvssink's: pictures first. */
static guint track_of(const struct sender *sender, GstPad *pad) {
    return is_video_pad(pad) ? 0 : sender->settings.framing.count - 1;
}

static gboolean is_right(struct sender *sender) {
    const char *fault = frames_fault(sender->frames);

    if (fault != NULL && g_atomic_int_compare_and_exchange(&sender->failed, 0, 1)) {
        GST_ELEMENT_ERROR(sender->element, STREAM, FORMAT, (NULL), ("%s", fault));
    }
    return fault == NULL;
}

gboolean sender_caps(struct sender *sender, GstPad *pad, GstCaps *caps) {
    report_name(sender->settings.options.stream);
    frames_track(sender->frames, track_of(sender, pad), caps);
    return is_right(sender);
}

/* When a frame was taken, ns; GST_CLOCK_TIME_NONE for one that is left out. */
static guint64 time_of(const struct sender *sender, const GstSegment *segment, GstBuffer *buffer) {
    guint64 time = GST_BUFFER_PTS_IS_VALID(buffer) ? GST_BUFFER_PTS(buffer) : GST_BUFFER_DTS(buffer);

    if (!sender->properties->on[FRAME_TIMECODES]) {
        return (guint64)g_get_monotonic_time() * GST_USECOND;
    }
    if (sender->settings.framing.absolute || !GST_CLOCK_TIME_IS_VALID(time)) {
        return time;
    }
    if (sender->properties->on[DISABLE_BUFFER_CLIPPING]) {
        time = CLAMP(time, segment->start, segment->stop);
    }
    return gst_segment_to_running_time(segment, GST_FORMAT_TIME, time);
}

GstFlowReturn sender_take(struct sender *sender, GstPad *pad, const GstSegment *segment, GstBuffer *buffer) {
    guint64 time = time_of(sender, segment, buffer);

    if (g_atomic_int_get(&sender->leaving)) {
        return GST_FLOW_FLUSHING;
    }
    if (g_atomic_int_get(&sender->failed)) {
        return GST_FLOW_ERROR;
    }
    if (GST_CLOCK_TIME_IS_VALID(time)) {
        report_name(sender->settings.options.stream);
        frames_take(sender->frames, track_of(sender, pad), time,
                    !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT), buffer);
    }
    return is_right(sender) ? GST_FLOW_OK : GST_FLOW_ERROR;
}

void sender_end(struct sender *sender, GstPad *pad, gboolean last) {
    frames_end(sender->frames, track_of(sender, pad));
    if (last) {
        g_mutex_lock(&sender->lock);
        sender->ending = g_get_monotonic_time();
        g_mutex_unlock(&sender->lock);
        fragments_finish(sender->sending.store);
    }
}

static gboolean plugin_init(GstPlugin *plugin) {
    return element_register(plugin);
}

#define PACKAGE "boardcast"
GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, kvsclient, "A kvssink that is the client kvsclient", plugin_init,
                  VERSION, "BSD", "boardcast", "https://gstreamer.freedesktop.org")
