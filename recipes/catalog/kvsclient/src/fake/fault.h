/* What goes wrong, and from which frame on: KIND[=VALUE]@FRAME, such as stall@30 or error=0x5200007c@10. */
#ifndef FAKEKVSSINK_FAULT_H
#define FAKEKVSSINK_FAULT_H

#include <glib.h>

enum fault_kind {
    FAULT_NONE,
    FAULT_STALL, /* takes no more frames until the pipeline is taken down */
    FAULT_HANG,  /* takes no more frames, and does not let itself be taken down */
    FAULT_MUTE,  /* takes frames, and the service confirms nothing any more; its end is not confirmed either */
    FAULT_SLOW,  /* needs VALUE milliseconds for a frame (200) */
    FAULT_WARN,  /* warns of each frame with a status code, and takes it */
    FAULT_LEAK,  /* keeps VALUE KiB for each frame (1024) */
    FAULT_CRASH, /* ends the process with SIGSEGV */
    FAULT_ERROR, /* a status code, as the real one tells it; at frame 0 the stream cannot be created */
    FAULT_TELL   /* a status code through the signal alone, as for what the real one tries to get over; then as mute */
};

struct fault {
    enum fault_kind kind;
    guint64 value;
    guint64 frame;
};

/* Reads a fault. Returns FALSE for a text that is none; an empty one is no fault. */
gboolean fault_read(const char *text, struct fault *fault);

#endif
