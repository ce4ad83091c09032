/* Runs a GStreamer pipeline as a service. It never starts itself again: its exit code says whether that would help. */
#include <glib-unix.h>
#include <gst/gst.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "causes.h"
#include "codes.h"
#include "course.h"
#include "messages.h"
#include "options.h"
#include "pipeline.h"
#include "report.h"
#include "secrets.h"
#include "signals.h"
#include "status.h"
#include "watch.h"

#define TICK_MILLISECONDS 500
#define TICKS_A_STATUS 10
/* What the alarm leaves to the main loop, which has the better reasons. */
#define GRACE_SECONDS 5

static struct options options;

static void stop(int number) {
    report("stop", "%s: closing the stream", number == SIGINT ? "SIGINT" : number == SIGTERM ? "SIGTERM" : "SIGHUP");
    status_state("stopping");
    status_write();
    if (!course_streaming()) {
        course_decide(CODE_DONE, "before the first buffer: nothing to close");
    }
    course_close();
}

static gboolean on_signal(gint file, GIOCondition condition, gpointer data) {
    unsigned char number;

    (void)condition;
    (void)data;
    while (read(file, &number, 1) == 1) {
        course_update(g_get_monotonic_time());
        if (number == SIGUSR1) {
            status_report();
            status_write();
        } else {
            stop(number);
        }
    }
    return G_SOURCE_CONTINUE;
}

/* Ends a stream that does not move any more. Where the sink has told a status code, that is the better reason. */
static void check_stall(gint64 now) {
    char *fault = watch_fault(&options, course_began(), now);
    guint32 status = watch_totals(now).status;
    struct verdict verdict = cause_of_status(status);

    if (fault == NULL) {
        return;
    }
    if (status != 0) {
        const char *meaning = verdict.meaning != NULL ? verdict.meaning : "an error that is not in our table";
        char *reason = g_strdup_printf("%s; the sink told 0x%08x: %s", fault, status, meaning);

        course_decide(verdict.code, reason);
        g_free(reason);
    } else {
        course_decide(CODE_RESTART, fault);
    }
    g_free(fault);
    course_quit(TRUE);
}

/* Returns the memory that this process has, in MB; 0 where the kernel does not say. */
static guint memory_used(void) {
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long all, resident = 0;

    if (file == NULL) {
        return 0;
    }
    if (fscanf(file, "%lu %lu", &all, &resident) != 2) {
        resident = 0;
    }
    fclose(file);
    return (guint)(resident * (unsigned long)sysconf(_SC_PAGESIZE) / (1024 * 1024));
}

static void check_memory(void) {
    guint used = options.memory > 0 ? memory_used() : 0;

    if (used > options.memory) {
        char *reason = g_strdup_printf("%u MB of memory, the limit is %u", used, options.memory);

        course_decide(CODE_RESTART, reason);
        g_free(reason);
        course_close();
    }
}

static gboolean on_tick(gpointer data) {
    static guint ticks;
    gint64 now = g_get_monotonic_time();
    gboolean whole = ++ticks % TICKS_A_STATUS == 0;

    (void)data;
    course_update(now);
    if (!course_closing() && !course_decided()) {
        signals_deadline(MAX(MAX(options.start, options.stall), 30) + GRACE_SECONDS, CODE_RESTART,
                         "stuck in a change of state: ended");
        check_stall(now);
    }
    if (whole && !course_closing() && !course_decided()) {
        check_memory();
    }
    if (whole) {
        status_write();
    }
    return G_SOURCE_CONTINUE;
}

/* Starts the pipeline. The sink may talk to its service here, and keep us waiting. */
static void start(GstElement *pipeline) {
    GstStateChangeReturn answer;

    signals_deadline(options.start > 0 ? options.start + GRACE_SECONDS : 0, CODE_RESTART,
                     "the pipeline did not start in time");
    course_begin();
    answer = gst_element_set_state(pipeline, GST_STATE_PLAYING);
    signals_started();
    if (answer == GST_STATE_CHANGE_NO_PREROLL) {
        messages_live();
    } else if (answer == GST_STATE_CHANGE_FAILURE) {
        messages_take_failure();
    }
}

static int run(GstElement *pipeline, int signal_pipe) {
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);

    course_open(&options, pipeline, loop);
    messages_open(pipeline, options.once);
    g_unix_fd_add(signal_pipe, G_IO_IN, on_signal, NULL);
    start(pipeline);
    if (!course_decided()) {
        g_timeout_add(TICK_MILLISECONDS, on_tick, NULL);
        g_main_loop_run(loop);
    }
    return course_finish();
}

/* An end before there is a pipeline. */
static int refuse(int code, const char *reason) {
    status_end(code, reason);
    status_write();
    return code;
}

int main(int argc, char **argv) {
    GError *error = NULL;
    int code = options_read(argc, argv, &options);
    GstElement *pipeline;
    int signal_pipe;

    if (code >= 0) {
        return code;
    }
    signal_pipe = signals_open(options.stop, options.status);
    secrets_hide_environment();
    report_catch_glib();
    status_open(&options);
    status_write();
    /* Not with our words: GStreamer would take --gst options out of them. */
    if (signal_pipe < 0 || !gst_init_check(NULL, NULL, &error)) {
        report("restart", "cannot start: %s", error != NULL ? error->message : "no pipe for signals");
        return refuse(CODE_RESTART, "GStreamer cannot start");
    }
    pipeline = pipeline_make(&options);
    if (pipeline == NULL) {
        return refuse(CODE_GIVE_UP, "the pipeline or a file of it is wrong");
    }
    if (watch_open(pipeline) == 0) {
        report("warning", "the pipeline has no sink: nothing to watch");
    }
    return run(pipeline, signal_pipe);
}
