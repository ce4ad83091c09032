/* An element named kvssink: the pads, caps, signals and properties of the SDK's own, and its words for what goes wrong.
 * What is done with the frames is the sender's business.
 *
 * As the real one it takes frames as fast as they come. */
#include <gst/gst.h>
#include <string.h>

#include "sender.h"

/* FragmentAck of the SDK's client: what the real one's signal points to. */
struct fragment_ack {
    guint32 version;
    gint type;
    guint64 timestamp;
    char sequence[129];
    guint32 result;
};

typedef struct {
    GstElement parent;
    struct properties properties;
    struct sender *sender;
    gint pads, ended; /* atomic */
} KvsSink;

typedef struct {
    GstElementClass parent;
} KvsSinkClass;

static guint signal_ack, signal_error;

/* The type's name is the plugin's own: two of them can be in one process. */
static GType kvs_sink_get_type(void);
static void kvs_sink_class_init(gpointer class, gpointer data);
static void kvs_sink_init(GTypeInstance *instance, gpointer class);
static gpointer parent_class;

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
    properties_set(&((KvsSink *)object)->properties, id, value);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *spec) {
    (void)spec;
    properties_get(&((KvsSink *)object)->properties, id, value);
}

static const char *stream_name(GstElement *element) {
    const char *name = ((KvsSink *)element)->properties.text[STREAM_NAME];

    return name != NULL ? name : "";
}

void element_tell_ack(GstElement *element, enum ack_kind kind, guint64 timecode, const char *number) {
    struct fragment_ack ack = {.version = 0, .type = kind, .timestamp = timecode};

    g_strlcpy(ack.sequence, number, sizeof ack.sequence);
    g_signal_emit(element, signal_ack, 0, &ack);
}

void element_tell_status(GstElement *element, guint32 status) {
    g_signal_emit(element, signal_error, 0, (guint64)status);
}

void element_fail(GstElement *element, guint32 status) {
    GST_ELEMENT_ERROR(element, STREAM, FAILED, (NULL),
                      ("[%s] Stream error occurred. Status: 0x%08x", stream_name(element), status));
}

void element_fail_to_open(GstElement *element, guint32 status) {
    char *tail = status != 0 ? g_strdup_printf(" Error status: 0x%x", status) : g_strdup("");

    GST_ELEMENT_ERROR(
        element, LIBRARY, INIT, (NULL),
        ("Failed to create stream. Error:  Unable to create Kinesis Video stream. %s%s", stream_name(element), tail));
    g_free(tail);
}

void element_end(GstElement *element) {
    gst_element_post_message(element, gst_message_new_eos(GST_OBJECT(element)));
}

/* The segment that a pad is in is its own, kept with the pad. */
static GstSegment *segment_of(GstPad *pad) {
    return gst_pad_get_element_private(pad);
}

static GstFlowReturn chain(GstPad *pad, GstObject *parent, GstBuffer *buffer) {
    GstFlowReturn answer = sender_take(((KvsSink *)parent)->sender, pad, segment_of(pad), buffer);

    gst_buffer_unref(buffer);
    return answer;
}

static gboolean on_event(GstPad *pad, GstObject *parent, GstEvent *event) {
    KvsSink *sink = (KvsSink *)parent;
    gboolean good = TRUE;
    GstCaps *caps;

    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_CAPS:
        gst_event_parse_caps(event, &caps);
        good = sender_caps(sink->sender, pad, caps);
        break;
    case GST_EVENT_SEGMENT:
        gst_event_copy_segment(event, segment_of(pad));
        break;
    case GST_EVENT_EOS:
        sender_end(sink->sender, pad, g_atomic_int_add(&sink->ended, 1) + 1 == g_atomic_int_get(&sink->pads));
        break;
    default:
        break;
    }
    return gst_pad_event_default(pad, parent, event) && good;
}

static GstPad *request_pad(GstElement *element, GstPadTemplate *given, const gchar *wanted, const GstCaps *caps) {
    KvsSink *sink = (KvsSink *)element;
    gboolean video = strcmp(GST_PAD_TEMPLATE_NAME_TEMPLATE(given), "video_%u") == 0;
    const char *name = video ? "video_0" : "audio_0";
    GstPad *pad = gst_element_get_static_pad(element, name);
    GstSegment *segment;

    (void)wanted;
    (void)caps;
    if (pad != NULL) {
        gst_object_unref(pad);
        return NULL; /* one track of each kind, as the real one */
    }
    pad = gst_pad_new_from_template(given, name);
    segment = gst_segment_new();
    gst_segment_init(segment, GST_FORMAT_TIME);
    gst_pad_set_element_private(pad, segment);
    gst_pad_set_chain_function(pad, chain);
    gst_pad_set_event_function(pad, on_event);
    g_atomic_int_inc(&sink->pads);
    gst_element_add_pad(element, pad);
    return pad;
}

