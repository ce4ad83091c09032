/* A live stream from its first call to its last ack. */
#ifndef KVSCLIENT_LIVE_H
#define KVSCLIENT_LIVE_H

#include "options.h"

/* Returns the exit code. */
int live_run(const struct options *options);

#endif
