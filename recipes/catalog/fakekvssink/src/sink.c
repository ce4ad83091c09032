/* An element named kvssink, for tests. It has the pads, the caps, the signals and the properties of the real one, tells
 * errors in its words, and sends nothing anywhere.
 *
 * Two properties are its own, and have a variable each, since a rendered pipeline knows neither: `fault`
 * (FAKEKVSSINK_FAULT, see fault.h) and `dump` (FAKEKVSSINK_DUMP, see dump.h).
 *
 * As the real one it takes frames as fast as they come, begins a fragment at every key frame (sound alone: every
 * fragment-duration), and tells for each one that ends the acks BUFFERING, RECEIVED and PERSISTED. */
#include <gst/gst.h>
#include <signal.h>
#include <string.h>

#include "dump.h"
#include "fault.h"
#include "properties.h"

/* FragmentAck of the SDK's client: what the real one's signal points to. */
struct fragment_ack {
    guint32 version;
    gint type;
    guint64 timestamp;
    char sequence[129];
    guint32 result;
};
static const char *const ack_names[] = {"UNDEFINED", "BUFFERING", "RECEIVED", "PERSISTED"};

typedef struct {
    GstElement parent;
    struct properties properties;
    struct fault fault;
    struct dump dump;
    /* Below: of the pads' threads, under the lock. */
    GMutex lock;
    GCond taken_down;
    gboolean down;
    guint64 frames, fragment;
    GstClockTime fragment_start;
    guint pads, ended, videos;
    GSList *kept; /* what is leaked */
} FakeSink;

typedef struct {
    GstElementClass parent;
} FakeSinkClass;

static guint signal_ack, signal_error;

G_DEFINE_TYPE(FakeSink, fake_sink, GST_TYPE_ELEMENT)

static GstStaticPadTemplate audio_pads = GST_STATIC_PAD_TEMPLATE(
    "audio_%u", GST_PAD_SINK, GST_PAD_REQUEST,
    GST_STATIC_CAPS("audio/mpeg, mpegversion=(int){2,4}, stream-format=(string)raw, channels=(int)[1,MAX], "
                    "rate=(int)[1,MAX];"
                    "audio/x-alaw, channels=(int){1,2}, rate=(int)[8000,192000];"
                    "audio/x-mulaw, channels=(int){1,2}, rate=(int)[8000,192000]"));
static GstStaticPadTemplate video_pads = GST_STATIC_PAD_TEMPLATE(
    "video_%u", GST_PAD_SINK, GST_PAD_REQUEST,
    GST_STATIC_CAPS("video/x-h264, stream-format=(string)avc, alignment=(string)au, width=(int)[16,MAX], "
                    "height=(int)[16,MAX];"
                    "video/x-h265, alignment=(string)au, width=(int)[16,MAX], height=(int)[16,MAX]"));

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec) {
    (void)spec;
    properties_set(&((FakeSink *)object)->properties, id, value);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *spec) {
    (void)spec;
    properties_get(&((FakeSink *)object)->properties, id, value);
}

static void tell_error(FakeSink *sink) {
    g_signal_emit(sink, signal_error, 0, sink->fault.value);
    GST_ELEMENT_ERROR(sink, STREAM, FAILED, (NULL),
                      ("[%s] Stream error occurred. Status: 0x%08x", sink->properties.text[STREAM_NAME],
                       (guint)sink->fault.value));
}

/* Waits until the pipeline is taken down, or for ever. Under the lock. */
static void wait_stalled(FakeSink *sink) {
    while (sink->fault.kind == FAULT_HANG || !sink->down) {
        g_cond_wait(&sink->taken_down, &sink->lock);
    }
}

/* Does what should go wrong with this frame. Under the lock. */
static GstFlowReturn suffer(FakeSink *sink) {
    if (sink->fault.kind == FAULT_NONE || sink->frames < sink->fault.frame) {
        return GST_FLOW_OK;
    }
    switch (sink->fault.kind) {
    case FAULT_STALL:
    case FAULT_HANG:
        wait_stalled(sink);
        return GST_FLOW_FLUSHING;
    case FAULT_SLOW:
        g_usleep(sink->fault.value * 1000);
        return GST_FLOW_OK;
    case FAULT_WARN:
        GST_ELEMENT_WARNING(sink, RESOURCE, WRITE, (NULL),
                            ("put frame error occurred. Status: 0x%08x", (guint)sink->fault.value));
        return GST_FLOW_OK;
    case FAULT_LEAK:
        sink->kept = g_slist_prepend(sink->kept, g_malloc(sink->fault.value * 1024));
        memset(sink->kept->data, 1, sink->fault.value * 1024);
        return GST_FLOW_OK;
    case FAULT_CRASH:
        raise(SIGSEGV);
        return GST_FLOW_ERROR;
    case FAULT_ERROR:
        tell_error(sink);
        return GST_FLOW_ERROR;
    case FAULT_TELL:
        g_signal_emit(sink, signal_error, 0, sink->fault.value);
        return GST_FLOW_OK;
    default:
        return GST_FLOW_OK;
    }
}

