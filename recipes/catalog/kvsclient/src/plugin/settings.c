#include "settings.h"

#include <openssl/crypto.h>
#include <string.h>

#include "../http.h"
#include "../report.h"

#define VIDEO_TYPE "video/h264"
#define AUDIO_TYPE "audio/aac"
/* As libcurl in kvssink was seen to: fewer than 30 bytes a second for so long are a connection that stands. */
#define STALL_SECONDS 30

static const char *keep(struct settings *settings, const char *text) {
    return text != NULL && text[0] != '\0' ? g_string_chunk_insert(settings->texts, text) : NULL;
}

/* A key of a property; NULL for what stands there while nobody has set it. */
static const char *keep_key(struct settings *settings, const struct properties *properties, enum text text,
                            const char *unset) {
    const char *given = properties->text[text];

    return given != NULL && strcmp(given, unset) != 0 ? keep(settings, given) : NULL;
}

static const char *keep_field(struct settings *settings, const GstStructure *from, const char *field) {
    return keep(settings, gst_structure_get_string(from, field));
}

static void read_seconds(const GstStructure *from, const char *field, guint *seconds) {
    gint given = 0;

    if (gst_structure_get_int(from, field, &given) && given > 0) {
        *seconds = (guint)given;
    }
}

/* iot-certificate, with the names that kvssink has for its fields. Returns what is wrong, or NULL. */
static const char *read_certificate(struct settings *settings, const GstStructure *from) {
    struct options *options = &settings->options;

    options->iot_endpoint = keep_field(settings, from, "endpoint");
    options->iot_cert = keep_field(settings, from, "cert-path");
    options->iot_key = keep_field(settings, from, "key-path");
    options->iot_ca = keep_field(settings, from, "ca-path");
    options->iot_alias = keep_field(settings, from, "role-aliases");
    options->iot_thing = keep_field(settings, from, "iot-thing-name");
    options->iot_thing = options->iot_thing != NULL ? options->iot_thing : options->stream;
    read_seconds(from, "connection-timeout", &options->iot_connect);
    read_seconds(from, "completion-timeout", &options->iot_answer);
    if (options->iot_endpoint == NULL || options->iot_cert == NULL || options->iot_key == NULL ||
        options->iot_ca == NULL || options->iot_alias == NULL || !http_is_name(options->iot_endpoint, 253) ||
        !http_is_name(options->iot_alias, 128) || !http_is_name(options->iot_thing, 256)) {
        return "Failed to parse Iot credentials: endpoint, cert-path, key-path, ca-path and role-aliases are needed";
    }
    return NULL;
}

static gboolean add_tag(GQuark field, const GValue *value, gpointer data) {
    const char *name = g_quark_to_string(field), *text = G_VALUE_HOLDS_STRING(value) ? g_value_get_string(value) : NULL;
    GString *json = data;

    if (text != NULL) {
        g_string_append(json, json->len > 1 ? ", " : "");
        row_text(json, name, strlen(name), 128);
        g_string_append(json, ": ");
        row_text(json, text, strlen(text), 256);
    }
    return TRUE;
}

static void read_tags(struct settings *settings, const GstStructure *from) {
    GString *json = g_string_new("{");

    gst_structure_foreach(from, add_tag, json);
    g_string_append_c(json, '}');
    settings->options.tags = keep(settings, json->str);
    g_string_free(json, TRUE);
}

/* What the stream's content is called where it is made: as kvssink does, by its pads, unless somebody has named it. */
static const char *media_type(const struct properties *properties, gboolean video, gboolean audio) {
    const char *given = properties->text[CONTENT_TYPE];

    if (given != NULL && given[0] != '\0' && strcmp(given, VIDEO_TYPE) != 0) {
        return given;
    }
    return !audio ? VIDEO_TYPE : video ? VIDEO_TYPE "," AUDIO_TYPE : AUDIO_TYPE;
}

static gboolean is_media_type(const char *text) {
    return strlen(text) <= 128 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/,.+-_") == strlen(text);
}

