#include "properties.h"

static const struct {
    const char *name, *initial;
} texts[TEXT_COUNT] = {
    {"stream-name", "DEFAULT_STREAM"}, {"user-agent", "AWS-SDK-KVS-CPP-CLIENT"}, {"content-type", "video/h264"},
    {"codec-id", "V_MPEG4/ISO/AVC"},   {"track-name", "kinesis_video"},          {"access-key", "access_key"},
    {"secret-key", "secret_key"},      {"session-token", "session_token"},       {"aws-region", ""},
    {"log-config", "../kvs_log_configuration"}, {"credential-path", ".kvs/credential"},
    {"fault", NULL}, {"dump", NULL},
};
static const struct {
    const char *name;
    guint initial;
} numbers[NUMBER_COUNT] = {
    {"retention-period", 2},       {"max-latency", 60},           {"fragment-duration", 2000},
    {"timecode-scale", 1},         {"framerate", 25},             {"avg-bandwidth-bps", 4194304},
    {"buffer-duration", 120},      {"replay-duration", 40},       {"connection-staleness", 60},
    {"rotation-period", 3600},     {"storage-size", 128},         {"stop-stream-timeout", 120},
    {"connection-timeout", 5},     {"completion-timeout", 10},    {"file-start-time", 0},
};
static const struct {
    const char *name;
    gboolean initial;
} switches[SWITCH_COUNT] = {
    {"key-frame-fragmentation", TRUE}, {"frame-timecodes", TRUE},     {"absolute-fragment-times", TRUE},
    {"fragment-acks", TRUE},           {"restart-on-error", TRUE},    {"recalculate-metrics", TRUE},
    {"allow-create-stream", TRUE},     {"disable-buffer-clipping", FALSE}, {"use-original-pts", FALSE},
    {"get-kvs-metrics", FALSE},
};
static const char *const structures[STRUCTURE_COUNT] = {"iot-certificate", "stream-tags"};

/* Property ids: from these on, in the order of the tables. */
enum { TEXTS = 1, NUMBERS = 100, SWITCHES = 200, STRUCTURES = 300, MODE = 400 };

static GType mode_type(void) {
    static const GEnumValue values[] = {
        {0, "live", "realtime"}, {1, "nearly live", "near-realtime"}, {2, "from a file", "offline"}, {0, NULL, NULL}};
    static GType type;

    if (type == 0) {
        type = g_enum_register_static("FakeKvsSinkStreamingType", values);
    }
    return type;
}

void properties_install(GObjectClass *class) {
    const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        const char *name = texts[i].name;

        g_object_class_install_property(class, TEXTS + i,
                                        g_param_spec_string(name, name, name, texts[i].initial, flags));
    }
    for (guint i = 0; i < G_N_ELEMENTS(numbers); i++) {
        const char *name = numbers[i].name;

        g_object_class_install_property(
            class, NUMBERS + i, g_param_spec_uint(name, name, name, 0, G_MAXUINT, numbers[i].initial, flags));
    }
    for (guint i = 0; i < G_N_ELEMENTS(switches); i++) {
        const char *name = switches[i].name;

        g_object_class_install_property(class, SWITCHES + i,
                                        g_param_spec_boolean(name, name, name, switches[i].initial, flags));
    }
    for (guint i = 0; i < G_N_ELEMENTS(structures); i++) {
        const char *name = structures[i];

        g_object_class_install_property(class, STRUCTURES + i,
                                        g_param_spec_boxed(name, name, name, GST_TYPE_STRUCTURE, flags));
    }
    g_object_class_install_property(
        class, MODE, g_param_spec_enum("streaming-type", "streaming-type", "streaming-type", mode_type(), 0, flags));
}

void properties_default(struct properties *properties) {
    for (guint i = 0; i < TEXT_COUNT; i++) {
        properties->text[i] = g_strdup(texts[i].initial);
    }
    for (guint i = 0; i < NUMBER_COUNT; i++) {
        properties->number[i] = numbers[i].initial;
    }
    for (guint i = 0; i < SWITCH_COUNT; i++) {
        properties->on[i] = switches[i].initial;
    }
}

void properties_set(struct properties *properties, guint id, const GValue *value) {
    if (id >= MODE) {
        properties->mode = g_value_get_enum(value);
    } else if (id >= STRUCTURES) {
        const GstStructure *given = gst_value_get_structure(value);

        g_clear_pointer(&properties->structure[id - STRUCTURES], gst_structure_free);
        properties->structure[id - STRUCTURES] = given != NULL ? gst_structure_copy(given) : NULL;
    } else if (id >= SWITCHES) {
        properties->on[id - SWITCHES] = g_value_get_boolean(value);
    } else if (id >= NUMBERS) {
        properties->number[id - NUMBERS] = g_value_get_uint(value);
    } else {
        g_free(properties->text[id - TEXTS]);
        properties->text[id - TEXTS] = g_value_dup_string(value);
    }
}

void properties_get(const struct properties *properties, guint id, GValue *value) {
    if (id >= MODE) {
        g_value_set_enum(value, properties->mode);
    } else if (id >= STRUCTURES) {
        gst_value_set_structure(value, properties->structure[id - STRUCTURES]);
    } else if (id >= SWITCHES) {
        g_value_set_boolean(value, properties->on[id - SWITCHES]);
    } else if (id >= NUMBERS) {
        g_value_set_uint(value, properties->number[id - NUMBERS]);
    } else {
        g_value_set_string(value, properties->text[id - TEXTS]);
    }
}

void properties_clear(struct properties *properties) {
    for (guint i = 0; i < TEXT_COUNT; i++) {
        g_clear_pointer(&properties->text[i], g_free);
    }
    for (guint i = 0; i < STRUCTURE_COUNT; i++) {
        g_clear_pointer(&properties->structure[i], gst_structure_free);
    }
}
