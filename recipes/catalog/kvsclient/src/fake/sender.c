/* A sender for tests: it keeps what it gets, tells errors in kvssink's words, and sends nothing anywhere.
 *
 * Two properties are its own, and have a variable each, since a rendered pipeline knows neither: `fault`
 * (FAKEKVSSINK_FAULT, see fault.h) and `dump` (FAKEKVSSINK_DUMP, see dump.h).
 *
 * As the real one it begins a fragment at every key frame (sound alone: every fragment-duration), and tells for each
 * one that ends the acks BUFFERING, RECEIVED and PERSISTED. */
#include "../element/sender.h"

#include <signal.h>
#include <string.h>

#include "dump.h"
#include "fault.h"

enum { FAULT = EXTRA, DUMP };

const struct sender_kind sender_kind = {
    "fakekvssink", "KVS Sink (fake)", "Takes kvssink's place in tests; nothing leaves the machine", {"fault", "dump"}};
static const char *const ack_names[] = {"UNDEFINED", "BUFFERING", "RECEIVED", "PERSISTED"};

struct sender {
    GstElement *element;
    struct properties *properties;
    struct fault fault;
    struct dump dump;
    gboolean video;
    /* Below: of the pads' threads, under the lock. */
    GMutex lock;
    GCond taken_down;
    gboolean down;
    guint64 frames, fragment;
    GstClockTime fragment_start;
    GSList *kept; /* what is leaked */
};

struct sender *sender_new(GstElement *element, struct properties *properties) {
    struct sender *sender = g_new0(struct sender, 1);

    sender->element = element;
    sender->properties = properties;
    g_mutex_init(&sender->lock);
    g_cond_init(&sender->taken_down);
    return sender;
}

void sender_free(struct sender *sender) {
    g_mutex_clear(&sender->lock);
    g_cond_clear(&sender->taken_down);
    g_free(sender);
}

/* Waits until the pipeline is taken down, or for ever. Under the lock. */
static void wait_stalled(struct sender *sender) {
    while (sender->fault.kind == FAULT_HANG || !sender->down) {
        g_cond_wait(&sender->taken_down, &sender->lock);
    }
}

/* Does what should go wrong with this frame. Under the lock. */
static GstFlowReturn suffer(struct sender *sender) {
    if (sender->fault.kind == FAULT_NONE || sender->frames < sender->fault.frame) {
        return GST_FLOW_OK;
    }
    switch (sender->fault.kind) {
    case FAULT_STALL:
    case FAULT_HANG:
        wait_stalled(sender);
        return GST_FLOW_FLUSHING;
    case FAULT_SLOW:
        g_usleep(sender->fault.value * 1000);
        return GST_FLOW_OK;
    case FAULT_WARN:
        GST_ELEMENT_WARNING(sender->element, RESOURCE, WRITE, (NULL),
                            ("put frame error occurred. Status: 0x%08x", (guint)sender->fault.value));
        return GST_FLOW_OK;
    case FAULT_LEAK:
        sender->kept = g_slist_prepend(sender->kept, g_malloc(sender->fault.value * 1024));
        memset(sender->kept->data, 1, sender->fault.value * 1024);
        return GST_FLOW_OK;
    case FAULT_CRASH:
        raise(SIGSEGV);
        return GST_FLOW_ERROR;
    case FAULT_ERROR:
        element_tell_status(sender->element, (guint32)sender->fault.value);
        element_fail(sender->element, (guint32)sender->fault.value);
        return GST_FLOW_ERROR;
    case FAULT_TELL:
        element_tell_status(sender->element, (guint32)sender->fault.value);
        return GST_FLOW_OK;
    default:
        return GST_FLOW_OK;
    }
}

/* Whether the service is silent. Under the lock. */
static gboolean is_mute(const struct sender *sender) {
    return (sender->fault.kind == FAULT_MUTE || sender->fault.kind == FAULT_TELL) && sender->frames >= sender->fault.frame;
}

/* Ends the fragment that is open, as the service would confirm it. Under the lock. */
static void end_fragment(struct sender *sender) {
    char number[32];

    if (sender->fragment == 0 || is_mute(sender) || !sender->properties->on[FRAGMENT_ACKS]) {
        return;
    }
    g_snprintf(number, sizeof number, "%" G_GUINT64_FORMAT, sender->fragment);
    for (enum ack_kind kind = ACK_BUFFERING; kind <= ACK_PERSISTED; kind++) {
        dump_ack(&sender->dump, ack_names[kind], sender->fragment);
        element_tell_ack(sender->element, kind, sender->fragment_start / GST_MSECOND, number);
    }
}

