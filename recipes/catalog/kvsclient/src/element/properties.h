/* The properties of kvssink with its names and defaults, and those that a sender has besides. */
#ifndef KVSSINK_PROPERTIES_H
#define KVSSINK_PROPERTIES_H

#include <gst/gst.h>

enum text {
    STREAM_NAME,
    USER_AGENT,
    CONTENT_TYPE,
    CODEC_ID,
    TRACK_NAME,
    ACCESS_KEY,
    SECRET_KEY,
    SESSION_TOKEN,
    AWS_REGION,
    LOG_CONFIG,
    CREDENTIAL_PATH,
    EXTRA, /* the sender's own, from here on */
    TEXT_COUNT = EXTRA + 2
};
enum number {
    RETENTION_PERIOD,
    MAX_LATENCY,
    FRAGMENT_DURATION,
    TIMECODE_SCALE,
    FRAMERATE,
    AVG_BANDWIDTH_BPS,
    BUFFER_DURATION,
    REPLAY_DURATION,
    CONNECTION_STALENESS,
    ROTATION_PERIOD,
    STORAGE_SIZE,
    STOP_STREAM_TIMEOUT,
    CONNECTION_TIMEOUT,
    COMPLETION_TIMEOUT,
    FILE_START_TIME,
    NUMBER_COUNT
};
enum flag {
    KEY_FRAME_FRAGMENTATION,
    FRAME_TIMECODES,
    ABSOLUTE_FRAGMENT_TIMES,
    FRAGMENT_ACKS,
    RESTART_ON_ERROR,
    RECALCULATE_METRICS,
    ALLOW_CREATE_STREAM,
    DISABLE_BUFFER_CLIPPING,
    USE_ORIGINAL_PTS,
    GET_KVS_METRICS,
    SWITCH_COUNT
};
enum structure { IOT_CERTIFICATE, STREAM_TAGS, STRUCTURE_COUNT };
/* streaming-type */
enum mode { MODE_REALTIME, MODE_NEAR_REALTIME, MODE_OFFLINE };

struct properties {
    gchar *text[TEXT_COUNT];
    guint number[NUMBER_COUNT];
    gboolean on[SWITCH_COUNT];
    GstStructure *structure[STRUCTURE_COUNT];
    gint mode;
};

void properties_install(GObjectClass *class);
void properties_default(struct properties *properties);
void properties_set(struct properties *properties, guint id, const GValue *value);
void properties_get(const struct properties *properties, guint id, GValue *value);
void properties_clear(struct properties *properties);

#endif
