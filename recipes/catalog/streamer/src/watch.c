#include "watch.h"

#include <string.h>

#define MOST_PADS 16
#define MOST_SINKS 4

/* What a kvssink's fragment-ack points to, as far as it is needed: FragmentAck of the SDK's client, Include.h. */
struct fragment_ack {
    guint32 version;
    gint type;
};
#define ACK_PERSISTED 3

/* Counted by the pipeline's threads with 32 bits, which every processor does in one piece; they may wrap between two
 * updates no more than once, that is after 4 GiB. */
struct counted {
    gint now;
    guint before;
};

struct pad {
    char name[80];
    GstPad *pad;
    struct counted buffers, bytes;
    gint ended;
    guint64 total_buffers, total_bytes;
    gint64 moved; /* when the last buffer was seen, or 0 */
    gboolean pictures;
};

struct sink {
    char name[64];
    GstElement *element;
    struct counted fragments;
    gint status;
    guint64 total;
    gint64 moved, expected; /* when the last fragment was confirmed; since when one is awaited, or 0 */
};

static struct pad pads[MOST_PADS];
static struct sink sinks[MOST_SINKS];
static gint pad_count; /* pads come while the pipeline runs, from its threads */
static guint sink_count;
static GMutex pads_lock;

static guint difference(struct counted *counted) {
    guint now = (guint)g_atomic_int_get(&counted->now);
    guint more = now - counted->before;

    counted->before = now;
    return more;
}

static void count(struct pad *pad, gsize bytes) {
    g_atomic_int_inc(&pad->buffers.now);
    g_atomic_int_add(&pad->bytes.now, (gint)bytes);
}

static gboolean count_one(GstBuffer **buffer, guint index, gpointer pad) {
    (void)index;
    count(pad, gst_buffer_get_size(*buffer));
    return TRUE;
}

static GstPadProbeReturn on_data(GstPad *pad, GstPadProbeInfo *info, gpointer data) {
    struct pad *seen = data;

    (void)pad;
    if ((info->type & GST_PAD_PROBE_TYPE_BUFFER) != 0) {
        count(seen, gst_buffer_get_size(GST_PAD_PROBE_INFO_BUFFER(info)));
    } else if ((info->type & GST_PAD_PROBE_TYPE_BUFFER_LIST) != 0) {
        gst_buffer_list_foreach(GST_PAD_PROBE_INFO_BUFFER_LIST(info), count_one, seen);
    } else if (GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) == GST_EVENT_EOS) {
        g_atomic_int_set(&seen->ended, 1);
    } else if (GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) == GST_EVENT_STREAM_START) {
        g_atomic_int_set(&seen->ended, 0);
    }
    return GST_PAD_PROBE_OK;
}

static void on_pad(GstElement *element, GstPad *pad, gpointer data) {
    gint number;

    (void)data;
    if (!GST_PAD_IS_SINK(pad)) {
        return;
    }
    g_mutex_lock(&pads_lock);
    number = g_atomic_int_get(&pad_count);
    if (number < MOST_PADS) {
        g_snprintf(pads[number].name, sizeof pads[number].name, "%s.%s", GST_OBJECT_NAME(element), GST_PAD_NAME(pad));
        pads[number].pad = gst_object_ref(pad);
        gst_pad_add_probe(pad,
                          GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST |
                              GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM,
                          on_data, &pads[number], NULL);
        g_atomic_int_inc(&pad_count);
    }
    g_mutex_unlock(&pads_lock);
}

static void on_pad_gone(GstElement *element, GstPad *pad, gpointer data) {
    (void)element;
    (void)data;
    for (gint i = 0; i < g_atomic_int_get(&pad_count); i++) {
        if (pads[i].pad == pad) {
            g_atomic_int_set(&pads[i].ended, 1);
        }
    }
}

static void on_ack(GstElement *element, const struct fragment_ack *ack, gpointer data) {
    struct sink *sink = data;

    (void)element;
    if (ack != NULL && ack->type == ACK_PERSISTED) {
        g_atomic_int_inc(&sink->fragments.now);
    }
}

static void on_stream_error(GstElement *element, guint64 status, gpointer data) {
    struct sink *sink = data;

    (void)element;
    g_atomic_int_set(&sink->status, (gint)status);
}

/* Says whether a sink is one whose fragments are confirmed: it has the signal, and was not told to do without. */
static gboolean confirms(GstElement *element) {
    gboolean acks = TRUE;

    if (g_signal_lookup("fragment-ack", G_OBJECT_TYPE(element)) == 0) {
        return FALSE;
    }
    if (g_object_class_find_property(G_OBJECT_GET_CLASS(element), "fragment-acks") != NULL) {
        g_object_get(element, "fragment-acks", &acks, NULL);
    }
    return acks;
}

static void watch_sink(GstElement *element) {
    GstIterator *all = gst_element_iterate_sink_pads(element);
    GValue item = G_VALUE_INIT;

    while (gst_iterator_next(all, &item) == GST_ITERATOR_OK) {
        on_pad(element, g_value_get_object(&item), NULL);
        g_value_reset(&item);
    }
    g_value_unset(&item);
    gst_iterator_free(all);
    g_signal_connect(element, "pad-added", G_CALLBACK(on_pad), NULL);
    g_signal_connect(element, "pad-removed", G_CALLBACK(on_pad_gone), NULL);
    if (sink_count < MOST_SINKS && confirms(element)) {
        struct sink *sink = &sinks[sink_count++];

        g_strlcpy(sink->name, GST_OBJECT_NAME(element), sizeof sink->name);
        sink->element = gst_object_ref(element);
        g_signal_connect(element, "fragment-ack", G_CALLBACK(on_ack), sink);
        if (g_signal_lookup("stream-error", G_OBJECT_TYPE(element)) != 0) {
            g_signal_connect(element, "stream-error", G_CALLBACK(on_stream_error), sink);
        }
    }
}

