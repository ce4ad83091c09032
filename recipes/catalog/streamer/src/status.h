/* The status of a stream: a JSON file that is whole at every moment, and one line for SIGUSR1. */
#ifndef BOARDSTREAM_STATUS_H
#define BOARDSTREAM_STATUS_H

#include "options.h"

/* Opens the status of a stream: reads from an earlier one how often it was started again, and why. */
void status_open(const struct options *options);

/* Notes a new state: starting, streaming, stopping, ended. Does not write it. */
void status_state(const char *state);

/* Notes how it ends: an exit code and a reason. */
void status_end(int code, const char *reason);

/* Writes the file, if one was asked for. A fault is reported once, and is no reason to stop the stream. */
void status_write(void);

/* Reports the status as a line. */
void status_report(void);

#endif
