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

struct frames {
    GMutex lock;
    struct store *store;
    struct framing framing;
    struct track tracks[MOST_TRACKS];
    GQueue held[MOST_TRACKS];
    gboolean ended[MOST_TRACKS];
    gboolean started;
    guint64 origin; /* what is added to a frame's time, ns */
    guint64 began;  /* of the fragment that is open, ms; 0: none */
    const char *fault;
    gboolean full;
};

struct frames *frames_open(struct store *store, const struct framing *framing) {
    struct frames *frames = g_new0(struct frames, 1);

    g_mutex_init(&frames->lock);
    frames->store = store;
    frames->framing = *framing;
    return frames;
}

static void drop_frame(struct frame *frame) {
    gst_buffer_unref(frame->buffer);
    g_free(frame);
}

void frames_free(struct frames *frames) {
    struct frame *frame;

    for (guint i = 0; i < MOST_TRACKS; i++) {
        while ((frame = g_queue_pop_head(&frames->held[i])) != NULL) {
            drop_frame(frame);
        }
    }
    g_mutex_clear(&frames->lock);
    g_free(frames);
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

static gboolean read_audio(const GstStructure *caps, struct track *track) {
    gint rate = 0, channels = 0;

    track->codec = "A_AAC";
    if (!gst_structure_has_name(caps, "audio/mpeg") ||
        g_strcmp0(gst_structure_get_string(caps, "stream-format"), "raw") != 0 ||
        !gst_structure_get_int(caps, "rate", &rate) || !gst_structure_get_int(caps, "channels", &channels)) {
        return FALSE;
    }
    track->rate = rate;
    track->channels = (guint)channels;
    return TRUE;
}

static gboolean read_video(const GstStructure *caps, struct track *track) {
    gboolean h264 = gst_structure_has_name(caps, "video/x-h264");
    const char *format = gst_structure_get_string(caps, "stream-format");
    gint width = 0, height = 0;

    track->codec = h264 ? "V_MPEG4/ISO/AVC" : "V_MPEGH/ISO/HEVC";
    if ((!h264 && !gst_structure_has_name(caps, "video/x-h265")) || g_strcmp0(format, h264 ? "avc" : "hvc1") != 0 ||
        !gst_structure_get_int(caps, "width", &width) || !gst_structure_get_int(caps, "height", &height) ||
        width > 65535 || height > 65535) {
        return FALSE;
    }
    track->width = (guint)width;
    track->height = (guint)height;
    return TRUE;
}

static gboolean read_caps(const GstCaps *caps, struct track *track) {
    const GstStructure *structure = gst_caps_get_structure(caps, 0);
    gboolean good = track->audio ? read_audio(structure, track) : read_video(structure, track);

    track->known = good && read_private(structure, track);
    return track->known;
}

/* Once all tracks are known: what every connection begins with. The segment's id is this stream's, not the connection's. */
static void make_header(struct frames *frames) {
    GByteArray *header;
    guint8 uid[16];

    for (guint i = 0; i < frames->framing.count; i++) {
        if (!frames->tracks[i].known) {
            return;
        }
    }
    if (RAND_bytes(uid, sizeof uid) != 1) {
        frames->fault = "no random numbers";
        return;
    }
    header = g_byte_array_new();
    mkv_header(header, uid, frames->tracks, frames->framing.count);
    fragments_header(frames->store, header);
}

gboolean frames_track(struct frames *frames, guint number, const GstCaps *caps) {
    struct track read;

    memset(&read, 0, sizeof read); /* padding too: it is compared as bytes */
    g_mutex_lock(&frames->lock);
    read.audio = frames->framing.audio[number];
    read.name = read.audio ? "audio" : frames->framing.video_name != NULL ? frames->framing.video_name : "kinesis_video";
    if (!read_caps(caps, &read)) {
        frames->fault = "a track is not H.264 (avc), H.265 (hvc1) or raw AAC, or has no codec_data";
    } else if (!frames->tracks[number].known) {
        frames->tracks[number] = read;
        make_header(frames);
    } else if (frames->tracks[number].private_size != read.private_size ||
               memcmp(frames->tracks[number].private_data, read.private_data, read.private_size) != 0) {
        frames->fault = "the codec data of a track has changed: a stream cannot go on with others";
    }
    g_mutex_unlock(&frames->lock);
    return frames->fault == NULL;
}

/* Whether a track has ended before the fragment that would begin now: the service refuses one that has no frame of each
 * track (4011, FRAMES_MISSING_FOR_TRACK). At a stream's end one track stops first, so that its last fragment may be one. */
static gboolean is_lacking(const struct frames *frames, guint number) {
    for (guint i = 0; i < frames->framing.count; i++) {
        if (i != number && frames->ended[i] && frames->held[i].length == 0) {
            return TRUE;
        }
    }
    return FALSE;
}

/* Opens a fragment at a key frame. Without room the frames up to the next key frame are left out. */
static void begin(struct frames *frames, guint number, guint64 milliseconds) {
    if (is_lacking(frames, number)) {
        if (frames->began != 0) {
            report("end", "a track has ended: no fragment is begun without it");
        }
        frames->began = 0;
        return;
    }
    if (fragments_begin(frames->store, milliseconds)) {
        frames->began = milliseconds;
        frames->full = FALSE;
        return;
    }
    frames->began = 0;
    if (!frames->full) {
        report("lost", "status 0x%08x: the store is full: frames are left out", STATUS_STORE_FULL);
    }
    frames->full = TRUE;
}

/* Whether a frame is the first one of a fragment. A fragment of pictures can begin with a key frame alone. */
static gboolean begins(const struct frames *frames, guint number, gboolean key, guint64 milliseconds) {
    guint64 length = frames->framing.length / GST_MSECOND;

    if (frames->framing.audio[number]) {
        return frames->framing.count == 1 && (frames->began == 0 || milliseconds >= frames->began + length);
    }
    return key && (frames->framing.by_key || frames->began == 0 || milliseconds >= frames->began + length);
}

static void send_frame(struct frames *frames, guint number, const struct frame *frame) {
    guint64 milliseconds = (frames->origin + frame->time) / GST_MSECOND;
    gboolean key = frame->key && (!frames->framing.audio[number] || frames->framing.count == 1);
    GstMapInfo map;

    if (begins(frames, number, frame->key, milliseconds)) {
        begin(frames, number, milliseconds);
    }
    if (frames->began == 0) {
        return; /* sound before the first picture, as kvssink */
    }
    if (milliseconds + MOST_RELATIVE < frames->began || milliseconds > frames->began + MOST_RELATIVE) {
        frames->fault = "no key frame for 32 s: a fragment cannot be longer";
        return;
    }
    if (gst_buffer_map(frame->buffer, &map, GST_MAP_READ)) {
        fragments_append(frames->store, number + 1, (gint16)((gint64)milliseconds - (gint64)frames->began), key,
                         map.data, map.size);
        gst_buffer_unmap(frame->buffer, &map);
    }
}

/* Returns the track whose frame is the next to send; the count of tracks where that cannot be told yet. */
static guint choose(struct frames *frames) {
    guint count = frames->framing.count, next = count;
    guint64 newest = 0, oldest = G_MAXUINT64;
    gboolean lacking = FALSE;

    for (guint i = 0; i < count; i++) {
        struct frame *first = g_queue_peek_head(&frames->held[i]), *last = g_queue_peek_tail(&frames->held[i]);

        lacking = lacking || (first == NULL && !frames->ended[i]);
        if (first == NULL) {
            continue;
        }
        newest = MAX(newest, last->time);
        if (first->time < oldest) {
            oldest = first->time;
            next = i;
        }
    }
    return next < count && lacking && newest - oldest < MOST_HELD ? count : next;
}

static void send_held(struct frames *frames) {
    guint next;

    while ((next = choose(frames)) < frames->framing.count) {
        struct frame *frame = g_queue_pop_head(&frames->held[next]);

        send_frame(frames, next, frame);
        drop_frame(frame);
    }
}

void frames_take(struct frames *frames, guint track, guint64 time, gboolean key, GstBuffer *buffer) {
    struct frame *frame = g_new(struct frame, 1);

    *frame = (struct frame){time, key, gst_buffer_ref(buffer)};
    g_mutex_lock(&frames->lock);
    if (!frames->started && !frames->framing.absolute) {
        guint64 now = frames->framing.start != 0 ? frames->framing.start : (guint64)g_get_real_time() * GST_USECOND;

        frames->origin = now - time;
    }
    frames->started = TRUE;
    g_queue_push_tail(&frames->held[track], frame);
    send_held(frames);
    g_mutex_unlock(&frames->lock);
}

void frames_end(struct frames *frames, guint track) {
    g_mutex_lock(&frames->lock);
    frames->ended[track] = TRUE;
    send_held(frames);
    g_mutex_unlock(&frames->lock);
}

const char *frames_fault(struct frames *frames) {
    const char *now;

    g_mutex_lock(&frames->lock);
    now = frames->fault;
    g_mutex_unlock(&frames->lock);
    return now;
}
