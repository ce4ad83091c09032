/* The properties of kvssink with its names and defaults, and two of our own at the end of the texts. */
#ifndef FAKEKVSSINK_PROPERTIES_H
#define FAKEKVSSINK_PROPERTIES_H

#include <gst/gst.h>

enum { TEXT_COUNT = 13, NUMBER_COUNT = 15, SWITCH_COUNT = 10, STRUCTURE_COUNT = 2 };
/* Those that the fake itself looks at, by their place. */
enum { STREAM_NAME = 0, FAULT = TEXT_COUNT - 2, DUMP = TEXT_COUNT - 1, FRAGMENT_DURATION = 2, FRAGMENT_ACKS = 3 };

struct properties {
    gchar *text[TEXT_COUNT];
    guint number[NUMBER_COUNT];
    gboolean on[SWITCH_COUNT];
    GstStructure *structure[STRUCTURE_COUNT];
    gint mode;
};

void properties_install(GObjectClass *class);
void properties_default(struct properties *properties);
void properties_set(struct properties *properties, guint id, const GValue *value);
void properties_get(const struct properties *properties, guint id, GValue *value);
void properties_clear(struct properties *properties);

#endif