/* Whether the service is silent. Under the lock. */
static gboolean is_mute(const FakeSink *sink) {
    return (sink->fault.kind == FAULT_MUTE || sink->fault.kind == FAULT_TELL) && sink->frames >= sink->fault.frame;
}

/* Ends the fragment that is open, as the service would confirm it. Under the lock. */
static void end_fragment(FakeSink *sink) {
    struct fragment_ack ack = {.version = 0, .timestamp = sink->fragment_start / GST_MSECOND};

    if (sink->fragment == 0 || is_mute(sink) || !sink->properties.on[FRAGMENT_ACKS]) {
        return;
    }
    g_snprintf(ack.sequence, sizeof ack.sequence, "%" G_GUINT64_FORMAT, sink->fragment);
    for (ack.type = 1; ack.type <= 3; ack.type++) {
        dump_ack(&sink->dump, ack_names[ack.type], sink->fragment);
        g_signal_emit(sink, signal_ack, 0, &ack);
    }
}

static void begin_fragment(FakeSink *sink, GstPad *pad, GstBuffer *buffer) {
    gboolean video = GST_PAD_NAME(pad)[0] == 'v';
    GstClockTime time = GST_BUFFER_PTS(buffer);
    GstClockTime length = sink->properties.number[FRAGMENT_DURATION] * GST_MSECOND;
    gboolean key = !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);

    if (sink->videos > 0 ? video && key : sink->fragment == 0 || time >= sink->fragment_start + length) {
        end_fragment(sink);
        sink->fragment++;
        sink->fragment_start = time;
    }
}

static GstFlowReturn chain(GstPad *pad, GstObject *parent, GstBuffer *buffer) {
    FakeSink *sink = (FakeSink *)parent;
    GstFlowReturn answer;

    g_mutex_lock(&sink->lock);
    answer = suffer(sink);
    if (answer == GST_FLOW_OK) {
        begin_fragment(sink, pad, buffer);
        dump_frame(&sink->dump, GST_PAD_NAME(pad), buffer, sink->fragment);
        sink->frames++;
    }
    g_mutex_unlock(&sink->lock);
    gst_buffer_unref(buffer);
    return answer;
}

/* The last of the pads to end closes the stream: the open fragment is confirmed, and the pipeline is told. */
static void end_pad(FakeSink *sink) {
    gboolean last;

    g_mutex_lock(&sink->lock);
    last = ++sink->ended == sink->pads;
    if (last && is_mute(sink)) {
        wait_stalled(sink); /* the real one waits for its ack */
        last = FALSE;
    } else if (last) {
        end_fragment(sink);
        dump_end(&sink->dump, sink->frames);
    }
    g_mutex_unlock(&sink->lock);
    if (last) {
        gst_element_post_message(GST_ELEMENT(sink), gst_message_new_eos(GST_OBJECT(sink)));
    }
}

static gboolean on_event(GstPad *pad, GstObject *parent, GstEvent *event) {
    FakeSink *sink = (FakeSink *)parent;

    if (GST_EVENT_TYPE(event) == GST_EVENT_CAPS) {
        GstCaps *caps;

        gst_event_parse_caps(event, &caps);
        g_mutex_lock(&sink->lock);
        dump_caps(&sink->dump, GST_PAD_NAME(pad), caps);
        g_mutex_unlock(&sink->lock);
    } else if (GST_EVENT_TYPE(event) == GST_EVENT_EOS) {
        end_pad(sink);
    }
    return gst_pad_event_default(pad, parent, event);
}

static GstPad *request_pad(GstElement *element, GstPadTemplate *given, const gchar *wanted, const GstCaps *caps) {
    FakeSink *sink = (FakeSink *)element;
    gboolean video = strcmp(GST_PAD_TEMPLATE_NAME_TEMPLATE(given), "video_%u") == 0;
    const char *name = video ? "video_0" : "audio_0";
    GstPad *pad = gst_element_get_static_pad(element, name);

    (void)wanted;
    (void)caps;
    if (pad != NULL) {
        gst_object_unref(pad);
        return NULL; /* one track of each kind, as the real one */
    }
    pad = gst_pad_new_from_template(given, name);
    gst_pad_set_chain_function(pad, chain);
    gst_pad_set_event_function(pad, on_event);
    g_mutex_lock(&sink->lock);
    sink->pads++;
    sink->videos += video ? 1 : 0;
    g_mutex_unlock(&sink->lock);
    gst_element_add_pad(element, pad);
    return pad;
}

static void release_pad(GstElement *element, GstPad *pad) {
    FakeSink *sink = (FakeSink *)element;

    g_mutex_lock(&sink->lock);
    sink->pads--;
    sink->videos -= GST_PAD_NAME(pad)[0] == 'v' ? 1 : 0;
    g_mutex_unlock(&sink->lock);
    gst_element_remove_pad(element, pad);
}

