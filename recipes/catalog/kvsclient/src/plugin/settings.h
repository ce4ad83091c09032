/* What kvssink's properties and the environment ask of our client. */
#ifndef KVSCLIENT_SETTINGS_H
#define KVSCLIENT_SETTINGS_H

#include "../element/properties.h"
#include "../frames.h"
#include "../options.h"

struct settings {
    struct options options;
    struct framing framing;
    GStringChunk *texts; /* what the options point to */
    const char *media_type;
};

/* Reads them for an element with such pads. Returns NULL, or what is wrong. `settings_clear` is called in any case. */
const char *settings_read(struct settings *settings, const struct properties *properties, gboolean video,
                          gboolean audio);

void settings_clear(struct settings *settings);

#endif
