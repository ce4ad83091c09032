#include "properties.h"

#include "sender.h"

static const struct {
    const char *name, *initial;
} texts[EXTRA] = {
    [STREAM_NAME] = {"stream-name", "DEFAULT_STREAM"},
    [USER_AGENT] = {"user-agent", "AWS-SDK-KVS-CPP-CLIENT"},
    [CONTENT_TYPE] = {"content-type", "video/h264"},
    [CODEC_ID] = {"codec-id", "V_MPEG4/ISO/AVC"},
    [TRACK_NAME] = {"track-name", "kinesis_video"},
    [ACCESS_KEY] = {"access-key", "access_key"},
    [SECRET_KEY] = {"secret-key", "secret_key"},
    [SESSION_TOKEN] = {"session-token", "session_token"},
    [AWS_REGION] = {"aws-region", ""},
    [LOG_CONFIG] = {"log-config", "../kvs_log_configuration"},
    [CREDENTIAL_PATH] = {"credential-path", ".kvs/credential"},
};
static const struct {
    const char *name;
    guint initial;
} numbers[NUMBER_COUNT] = {
    [RETENTION_PERIOD] = {"retention-period", 2},
    [MAX_LATENCY] = {"max-latency", 60},
    [FRAGMENT_DURATION] = {"fragment-duration", 2000},
    [TIMECODE_SCALE] = {"timecode-scale", 1},
    [FRAMERATE] = {"framerate", 25},
    [AVG_BANDWIDTH_BPS] = {"avg-bandwidth-bps", 4194304},
    [BUFFER_DURATION] = {"buffer-duration", 120},
    [REPLAY_DURATION] = {"replay-duration", 40},
    [CONNECTION_STALENESS] = {"connection-staleness", 60},
    [ROTATION_PERIOD] = {"rotation-period", 3600},
    [STORAGE_SIZE] = {"storage-size", 128},
    [STOP_STREAM_TIMEOUT] = {"stop-stream-timeout", 120},
    [CONNECTION_TIMEOUT] = {"connection-timeout", 5},
    [COMPLETION_TIMEOUT] = {"completion-timeout", 10},
    [FILE_START_TIME] = {"file-start-time", 0},
};
static const struct {
    const char *name;
    gboolean initial;
} switches[SWITCH_COUNT] = {
    [KEY_FRAME_FRAGMENTATION] = {"key-frame-fragmentation", TRUE},
    [FRAME_TIMECODES] = {"frame-timecodes", TRUE},
    [ABSOLUTE_FRAGMENT_TIMES] = {"absolute-fragment-times", TRUE},
    [FRAGMENT_ACKS] = {"fragment-acks", TRUE},
    [RESTART_ON_ERROR] = {"restart-on-error", TRUE},
    [RECALCULATE_METRICS] = {"recalculate-metrics", TRUE},
    [ALLOW_CREATE_STREAM] = {"allow-create-stream", TRUE},
    [DISABLE_BUFFER_CLIPPING] = {"disable-buffer-clipping", FALSE},
    [USE_ORIGINAL_PTS] = {"use-original-pts", FALSE},
    [GET_KVS_METRICS] = {"get-kvs-metrics", FALSE},
};
static const char *const structures[STRUCTURE_COUNT] = {
    [IOT_CERTIFICATE] = "iot-certificate", [STREAM_TAGS] = "stream-tags"};

/* Property ids: from these on, in the order of the tables. */
enum { TEXTS = 1, NUMBERS = 100, SWITCHES = 200, STRUCTURES = 300, MODE = 400 };

static GType mode_type(void) {
    static const GEnumValue values[] = {
        {MODE_REALTIME, "live", "realtime"},
                                        {MODE_NEAR_REALTIME, "nearly live", "near-realtime"},
                                        {MODE_OFFLINE, "from a file", "offline"},
                                        {0, NULL, NULL}};
    static gsize type;

    if (g_once_init_enter(&type)) {
        char *name = g_strconcat("KvsSinkStreamingType-", sender_kind.plugin, NULL);

        g_once_init_leave(&type, g_enum_register_static(name, values));
        g_free(name);
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
    for (guint i = 0; sender_kind.extra[i] != NULL; i++) {
        const char *name = sender_kind.extra[i];

        g_object_class_install_property(class, TEXTS + EXTRA + i, g_param_spec_string(name, name, name, NULL, flags));
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
    for (guint i = 0; i < EXTRA; i++) {
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
