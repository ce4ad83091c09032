/* A recorded client's bytes again, connection by connection, and what the service answers now. */
#ifndef KVSCLIENT_REPLAY_H
#define KVSCLIENT_REPLAY_H

#include "options.h"

/* Returns the exit code: CODE_DONE where the answers are those of the recording, but for fragment numbers and bodies. */
int replay_run(const struct options *options);

#endif
