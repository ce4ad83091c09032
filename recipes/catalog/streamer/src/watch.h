/* Counts what arrives at the sinks, and what the service confirms: the two things that a stream is about. */
#ifndef BOARDSTREAM_WATCH_H
#define BOARDSTREAM_WATCH_H

#include <gst/gst.h>

#include "options.h"

struct totals {
    guint64 frames; /* buffers at the first pad that takes pictures, or at the first pad */
    guint64 bytes;  /* at all pads */
    guint64 fragments;
    gint64 frame_age; /* microseconds since the last buffer of any pad; -1: none yet */
    gint64 ack_age;   /* microseconds since the last confirmed fragment; -1: none yet */
    guint32 status;   /* the last status code that a sink told, or 0 */
};

/* Begins to count at every sink of a pipeline that is not started yet. Returns how many sinks there are. */
guint watch_open(GstElement *pipeline);

/* Takes over what was counted since the last call. To be called at least once a second, with the monotonic time. */
void watch_update(gint64 now);

/* Returns why the stream is to be started again, or NULL. To be freed. `began`: when the pipeline was started. */
char *watch_fault(const struct options *options, gint64 began, gint64 now);

struct totals watch_totals(gint64 now);

/* Adds the pads to a JSON array's inside: name, buffers, seconds since the last one. */
void watch_list(GString *json, gint64 now);

#endif
