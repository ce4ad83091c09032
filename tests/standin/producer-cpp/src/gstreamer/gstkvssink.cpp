/* kvssink as an element: it takes frames, counts them and tells; nothing leaves the machine. */
#include "KinesisVideoProducer.h"
#include <com/amazonaws/kinesis/video/cproducer/Include.h>
#include <cstring>
#include <gst/base/gstbasesink.h>
#include <gst/gst.h>

#define PACKAGE "kvssinkpackage"

struct Text {
    const char *name, *initial;
};
struct Number {
    const char *name;
    guint initial;
};
static const Text texts[] = {{"stream-name", "DEFAULT_STREAM"},
                             {"aws-region", ""},
                             {"log-config", "../kvs_log_configuration"},
                             {"credential-path", ".kvs/credential"}};
static const Number numbers[] = {{"storage-size", 128},      {"framerate", 25},        {"retention-period", 2},
                                 {"fragment-duration", 2000}, {"buffer-duration", 120}, {"file-start-time", 0}};
static const guint text_count = G_N_ELEMENTS(texts), number_count = G_N_ELEMENTS(numbers);
/* Property ids: the texts from 1, the numbers after them, the mode last. */
static const guint mode_id = text_count + number_count + 1;

struct GstKvsSink {
    GstBaseSink parent;
    gchar *text[text_count];
    guint number[number_count];
    gint mode;
    kvs::Producer *producer;
};
struct GstKvsSinkClass {
    GstBaseSinkClass parent;
};
G_DEFINE_TYPE(GstKvsSink, gst_kvs_sink, GST_TYPE_BASE_SINK)
#define KVS_SINK(object) (reinterpret_cast<GstKvsSink *>(object))

static GType mode_type() {
    static const GEnumValue values[] = {{0, "live", "realtime"},
                                        {1, "nearly live", "near-realtime"},
                                        {2, "from a file", "offline"},
                                        {0, nullptr, nullptr}};
    static const GType type = g_enum_register_static("GstKvsSinkStreamingType", values);
    return type;
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *) {
    GstKvsSink *sink = KVS_SINK(object);
    if (id == mode_id) {
        sink->mode = g_value_get_enum(value);
    } else if (id > text_count) {
        sink->number[id - text_count - 1] = g_value_get_uint(value);
    } else {
        g_free(sink->text[id - 1]);
        sink->text[id - 1] = g_value_dup_string(value);
    }
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *) {
    GstKvsSink *sink = KVS_SINK(object);
    if (id == mode_id) {
        g_value_set_enum(value, sink->mode);
    } else if (id > text_count) {
        g_value_set_uint(value, sink->number[id - text_count - 1]);
    } else {
        g_value_set_string(value, sink->text[id - 1]);
    }
}

static const char *text_of(GstKvsSink *sink, const char *name) {
    for (guint i = 0; i < text_count; i++) {
        if (std::strcmp(texts[i].name, name) == 0 && sink->text[i] != nullptr) {
            return sink->text[i];
        }
    }
    return "";
}

static gboolean start(GstBaseSink *base) {
    GstKvsSink *sink = KVS_SINK(base);
    kvs::configure_log(text_of(sink, "log-config"));
    if (kvs::Producer::region(text_of(sink, "aws-region")).empty()) {
        GST_ELEMENT_ERROR(base, RESOURCE, SETTINGS, ("no aws-region and no AWS_DEFAULT_REGION"), (nullptr));
        return FALSE;
    }
    LOG4CPLUS_DEBUG(kvs::logger(), "kvssink on C producer " << kvsProducerVersion());
    sink->producer = new kvs::Producer(text_of(sink, "stream-name"));
    return sink->producer->start();
}

static gboolean stop(GstBaseSink *base) {
    GstKvsSink *sink = KVS_SINK(base);
    if (sink->producer != nullptr) {
        LOG4CPLUS_INFO(kvs::logger(), sink->producer->report());
        delete sink->producer;
        sink->producer = nullptr;
    }
    return TRUE;
}

static GstFlowReturn render(GstBaseSink *base, GstBuffer *buffer) {
    GstMapInfo map;
    if (!gst_buffer_map(buffer, &map, GST_MAP_READ)) {
        return GST_FLOW_ERROR;
    }
    KVS_SINK(base)->producer->put(map.data, map.size);
    gst_buffer_unmap(buffer, &map);
    return GST_FLOW_OK;
}

static void finalize(GObject *object) {
    for (gchar *text : KVS_SINK(object)->text) {
        g_free(text);
    }
    G_OBJECT_CLASS(gst_kvs_sink_parent_class)->finalize(object);
}

static void gst_kvs_sink_class_init(GstKvsSinkClass *type) {
    static GstStaticPadTemplate pad = GST_STATIC_PAD_TEMPLATE(
        "sink", GST_PAD_SINK, GST_PAD_ALWAYS,
        GST_STATIC_CAPS("video/x-h264,stream-format=avc,alignment=au; video/x-h265,alignment=au; "
                        "audio/mpeg,stream-format=raw; audio/x-alaw; audio/x-mulaw"));
    const auto flags = static_cast<GParamFlags>(G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS);
    GObjectClass *object = G_OBJECT_CLASS(type);
    object->set_property = set_property;
    object->get_property = get_property;
    object->finalize = finalize;
    guint id = 0;
    for (const Text &one : texts) {
        g_object_class_install_property(object, ++id,
                                        g_param_spec_string(one.name, one.name, one.name, one.initial, flags));
    }
    for (const Number &one : numbers) {
        g_object_class_install_property(
            object, ++id, g_param_spec_uint(one.name, one.name, one.name, 0, G_MAXUINT, one.initial, flags));
    }
    g_object_class_install_property(
        object, mode_id, g_param_spec_enum("streaming-type", "mode", "how frames come", mode_type(), 0, flags));

    GstElementClass *element = GST_ELEMENT_CLASS(type);
    gst_element_class_add_static_pad_template(element, &pad);
    gst_element_class_set_static_metadata(element, "KVS Sink", "Sink/Video/Network", "GStreamer AWS KVS plugin",
                                          "AWS KVS <kinesis-video-support@amazon.com>");
    GstBaseSinkClass *base = GST_BASE_SINK_CLASS(type);
    base->start = start;
    base->stop = stop;
    base->render = render;
}

static void gst_kvs_sink_init(GstKvsSink *sink) {
    gst_base_sink_set_sync(GST_BASE_SINK(sink), FALSE);
}

static gboolean plugin_init(GstPlugin *plugin) {
    return gst_element_register(plugin, "kvssink", GST_RANK_PRIMARY + 10, gst_kvs_sink_get_type());
}

GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, kvssink, "GStreamer AWS KVS plugin", plugin_init, "1.0",
                  "Proprietary", "GStreamer", "http://gstreamer.net/")