guint watch_open(GstElement *pipeline) {
    GstIterator *all = gst_bin_iterate_sinks(GST_BIN(pipeline));
    GValue item = G_VALUE_INIT;
    guint seen = 0;

    while (gst_iterator_next(all, &item) == GST_ITERATOR_OK) {
        GstElement *element = g_value_get_object(&item);

        /* A plain bin holds sinks as they were written; one of a kind of its own (autovideosink) makes them later. */
        if (G_OBJECT_TYPE(element) == GST_TYPE_BIN) {
            seen += watch_open(element);
        } else {
            watch_sink(element);
            seen++;
        }
        g_value_reset(&item);
    }
    g_value_unset(&item);
    gst_iterator_free(all);
    return seen;
}

static gboolean takes_pictures(GstPad *pad) {
    GstCaps *caps = gst_pad_get_current_caps(pad);
    const char *media;
    gboolean pictures;

    if (caps == NULL) {
        return FALSE;
    }
    media = gst_structure_get_name(gst_caps_get_structure(caps, 0));
    pictures = g_str_has_prefix(media, "video/") || g_str_has_prefix(media, "image/");
    gst_caps_unref(caps);
    return pictures;
}

void watch_update(gint64 now) {
    for (gint i = 0; i < g_atomic_int_get(&pad_count); i++) {
        guint more = difference(&pads[i].buffers);

        pads[i].total_bytes += difference(&pads[i].bytes);
        if (more > 0) {
            pads[i].pictures = pads[i].moved == 0 ? takes_pictures(pads[i].pad) : pads[i].pictures;
            pads[i].total_buffers += more;
            pads[i].moved = now;
        }
    }
    for (guint i = 0; i < sink_count; i++) {
        guint more = difference(&sinks[i].fragments);
        gsize length = strlen(sinks[i].name);

        if (more > 0) {
            sinks[i].total += more;
            sinks[i].moved = sinks[i].expected = now;
        }
        for (gint p = 0; sinks[i].expected == 0 && p < g_atomic_int_get(&pad_count); p++) {
            if (pads[p].moved > 0 && strncmp(pads[p].name, sinks[i].name, length) == 0 && pads[p].name[length] == '.') {
                sinks[i].expected = now;
            }
        }
    }
}

static guint whole_seconds(gint64 from, gint64 now) {
    return (guint)((now - from) / G_USEC_PER_SEC);
}

char *watch_fault(const struct options *options, gint64 began, gint64 now) {
    for (gint i = 0; i < g_atomic_int_get(&pad_count); i++) {
        if (g_atomic_int_get(&pads[i].ended)) {
            continue;
        }
        if (pads[i].moved == 0 && options->start > 0 && whole_seconds(began, now) >= options->start) {
            return g_strdup_printf("no buffer at %s within %u s of the start", pads[i].name, options->start);
        }
        if (pads[i].moved > 0 && options->stall > 0 && whole_seconds(pads[i].moved, now) >= options->stall) {
            return g_strdup_printf("no buffer at %s for %u s, after %" G_GUINT64_FORMAT, pads[i].name, options->stall,
                                   pads[i].total_buffers);
        }
    }
    for (guint i = 0; i < sink_count && options->ack_stall > 0; i++) {
        if (sinks[i].expected > 0 && whole_seconds(sinks[i].expected, now) >= options->ack_stall) {
            return g_strdup_printf("no fragment of %s was confirmed for %u s, after %" G_GUINT64_FORMAT
                                   "; buffers still come, the service does not answer",
                                   sinks[i].name, options->ack_stall, sinks[i].total);
        }
    }
    return NULL;
}

struct totals watch_totals(gint64 now) {
    struct totals totals = {.frame_age = -1, .ack_age = -1};
    gint chosen = -1;

    for (gint i = 0; i < g_atomic_int_get(&pad_count); i++) {
        totals.bytes += pads[i].total_bytes;
        if (chosen < 0 || (pads[i].pictures && !pads[chosen].pictures)) {
            chosen = i;
        }
        if (pads[i].moved > 0 && (totals.frame_age < 0 || now - pads[i].moved < totals.frame_age)) {
            totals.frame_age = now - pads[i].moved;
        }
    }
    totals.frames = chosen >= 0 ? pads[chosen].total_buffers : 0;
    for (guint i = 0; i < sink_count; i++) {
        totals.fragments += sinks[i].total;
        if (sinks[i].moved > 0 && (totals.ack_age < 0 || now - sinks[i].moved < totals.ack_age)) {
            totals.ack_age = now - sinks[i].moved;
        }
        if (g_atomic_int_get(&sinks[i].status) != 0) {
            totals.status = (guint32)g_atomic_int_get(&sinks[i].status);
        }
    }
    return totals;
}

void watch_list(GString *json, gint64 now) {
    for (gint i = 0; i < g_atomic_int_get(&pad_count); i++) {
        char *name = g_strescape(pads[i].name, NULL);

        /* An element's name may have any letter; what is escaped with octal digits would be no JSON. */
        g_strdelimit(name, "\\\"", '_');
        g_string_append_printf(json, "%s{\"pad\":\"%s\",\"buffers\":%" G_GUINT64_FORMAT ",\"age\":", i > 0 ? "," : "",
                               name, pads[i].total_buffers);
        if (pads[i].moved > 0) {
            g_string_append_printf(json, "%u}", whole_seconds(pads[i].moved, now));
        } else {
            g_string_append(json, "null}");
        }
        g_free(name);
    }
}
