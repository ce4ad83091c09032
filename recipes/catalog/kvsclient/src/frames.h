/* Frames of one or two tracks, in the order of their times, into fragments: one begins at each key frame of the video. */
#ifndef KVSCLIENT_FRAMES_H
#define KVSCLIENT_FRAMES_H

#include <gst/gst.h>

#include "mkv.h"

#define MOST_TRACKS 2

/* `count`: 1 for video alone, 2 with sound. */
void frames_open(guint count);

/* What a track is, from the caps of its frames. Returns FALSE where they are not to be sent, or have changed. */
gboolean frames_track(guint track, const GstCaps *caps);

/* Takes a frame. `time`: running time, ns. */
void frames_take(guint track, guint64 time, gboolean key, GstBuffer *buffer);

/* A track is at its end; after the last one no frame is held back. */
void frames_end(guint track);

/* What has gone wrong, or NULL. */
const char *frames_fault(void);

#endif