static void release_pad(GstElement *element, GstPad *pad) {
    GstSegment *segment = segment_of(pad);

    g_atomic_int_add(&((KvsSink *)element)->pads, -1);
    gst_pad_set_active(pad, FALSE);
    gst_pad_set_element_private(pad, NULL);
    gst_segment_free(segment);
    gst_element_remove_pad(element, pad);
}

static gboolean has_pad(GstElement *element, const char *name) {
    GstPad *pad = gst_element_get_static_pad(element, name);

    if (pad == NULL) {
        return FALSE;
    }
    gst_object_unref(pad);
    return TRUE;
}

static GstStateChangeReturn change_state(GstElement *element, GstStateChange change) {
    KvsSink *sink = (KvsSink *)element;
    GstStateChangeReturn answer;

    if (change == GST_STATE_CHANGE_NULL_TO_READY &&
        !sender_open(sink->sender, has_pad(element, "video_0"), has_pad(element, "audio_0"))) {
        return GST_STATE_CHANGE_FAILURE;
    }
    if (change == GST_STATE_CHANGE_READY_TO_PAUSED) {
        g_atomic_int_set(&sink->ended, 0);
        sender_start(sink->sender);
    } else if (change == GST_STATE_CHANGE_PAUSED_TO_READY) {
        sender_stop(sink->sender);
    }
    answer = GST_ELEMENT_CLASS(parent_class)->change_state(element, change);
    if (change == GST_STATE_CHANGE_READY_TO_NULL) {
        sender_close(sink->sender);
    }
    return answer;
}

static void dispose(GObject *object) {
    GstElement *element = GST_ELEMENT(object);

    /* Pads that nobody released: their segments go with them. */
    while (element->sinkpads != NULL) {
        release_pad(element, element->sinkpads->data);
    }
    G_OBJECT_CLASS(parent_class)->dispose(object);
}

static void finalize(GObject *object) {
    KvsSink *sink = (KvsSink *)object;

    sender_free(sink->sender);
    properties_clear(&sink->properties);
    G_OBJECT_CLASS(parent_class)->finalize(object);
}

static void kvs_sink_init(GTypeInstance *instance, gpointer class) {
    KvsSink *sink = (KvsSink *)instance;

    (void)class;
    properties_default(&sink->properties);
    sink->sender = sender_new(GST_ELEMENT(sink), &sink->properties);
    GST_OBJECT_FLAG_SET(sink, GST_ELEMENT_FLAG_SINK);
}

static void kvs_sink_class_init(gpointer class, gpointer data) {
    GObjectClass *object = G_OBJECT_CLASS(class);
    GstElementClass *element = GST_ELEMENT_CLASS(class);

    (void)data;
    parent_class = g_type_class_peek_parent(class);
    object->set_property = set_property;
    object->get_property = get_property;
    object->dispose = dispose;
    object->finalize = finalize;
    properties_install(object);
    element->change_state = change_state;
    element->request_new_pad = request_pad;
    element->release_pad = release_pad;
    gst_element_class_add_static_pad_template(element, &audio_pads);
    gst_element_class_add_static_pad_template(element, &video_pads);
    gst_element_class_set_static_metadata(element, sender_kind.name, "Sink/Video/Network", sender_kind.description,
                                          "Boardcast");
    signal_error = g_signal_new("stream-error", G_TYPE_FROM_CLASS(class), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                G_TYPE_NONE, 1, G_TYPE_UINT64);
    signal_ack = g_signal_new("fragment-ack", G_TYPE_FROM_CLASS(class), G_SIGNAL_ACTION, 0, NULL, NULL, NULL,
                              G_TYPE_NONE, 1, G_TYPE_POINTER);
    g_signal_new("stream-client-metric", G_TYPE_FROM_CLASS(class), G_SIGNAL_ACTION, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
                 G_TYPE_POINTER);
}

static GType kvs_sink_get_type(void) {
    static gsize type;

    if (g_once_init_enter(&type)) {
        const GTypeInfo info = {.class_size = sizeof(KvsSinkClass), .class_init = kvs_sink_class_init,
                                .instance_size = sizeof(KvsSink), .instance_init = kvs_sink_init};
        char *name = g_strconcat("KvsSink-", sender_kind.plugin, NULL);

        g_once_init_leave(&type, g_type_register_static(GST_TYPE_ELEMENT, name, &info, 0));
        g_free(name);
    }
    return type;
}

gboolean element_register(GstPlugin *plugin) {
    return gst_element_register(plugin, "kvssink", GST_RANK_NONE, kvs_sink_get_type());
}
