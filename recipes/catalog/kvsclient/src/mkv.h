/* Matroska as the SDK's platform-independent code frames it, seen byte for byte in what kvssink 3.4.1 sends: a segment
 * and clusters of unknown size, one cluster a fragment, times in absolute milliseconds, eight-byte sizes of blocks. */
#ifndef KVSCLIENT_MKV_H
#define KVSCLIENT_MKV_H

#include <glib.h>

#define MOST_PRIVATE 4096

struct track {
    gboolean known;
    gboolean audio;
    const char *name, *codec; /* as Matroska writes them */
    guint width, height;
    guint channels;
    double rate;
    guint8 private_data[MOST_PRIVATE]; /* avcC, or AudioSpecificConfig */
    gsize private_size;
};

/* Appends the EBML header, the segment's start, its Info and its Tracks; track numbers are 1, 2. */
void mkv_header(GByteArray *out, const guint8 uid[16], const struct track *tracks, guint count);

/* Appends the start of a cluster. */
void mkv_cluster(GByteArray *out, guint64 milliseconds);

/* Appends a SimpleBlock. `relative`: milliseconds after its cluster's. */
void mkv_block(GByteArray *out, guint number, gint16 relative, gboolean key, const guint8 *data, gsize size);

/* Appends the tag that tells the service that the last fragment is complete. */
void mkv_end_of_fragment(GByteArray *out);

#endif
