/* What the pipeline says on its bus. */
#ifndef BOARDSTREAM_MESSAGES_H
#define BOARDSTREAM_MESSAGES_H

#include <gst/gst.h>

/* Listens to a pipeline that is not started yet. `once`: the end of its source is the end that was wanted. */
void messages_open(GstElement *pipeline, gboolean once);

/* Notes that the pipeline's source is live: it is not held while something is read ahead. */
void messages_live(void);

/* Takes the error for which the pipeline could not be started. */
void messages_take_failure(void);

#endif