/* What the real one does when it becomes READY: talks to its service, and says so in these words where that fails. */
static gboolean create_stream(FakeSink *sink) {
    char **text = sink->properties.text;
    const char *fault = text[FAULT] != NULL ? text[FAULT] : g_getenv("FAKEKVSSINK_FAULT");
    const char *folder = text[DUMP] != NULL ? text[DUMP] : g_getenv("FAKEKVSSINK_DUMP");

    if (!fault_read(fault, &sink->fault)) {
        GST_ELEMENT_ERROR(sink, LIBRARY, SETTINGS, (NULL), ("%s is no fault", fault));
        return FALSE;
    }
    if (folder != NULL && !dump_open(&sink->dump, folder)) {
        GST_ELEMENT_ERROR(sink, RESOURCE, OPEN_WRITE, (NULL), ("nothing can be written in %s", folder));
        return FALSE;
    }
    if (sink->fault.kind == FAULT_ERROR && sink->fault.frame == 0) {
        GST_ELEMENT_ERROR(sink, LIBRARY, INIT, (NULL),
                          ("Failed to create stream. Error:  Unable to create Kinesis Video stream. %s "
                           "Error status: 0x%x",
                           text[STREAM_NAME], (guint)sink->fault.value));
        return FALSE;
    }
    return TRUE;
}

static void set_down(FakeSink *sink, gboolean down) {
    if (sink->fault.kind == FAULT_HANG && down) {
        g_usleep(G_MAXULONG); /* no lock of another thread is needed to be stuck */
    }
    g_mutex_lock(&sink->lock);
    sink->down = down;
    g_cond_broadcast(&sink->taken_down);
    g_mutex_unlock(&sink->lock);
}

static GstStateChangeReturn change_state(GstElement *element, GstStateChange change) {
    FakeSink *sink = (FakeSink *)element;
    GstStateChangeReturn answer;

    if (change == GST_STATE_CHANGE_NULL_TO_READY && !create_stream(sink)) {
        return GST_STATE_CHANGE_FAILURE;
    }
    if (change == GST_STATE_CHANGE_READY_TO_PAUSED || change == GST_STATE_CHANGE_PAUSED_TO_READY) {
        set_down(sink, change == GST_STATE_CHANGE_PAUSED_TO_READY);
    }
    answer = GST_ELEMENT_CLASS(fake_sink_parent_class)->change_state(element, change);
    if (change == GST_STATE_CHANGE_READY_TO_NULL) {
        dump_close(&sink->dump);
    }
    return answer;
}

static void finalize(GObject *object) {
    FakeSink *sink = (FakeSink *)object;

    properties_clear(&sink->properties);
    g_mutex_clear(&sink->lock);
    g_cond_clear(&sink->taken_down);
    G_OBJECT_CLASS(fake_sink_parent_class)->finalize(object);
}

static void fake_sink_init(FakeSink *sink) {
    properties_default(&sink->properties);
    g_mutex_init(&sink->lock);
    g_cond_init(&sink->taken_down);
    GST_OBJECT_FLAG_SET(sink, GST_ELEMENT_FLAG_SINK);
}

static void fake_sink_class_init(FakeSinkClass *class) {
    GObjectClass *object = G_OBJECT_CLASS(class);
    GstElementClass *element = GST_ELEMENT_CLASS(class);

    object->set_property = set_property;
    object->get_property = get_property;
    object->finalize = finalize;
    properties_install(object);
    element->change_state = change_state;
    element->request_new_pad = request_pad;
    element->release_pad = release_pad;
    gst_element_class_add_static_pad_template(element, &audio_pads);
    gst_element_class_add_static_pad_template(element, &video_pads);
    gst_element_class_set_static_metadata(element, "KVS Sink (fake)", "Sink/Video/Network",
                                          "Takes kvssink's place in tests; nothing leaves the machine", "Boardcast");
    signal_error = g_signal_new("stream-error", G_TYPE_FROM_CLASS(class), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                G_TYPE_NONE, 1, G_TYPE_UINT64);
    signal_ack = g_signal_new("fragment-ack", G_TYPE_FROM_CLASS(class), G_SIGNAL_ACTION, 0, NULL, NULL, NULL,
                              G_TYPE_NONE, 1, G_TYPE_POINTER);
    g_signal_new("stream-client-metric", G_TYPE_FROM_CLASS(class), G_SIGNAL_ACTION, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
                 G_TYPE_POINTER);
}

static gboolean plugin_init(GstPlugin *plugin) {
    return gst_element_register(plugin, "kvssink", GST_RANK_NONE, fake_sink_get_type());
}

#define PACKAGE "boardcast"
GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, fakekvssink, "A kvssink for tests", plugin_init, "1.0", "BSD",
                  "boardcast", "https://gstreamer.freedesktop.org")
