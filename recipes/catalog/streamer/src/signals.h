/* Signals and deadlines, without a thread: handlers write to a pipe, and an alarm ends a process that is stuck. */
#ifndef BOARDSTREAM_SIGNALS_H
#define BOARDSTREAM_SIGNALS_H

#include <glib.h>

/* Installs the handlers. Until `signals_started` a SIGINT or SIGTERM ends the process at once, with exit code 0 and
 * without its status file: nothing is open that would have to be closed. Returns the end of the pipe to read signal
 * numbers from, one byte each, or -1. `stop` seconds after a first SIGINT or SIGTERM an alarm ends a stuck process. */
int signals_open(guint stop, const char *status);

/* From now on the main loop is asked to close the stream. */
void signals_started(void);

/* Ends the process in so many seconds with this code and this line, unless it is called again before. 0: never. */
void signals_deadline(guint seconds, int code, const char *reason);

#endif