static void read_texts(struct settings *settings, const struct properties *properties) {
    struct options *options = &settings->options;
    char *const *text = properties->text;

    options->stream = keep(settings, text[STREAM_NAME]);
    options->region = keep(settings, text[AWS_REGION]);
    options->region = options->region != NULL ? options->region : keep(settings, g_getenv("AWS_DEFAULT_REGION"));
    options->region = options->region != NULL ? options->region : keep(settings, g_getenv("AWS_REGION"));
    options->agent = keep(settings, text[USER_AGENT]);
    options->access = keep_key(settings, properties, ACCESS_KEY, "access_key");
    options->secret = keep_key(settings, properties, SECRET_KEY, "secret_key");
    options->token = keep_key(settings, properties, SESSION_TOKEN, "session_token");
    options->credential_path = keep(settings, text[CREDENTIAL_PATH]);
    options->ca = keep(settings, g_getenv("AWS_KVS_CACERT_PATH"));
    options->connect_to = keep(settings, g_getenv("KVSCLIENT_CONNECT_TO")); /* for tests */
}

static void read_numbers(struct settings *settings, const struct properties *properties) {
    struct options *options = &settings->options;
    const guint *number = properties->number;
    const gboolean *on = properties->on;

    options->retention = number[RETENTION_PERIOD];
    options->buffer = MAX(number[STORAGE_SIZE], 1);
    options->stall = CLAMP(number[CONNECTION_STALENESS], 1, STALL_SECONDS);
    options->stop = MAX(number[STOP_STREAM_TIMEOUT], 1);
    options->rotation = MAX(number[ROTATION_PERIOD], 60);
    options->connect = MAX(number[CONNECTION_TIMEOUT], 1);
    options->answer = MAX(number[COMPLETION_TIMEOUT], 1);
    options->iot_connect = 3; /* kvssink's own, where iot-certificate does not name them */
    options->iot_answer = 5;
    options->no_create = !on[ALLOW_CREATE_STREAM];
    options->unconfirmed = !on[FRAGMENT_ACKS];
    options->retries = on[RESTART_ON_ERROR] ? G_MAXUINT : 0;
}

const char *settings_read(struct settings *settings, const struct properties *properties, gboolean video,
                          gboolean audio) {
    struct options *options = &settings->options;
    const GstStructure *iot = properties->structure[IOT_CERTIFICATE], *tags = properties->structure[STREAM_TAGS];

    *settings = (struct settings){.texts = g_string_chunk_new(512)};
    read_texts(settings, properties);
    read_numbers(settings, properties);
    settings->media_type = keep(settings, media_type(properties, video, audio));
    settings->framing = (struct framing){
        .count = (video ? 1 : 0) + (audio ? 1 : 0),
        .audio = {!video, TRUE},
        .video_name = keep(settings, properties->text[TRACK_NAME]),
        .by_key = properties->on[KEY_FRAME_FRAGMENTATION],
        .length = properties->number[FRAGMENT_DURATION] * GST_MSECOND,
        .start = properties->number[FILE_START_TIME] * GST_SECOND,
        .absolute = properties->on[USE_ORIGINAL_PTS],
    };
    if (options->stream == NULL || !http_is_name(options->stream, 256)) {
        return "stream-name has letters, digits, points, - and _, 256 at most";
    }
    if (options->region == NULL || !http_is_name(options->region, 64)) {
        return "No region set: aws-region or AWS_DEFAULT_REGION";
    }
    if (!is_media_type(settings->media_type) || (options->agent != NULL && !http_is_header(options->agent))) {
        return "content-type or user-agent has letters that it cannot have";
    }
    if (tags != NULL) {
        read_tags(settings, tags);
    }
    return iot != NULL ? read_certificate(settings, iot) : NULL;
}

static void forget(const char *secret) {
    if (secret != NULL) {
        OPENSSL_cleanse((char *)secret, strlen(secret));
    }
}

void settings_clear(struct settings *settings) {
    forget(settings->options.secret);
    forget(settings->options.token);
    g_string_chunk_free(settings->texts);
    *settings = (struct settings){0};
}
