/* Values that no command line may have: read from files, kept out of every line. */
#ifndef BOARDSTREAM_SECRETS_H
#define BOARDSTREAM_SECRETS_H

#include <gst/gst.h>

#include "options.h"

/* Reads a description of a pipeline. Returns NULL, with the reason reported, where it is unavailable. To be freed. */
char *secrets_description(const char *path);

/* Sets every --property-file. Returns FALSE, with the reason reported. */
gboolean secrets_set(GstElement *pipeline, const struct options *options);

/* Hides what the SDKs take from the environment. */
void secrets_hide_environment(void);

#endif
