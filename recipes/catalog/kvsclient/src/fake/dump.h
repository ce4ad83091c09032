/* What arrived, for a test to count: DIR/frames.bin with the frames' bytes one after the other, and DIR/index.jsonl
 * with an object a line: caps {track, caps, codec_data}, frames {track, pts, dts, size, key, fragment, offset}, acks
 * {ack, fragment}, and {end, frames} once the stream was closed. Times in nanoseconds, or null. */
#ifndef FAKEKVSSINK_DUMP_H
#define FAKEKVSSINK_DUMP_H

#include <gst/gst.h>
#include <stdio.h>

struct dump {
    FILE *frames, *index;
    guint64 offset;
};

/* Opens the two files; returns FALSE where they cannot be written. */
gboolean dump_open(struct dump *dump, const char *folder);
void dump_caps(struct dump *dump, const char *track, GstCaps *caps);
void dump_frame(struct dump *dump, const char *track, GstBuffer *buffer, guint64 fragment);
void dump_ack(struct dump *dump, const char *type, guint64 fragment);
void dump_end(struct dump *dump, guint64 frames);
void dump_close(struct dump *dump);

#endif
