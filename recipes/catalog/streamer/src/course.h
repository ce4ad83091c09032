/* The course of a stream: starting, streaming, closing, ended; and with which exit code, for which reason. */
#ifndef BOARDSTREAM_COURSE_H
#define BOARDSTREAM_COURSE_H

#include <gst/gst.h>

#include "options.h"

void course_open(const struct options *options, GstElement *pipeline, GMainLoop *loop);

/* Notes that the pipeline is being started now. */
void course_begin(void);

/* When that was: monotonic, in microseconds. */
gint64 course_began(void);

/* Takes over what was counted, and notes the first buffer. */
void course_update(gint64 now);

/* Whether a buffer has come through. */
gboolean course_streaming(void);

/* Whether the end of the stream is on its way through the pipeline. */
gboolean course_closing(void);

/* Whether it is decided how it ends. */
gboolean course_decided(void);

/* Decides how it ends; the first reason counts, what follows from it is no news. The line's kind goes by the code. */
void course_decide(int code, const char *reason);

/* Sends the end of the stream through the pipeline, so that the sink closes what is open; then the loop ends. */
void course_close(void);

/* Ends the loop. `stalled`: nothing more is to be expected of the pipeline. */
void course_quit(gboolean stalled);

/* Takes the pipeline down, however long it was to take; returns the exit code. */
int course_finish(void);

#endif
