#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "codes.h"
#include "report.h"

static const int stops[] = {SIGINT, SIGTERM, SIGHUP};

/* What the alarm does. A handler may run in any thread, so one that is in use is never written to. */
struct deadline {
    int code;
    char line[REPORT_LINE];
};

static int pipe_end = -1;
static volatile sig_atomic_t starting = 1;
static volatile sig_atomic_t stop_count;
static struct deadline deadlines[2], stuck = {.code = CODE_UNCLOSED};
static struct deadline *volatile deadline = &deadlines[0];
static guint stop_seconds;
static char status_path[4096];
static char early_line[REPORT_LINE], twice_line[REPORT_LINE];

static void put_line(const char *line) {
    ssize_t written = write(STDERR_FILENO, line, strlen(line));

    (void)written;
}

static void on_stop(int number) {
    if (stop_count++ > 0) {
        put_line(twice_line);
        _exit(128 + number);
    }
    if (starting) {
        if (status_path[0] != '\0') {
            unlink(status_path);
        }
        put_line(early_line);
        _exit(CODE_DONE);
    }
    /* The main loop closes the stream, and may be stuck itself. */
    deadline = &stuck;
    alarm(stop_seconds + 2);
}

static void on_signal(int number) {
    int before = errno;
    unsigned char byte = (unsigned char)number;
    ssize_t written;

    if (number == SIGALRM) {
        put_line(deadline->line);
        _exit(deadline->code);
    }
    if (number != SIGUSR1) {
        on_stop(number);
    }
    written = write(pipe_end, &byte, 1);
    (void)written;
    errno = before;
}

int signals_open(guint stop, const char *status) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    int ends[2];

    stop_seconds = stop;
    g_strlcpy(status_path, status != NULL ? status : "", sizeof status_path);
    report_line(early_line, "stop", "before the first buffer: nothing to close");
    report_line(twice_line, "stop", "a second signal: ended at once, the open fragment may be lost");
    report_line(stuck.line, "stop", "stuck while closing: ended, the open fragment may be lost");
    if (pipe(ends) != 0) {
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        fcntl(ends[i], F_SETFL, O_NONBLOCK);
    }
    pipe_end = ends[1];
    sigfillset(&action.sa_mask);
    for (guint i = 0; i < G_N_ELEMENTS(stops); i++) {
        sigaction(stops[i], &action, NULL);
    }
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    /* A log that nobody reads any more, or a peer that hangs up, is no reason to end. */
    signal(SIGPIPE, SIG_IGN);
    return ends[0];
}

void signals_started(void) {
    starting = 0;
}

void signals_deadline(guint seconds, int code, const char *reason) {
    struct deadline *next = deadline == &deadlines[0] ? &deadlines[1] : &deadlines[0];

    next->code = code;
    report_line(next->line, code == CODE_RESTART ? "restart" : code == CODE_GIVE_UP ? "give-up" : "stop", reason);
    deadline = next;
    alarm(seconds);
}
