/* Speaks PutMedia to Kinesis Video Streams as kvssink does: for tests, and where the SDK's sources are not available. */
#include <gst/gst.h>
#include <signal.h>

#include "codes.h"
#include "live.h"
#include "options.h"
#include "replay.h"
#include "report.h"

int main(int argc, char **argv) {
    struct options options;
    GError *error = NULL;
    int code;

    report_begin();
    code = options_read(argc, argv, &options);
    if (code >= 0) {
        return code;
    }
    report_name(options.stream != NULL ? options.stream : "replay");
    signal(SIGPIPE, SIG_IGN);
    if (options.replay != NULL) {
        return replay_run(&options);
    }
    /* Not with our words: GStreamer would take --gst options out of them. */
    if (!gst_init_check(NULL, NULL, &error)) {
        report("restart", "GStreamer cannot start: %s", error != NULL ? error->message : "?");
        return CODE_RESTART;
    }
    return live_run(&options);
}
