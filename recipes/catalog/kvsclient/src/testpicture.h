/* The pipeline of --test, of what this board's GStreamer has. */
#ifndef KVSCLIENT_TESTPICTURE_H
#define KVSCLIENT_TESTPICTURE_H

#include "options.h"

/* Returns a description for gst_parse_launch, to be freed with g_free; NULL where there is no encoder, as reported. */
char *testpicture_describe(const struct options *options);

#endif
