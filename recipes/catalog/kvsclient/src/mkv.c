#include "mkv.h"

#include <string.h>

#define LIBRARY "Kinesis Video SDK"
#define APPLICATION "Kinesis Video SDK 1.1.0"

static void put_number(GByteArray *out, guint64 number, guint bytes) {
    guint8 big[8];

    for (guint i = 0; i < bytes; i++) {
        big[i] = (guint8)(number >> (8 * (bytes - 1 - i)));
    }
    g_byte_array_append(out, big, bytes);
}

static void put_id(GByteArray *out, guint32 id) {
    put_number(out, id, id > 0xffffff ? 4 : id > 0xffff ? 3 : id > 0xff ? 2 : 1);
}

/* A size in a given number of bytes; 0: as few as hold it. */
static void put_size(GByteArray *out, guint64 size, guint bytes) {
    while (bytes == 0 || (bytes < 8 && size >= (G_GUINT64_CONSTANT(1) << (7 * bytes)) - 1)) {
        bytes++;
    }
    put_number(out, size | G_GUINT64_CONSTANT(1) << (7 * bytes), bytes);
}

static void put_unsigned(GByteArray *out, guint32 id, guint64 number, guint bytes) {
    put_id(out, id);
    put_size(out, bytes, 0);
    put_number(out, number, bytes);
}

static void put_bytes(GByteArray *out, guint32 id, const void *bytes, gsize size) {
    put_id(out, id);
    put_size(out, size, 0);
    g_byte_array_append(out, bytes, (guint)size);
}

static void put_text(GByteArray *out, guint32 id, const char *text) {
    put_bytes(out, id, text, strlen(text));
}

/* Puts an element around what was made already, and frees that. */
static void put_around(GByteArray *out, guint32 id, guint size_bytes, GByteArray *inside) {
    put_id(out, id);
    put_size(out, inside->len, size_bytes);
    g_byte_array_append(out, inside->data, inside->len);
    g_byte_array_unref(inside);
}

static void put_ebml(GByteArray *out) {
    GByteArray *ebml = g_byte_array_new();

    put_unsigned(ebml, 0x4286, 1, 1); /* EBMLVersion */
    put_unsigned(ebml, 0x42f7, 1, 1); /* EBMLReadVersion */
    put_unsigned(ebml, 0x42f2, 4, 1); /* EBMLMaxIDLength */
    put_unsigned(ebml, 0x42f3, 8, 1); /* EBMLMaxSizeLength */
    put_text(ebml, 0x4282, "matroska");
    put_unsigned(ebml, 0x4287, 2, 1); /* DocTypeVersion */
    put_unsigned(ebml, 0x4285, 2, 1); /* DocTypeReadVersion */
    put_around(out, 0x1a45dfa3, 0, ebml);
}

static void put_info(GByteArray *out, const guint8 uid[16]) {
    GByteArray *info = g_byte_array_new();

    put_bytes(info, 0x73a4, uid, 16);
    put_unsigned(info, 0x2ad7b1, 1000000, 8); /* TimecodeScale: milliseconds */
    put_text(info, 0x7ba9, LIBRARY);          /* Title */
    put_text(info, 0x4d80, APPLICATION);      /* MuxingApp */
    put_text(info, 0x5741, APPLICATION);      /* WritingApp */
    put_around(out, 0x1549a966, 2, info);
}

static void put_track(GByteArray *out, guint number, const struct track *track) {
    GByteArray *entry = g_byte_array_new(), *kind = g_byte_array_new();

    put_unsigned(entry, 0xd7, number, 1);
    put_unsigned(entry, 0x73c5, number, 8); /* TrackUID */
    put_unsigned(entry, 0x83, track->audio ? 2 : 1, 1);
    put_text(entry, 0x536e, track->name);
    put_text(entry, 0x86, track->codec);
    if (track->audio) {
        guint64 bits;

        memcpy(&bits, &track->rate, sizeof bits);
        put_unsigned(kind, 0xb5, bits, 8); /* SamplingFrequency, a double */
        put_unsigned(kind, 0x9f, track->channels, 1);
    } else {
        put_unsigned(kind, 0xb0, track->width, 2);
        put_unsigned(kind, 0xba, track->height, 2);
    }
    put_around(entry, track->audio ? 0xe1 : 0xe0, 4, kind);
    put_bytes(entry, 0x63a2, track->private_data, track->private_size);
    put_around(out, 0xae, 4, entry);
}

void mkv_header(GByteArray *out, const guint8 uid[16], const struct track *tracks, guint count) {
    GByteArray *entries = g_byte_array_new();

    put_ebml(out);
    put_id(out, 0x18538067);
    put_number(out, 0xff, 1); /* a segment of unknown size */
    put_info(out, uid);
    for (guint i = 0; i < count; i++) {
        put_track(entries, i + 1, &tracks[i]);
    }
    put_around(out, 0x1654ae6b, 4, entries);
}

void mkv_cluster(GByteArray *out, guint64 milliseconds) {
    put_id(out, 0x1f43b675);
    put_number(out, 0xff, 1);
    put_unsigned(out, 0xe7, milliseconds, 8);
    put_unsigned(out, 0xa7, 0, 1); /* Position */
}

void mkv_block(GByteArray *out, guint number, gint16 relative, gboolean key, const guint8 *data, gsize size) {
    put_id(out, 0xa3);
    put_size(out, size + 4, 8);
    put_number(out, 0x80 | number, 1);
    put_number(out, (guint16)relative, 2);
    put_number(out, key ? 0x80 : 0, 1);
    g_byte_array_append(out, data, (guint)size);
}

void mkv_end_of_fragment(GByteArray *out) {
    static const char name[] = "AWS_KINESISVIDEO_END_OF_FRAGMENT";
    GByteArray *tag = g_byte_array_new(), *simple = g_byte_array_new(), *tags = g_byte_array_new();

    put_id(simple, 0x45a3); /* TagName */
    put_size(simple, strlen(name), 8);
    g_byte_array_append(simple, (const guint8 *)name, (guint)strlen(name));
    put_id(simple, 0x4487); /* TagString, empty */
    put_size(simple, 0, 8);
    put_around(tag, 0x67c8, 8, simple);
    put_around(tags, 0x7373, 8, tag);
    put_around(out, 0x1254c367, 8, tags);
}
