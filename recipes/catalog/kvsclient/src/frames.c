#include "frames.h"

#include <openssl/rand.h>
#include <string.h>

#include "fragments.h"
#include "report.h"
#include "status.h"

/* What waits for another track that gives nothing: a fragment of sound and pictures is not held up for longer. */
#define MOST_HELD (2 * GST_SECOND)
#define MOST_RELATIVE 32767

struct frame {
    guint64 time;
    gboolean key;
    GstBuffer *buffer;
};

static GMutex lock;
static guint count;
static struct track tracks[MOST_TRACKS];
static GQueue held[MOST_TRACKS];
static gboolean ended[MOST_TRACKS];
static guint64 origin; /* the wall clock at running time 0, ns; 0: not known yet */
static guint64 began;  /* of the fragment that is open, ms; 0: none */
static const char *fault;
static gboolean full;

void frames_open(guint given) {
    count = given;
}

static gboolean read_private(const GstStructure *caps, struct track *track) {
    const GValue *value = gst_structure_get_value(caps, "codec_data");
    GstBuffer *buffer = value != NULL ? gst_value_get_buffer(value) : NULL;

    track->private_size = buffer != NULL ? gst_buffer_get_size(buffer) : 0;
    if (track->private_size == 0 || track->private_size > MOST_PRIVATE) {
        return FALSE;
    }
    gst_buffer_extract(buffer, 0, track->private_data, track->private_size);
    return TRUE;
}

static gboolean read_caps(const GstCaps *caps, gboolean audio, struct track *track) {
    const GstStructure *structure = gst_caps_get_structure(caps, 0);
    const char *format = gst_structure_get_string(structure, "stream-format");
    gint first = 0, second = 0;

    track->audio = audio;
    if (audio) {
        if (!gst_structure_has_name(structure, "audio/mpeg") || g_strcmp0(format, "raw") != 0 ||
            !gst_structure_get_int(structure, "rate", &first) ||
            !gst_structure_get_int(structure, "channels", &second)) {
            return FALSE;
        }
        track->rate = first;
        track->channels = (guint)second;
    } else {
        if (!gst_structure_has_name(structure, "video/x-h264") || g_strcmp0(format, "avc") != 0 ||
            !gst_structure_get_int(structure, "width", &first) ||
            !gst_structure_get_int(structure, "height", &second) || first > 65535 || second > 65535) {
            return FALSE;
        }
        track->width = (guint)first;
        track->height = (guint)second;
    }
    track->known = read_private(structure, track);
    return track->known;
}

/* Once all tracks are known: what every connection begins with. The segment's id is this stream's, not the connection's. */
static void make_header(void) {
    GByteArray *header;
    guint8 uid[16];

    for (guint i = 0; i < count; i++) {
        if (!tracks[i].known) {
            return;
        }
    }
    if (RAND_bytes(uid, sizeof uid) != 1) {
        fault = "no random numbers";
        return;
    }
    header = g_byte_array_new();
    mkv_header(header, uid, tracks, count);
    fragments_header(header);
}

gboolean frames_track(guint number, const GstCaps *caps) {
    struct track read;

    memset(&read, 0, sizeof read); /* padding too: it is compared as bytes */
    g_mutex_lock(&lock);
    if (!read_caps(caps, number == 1, &read)) {
        fault = "a track is not H.264 in AVC units or raw AAC, or has no codec_data";
    } else if (!tracks[number].known) {
        tracks[number] = read;
        make_header();
    } else if (tracks[number].private_size != read.private_size ||
               memcmp(tracks[number].private_data, read.private_data, read.private_size) != 0) {
        fault = "the codec data of a track has changed: a stream cannot go on with others";
    }
    g_mutex_unlock(&lock);
    return fault == NULL;
}

/* Opens a fragment at a key frame. Without room the frames up to the next key frame are left out. */
static void begin(guint64 milliseconds) {
    if (fragments_begin(milliseconds)) {
        began = milliseconds;
        full = FALSE;
        return;
    }
    began = 0;
    if (!full) {
        report("lost", "status 0x%08x: the store is full: frames are left out", STATUS_STORE_FULL);
    }
    full = TRUE;
}

static void send_frame(guint number, const struct frame *frame) {
    guint64 milliseconds = (origin + frame->time) / GST_MSECOND;
    GstMapInfo map;

    if (number == 0 && frame->key) {
        begin(milliseconds);
    }
    if (began == 0) {
        return; /* sound before the first picture, as kvssink */
    }
    if (milliseconds + MOST_RELATIVE < began || milliseconds > began + MOST_RELATIVE) {
        fault = "no key frame for 32 s: a fragment cannot be longer";
        return;
    }
    if (gst_buffer_map(frame->buffer, &map, GST_MAP_READ)) {
        fragments_append(number + 1, (gint16)((gint64)milliseconds - (gint64)began), number == 0 && frame->key,
                         map.data, map.size);
        gst_buffer_unmap(frame->buffer, &map);
    }
}

/* Returns the track whose frame is the next to send; `count` where that cannot be told yet. */
static guint choose(void) {
    guint next = count;
    guint64 newest = 0;
    gboolean lacking = FALSE;

    for (guint i = 0; i < count; i++) {
        struct frame *first = g_queue_peek_head(&held[i]), *last = g_queue_peek_tail(&held[i]);

        lacking = lacking || (first == NULL && !ended[i]);
        if (first == NULL) {
            continue;
        }
        newest = MAX(newest, last->time);
        if (next == count || first->time < ((struct frame *)g_queue_peek_head(&held[next]))->time) {
            next = i;
        }
    }
    if (next < count && lacking && newest - ((struct frame *)g_queue_peek_head(&held[next]))->time < MOST_HELD) {
        return count;
    }
    return next;
}

static void send_held(void) {
    guint next;

    while ((next = choose()) < count) {
        struct frame *frame = g_queue_pop_head(&held[next]);

        send_frame(next, frame);
        gst_buffer_unref(frame->buffer);
        g_free(frame);
    }
}

void frames_take(guint track, guint64 time, gboolean key, GstBuffer *buffer) {
    struct frame *frame = g_new(struct frame, 1);

    *frame = (struct frame){time, key, gst_buffer_ref(buffer)};
    g_mutex_lock(&lock);
    if (origin == 0) {
        origin = (guint64)g_get_real_time() * GST_USECOND - time;
    }
    g_queue_push_tail(&held[track], frame);
    send_held();
    g_mutex_unlock(&lock);
}

void frames_end(guint track) {
    g_mutex_lock(&lock);
    ended[track] = TRUE;
    send_held();
    g_mutex_unlock(&lock);
}

const char *frames_fault(void) {
    const char *now;

    g_mutex_lock(&lock);
    now = fault;
    g_mutex_unlock(&lock);
    return now;
}
