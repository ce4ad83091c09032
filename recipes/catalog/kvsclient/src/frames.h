/* Frames of one or two tracks, in the order of their times, into fragments: one begins at each key frame of the video. */
#ifndef KVSCLIENT_FRAMES_H
#define KVSCLIENT_FRAMES_H

#include <gst/gst.h>

#include "fragments.h"
#include "mkv.h"

#define MOST_TRACKS 2

struct framing {
    guint count;                 /* of tracks */
    gboolean audio[MOST_TRACKS]; /* a track is sound */
    const char *video_name;      /* of the track; NULL: kvssink's */
    gboolean by_key;             /* a fragment begins at each key frame; else at the first one after `length` */
    guint64 length;              /* of a fragment, ns: sound alone, and where it does not begin at each key frame */
    guint64 start;               /* the wall clock at the first frame, ns; 0: as it is then */
    gboolean absolute;           /* times are those of the wall clock already */
};

/* A stream's frames on their way into a store. */
struct frames;

struct frames *frames_open(struct store *store, const struct framing *framing);
void frames_free(struct frames *frames);

/* What a track is, from the caps of its frames. Returns FALSE where they are not to be sent, or have changed. */
gboolean frames_track(struct frames *frames, guint track, const GstCaps *caps);

/* Takes a frame. `time`: ns, of a clock that all tracks have. */
void frames_take(struct frames *frames, guint track, guint64 time, gboolean key, GstBuffer *buffer);

/* A track is at its end; after the last one no frame is held back. */
void frames_end(struct frames *frames, guint track);

/* What has gone wrong, or NULL. */
const char *frames_fault(struct frames *frames);

#endif