static void begin_fragment(struct sender *sender, GstPad *pad, GstBuffer *buffer) {
    GstClockTime time = GST_BUFFER_PTS(buffer);
    GstClockTime length = sender->properties->number[FRAGMENT_DURATION] * GST_MSECOND;
    gboolean key = !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);

    if (sender->video ? is_video_pad(pad) && key
                      : sender->fragment == 0 || time >= sender->fragment_start + length) {
        end_fragment(sender);
        sender->fragment++;
        sender->fragment_start = time;
    }
}

gboolean sender_caps(struct sender *sender, GstPad *pad, GstCaps *caps) {
    g_mutex_lock(&sender->lock);
    dump_caps(&sender->dump, GST_PAD_NAME(pad), caps);
    g_mutex_unlock(&sender->lock);
    return TRUE;
}

GstFlowReturn sender_take(struct sender *sender, GstPad *pad, const GstSegment *segment, GstBuffer *buffer) {
    GstFlowReturn answer;

    (void)segment;
    g_mutex_lock(&sender->lock);
    answer = suffer(sender);
    if (answer == GST_FLOW_OK) {
        begin_fragment(sender, pad, buffer);
        dump_frame(&sender->dump, GST_PAD_NAME(pad), buffer, sender->fragment);
        sender->frames++;
    }
    g_mutex_unlock(&sender->lock);
    return answer;
}

/* The last of the pads to end closes the stream: the open fragment is confirmed, and the pipeline is told. */
void sender_end(struct sender *sender, GstPad *pad, gboolean last) {
    (void)pad;
    g_mutex_lock(&sender->lock);
    if (last && is_mute(sender)) {
        wait_stalled(sender); /* the real one waits for its ack */
        last = FALSE;
    } else if (last) {
        end_fragment(sender);
        dump_end(&sender->dump, sender->frames);
    }
    g_mutex_unlock(&sender->lock);
    if (last) {
        element_end(sender->element);
    }
}

gboolean sender_open(struct sender *sender, gboolean video, gboolean audio) {
    char **text = sender->properties->text;
    const char *fault = text[FAULT] != NULL ? text[FAULT] : g_getenv("FAKEKVSSINK_FAULT");
    const char *folder = text[DUMP] != NULL ? text[DUMP] : g_getenv("FAKEKVSSINK_DUMP");

    (void)audio;
    sender->video = video;
    if (!fault_read(fault, &sender->fault)) {
        GST_ELEMENT_ERROR(sender->element, LIBRARY, SETTINGS, (NULL), ("%s is no fault", fault));
        return FALSE;
    }
    if (folder != NULL && !dump_open(&sender->dump, folder)) {
        GST_ELEMENT_ERROR(sender->element, RESOURCE, OPEN_WRITE, (NULL), ("nothing can be written in %s", folder));
        return FALSE;
    }
    if (sender->fault.kind == FAULT_ERROR && sender->fault.frame == 0) {
        element_fail_to_open(sender->element, (guint32)sender->fault.value);
        return FALSE;
    }
    return TRUE;
}

static void set_down(struct sender *sender, gboolean down) {
    g_mutex_lock(&sender->lock);
    sender->down = down;
    g_cond_broadcast(&sender->taken_down);
    g_mutex_unlock(&sender->lock);
}

void sender_start(struct sender *sender) {
    set_down(sender, FALSE);
}

void sender_stop(struct sender *sender) {
    if (sender->fault.kind == FAULT_HANG) {
        g_usleep(G_MAXULONG); /* no lock of another thread is needed to be stuck */
    }
    set_down(sender, TRUE);
}

void sender_close(struct sender *sender) {
    dump_close(&sender->dump);
}

static gboolean plugin_init(GstPlugin *plugin) {
    return element_register(plugin);
}

#define PACKAGE "boardcast"
GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, fakekvssink, "A kvssink for tests", plugin_init, "1.0", "BSD",
                  "boardcast", "https://gstreamer.freedesktop.org")
