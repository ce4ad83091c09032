/* The GStreamer pipeline whose appsinks give the frames. */
#ifndef KVSCLIENT_PIPELINE_H
#define KVSCLIENT_PIPELINE_H

#include <glib.h>

#include "fragments.h"
#include "options.h"
#include "upload.h"

/* Makes the pipeline, whose frames go into the store; the line is woken when it has ended. Returns a negative number, or an exit code; why has been reported. */
int pipeline_open(const struct options *options, struct store *store, struct line *line);

/* The content of the stream as kvssink names it. */
const char *pipeline_media_type(void);

gboolean pipeline_start(void);

/* Asks the sources to end; the frames on the way still come. */
void pipeline_end(void);

/* Returns TRUE where every track is at its end. */
gboolean pipeline_ended(void);

/* Returns what has gone wrong, or NULL. Reads the messages of the pipeline: to be called now and then. */
const char *pipeline_fault(void);

void pipeline_close(void);

#endif
