/* From words, or a description in a file, to a pipeline with its secrets set. */
#ifndef BOARDSTREAM_PIPELINE_H
#define BOARDSTREAM_PIPELINE_H

#include <gst/gst.h>

#include "options.h"

/* Returns NULL, with the reason reported, where a restart would not help. */
GstElement *pipeline_make(const struct options *options);

#endif
