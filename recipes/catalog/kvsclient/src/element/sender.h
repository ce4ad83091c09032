/* What is behind the element: it sends (../plugin), or pretends to and fails when it is told to (../fake). */
#ifndef KVSSINK_SENDER_H
#define KVSSINK_SENDER_H

#include <gst/gst.h>

#include "properties.h"

/* A kind of ack, by FragmentAck's numbers in the SDK's client. */
enum ack_kind { ACK_BUFFERING = 1, ACK_RECEIVED = 2, ACK_PERSISTED = 3, ACK_ERROR = 4 };

#define MOST_EXTRA 2

/* What tells the two apart for GStreamer. */
struct sender_kind {
    const char *plugin, *name, *description;
    const char *extra[MOST_EXTRA + 1]; /* texts that it has as properties besides kvssink's own */
};
extern const struct sender_kind sender_kind;

struct sender;

struct sender *sender_new(GstElement *element, struct properties *properties);
void sender_free(struct sender *sender);

/* NULL to READY: finds the stream at the service. Returns FALSE where that fails, which has been posted. `video`,
 * `audio`: the element has such a pad. */
gboolean sender_open(struct sender *sender, gboolean video, gboolean audio);

/* READY to PAUSED, and back: then nothing of the sender keeps a pad's thread. */
void sender_start(struct sender *sender);
void sender_stop(struct sender *sender);

/* READY to NULL. */
void sender_close(struct sender *sender);

/* From the pads' threads. */
gboolean sender_caps(struct sender *sender, GstPad *pad, GstCaps *caps);
GstFlowReturn sender_take(struct sender *sender, GstPad *pad, const GstSegment *segment, GstBuffer *buffer);

/* A pad is at its end; `last`: all of them are. Once everything is confirmed, `element_end` is to be called. */
void sender_end(struct sender *sender, GstPad *pad, gboolean last);

/* Of the element, for its sender: */

/* Makes it known to GStreamer: each sender is a plugin of its own. */
gboolean element_register(GstPlugin *plugin);

/* Tells whoever listens that a fragment has come so far. `timecode`: ms; `number`: the service's name for it. */
void element_tell_ack(GstElement *element, enum ack_kind kind, guint64 timecode, const char *number);

/* Tells a status code of the SDK. */
void element_tell_status(GstElement *element, guint32 status);

/* Posts it as the error that ends the stream, in kvssink's words. */
void element_fail(GstElement *element, guint32 status);

/* Posts that the stream cannot be made. `status`: 0 where none is known. */
void element_fail_to_open(GstElement *element, guint32 status);

/* Posts the end of the stream. */
void element_end(GstElement *element);

static inline gboolean is_video_pad(GstPad *pad) {
    return GST_PAD_NAME(pad)[0] == 'v';
}

#endif
