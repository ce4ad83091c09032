#include "dump.h"

#include <string.h>

gboolean dump_open(struct dump *dump, const char *folder) {
    char *frames = g_build_filename(folder, "frames.bin", NULL);
    char *index = g_build_filename(folder, "index.jsonl", NULL);

    dump->frames = fopen(frames, "wb");
    dump->index = fopen(index, "wb");
    dump->offset = 0;
    g_free(frames);
    g_free(index);
    return dump->frames != NULL && dump->index != NULL;
}

static void put_text(FILE *file, const char *text) {
    fputc('"', file);
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\') {
            fputc('\\', file);
        }
        fputc(*at, file);
    }
    fputc('"', file);
}

void dump_caps(struct dump *dump, const char *track, GstCaps *caps) {
    const GValue *data = gst_structure_get_value(gst_caps_get_structure(caps, 0), "codec_data");
    char *hex = data != NULL ? gst_value_serialize(data) : NULL;
    char *text;

    if (dump->index == NULL) {
        return;
    }
    text = gst_caps_to_string(caps);
    fprintf(dump->index, "{\"track\":\"%s\",\"caps\":", track);
    put_text(dump->index, text);
    fputs(",\"codec_data\":", dump->index);
    put_text(dump->index, hex != NULL ? hex : "");
    fputs("}\n", dump->index);
    g_free(text);
    g_free(hex);
}

static void put_time(FILE *file, const char *key, GstClockTime time) {
    if (GST_CLOCK_TIME_IS_VALID(time)) {
        fprintf(file, ",\"%s\":%" G_GUINT64_FORMAT, key, time);
    } else {
        fprintf(file, ",\"%s\":null", key);
    }
}

void dump_frame(struct dump *dump, const char *track, GstBuffer *buffer, guint64 fragment) {
    gboolean key = !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
    GstMapInfo map;

    if (dump->index == NULL || !gst_buffer_map(buffer, &map, GST_MAP_READ)) {
        return;
    }
    fwrite(map.data, 1, map.size, dump->frames);
    fprintf(dump->index, "{\"track\":\"%s\"", track);
    put_time(dump->index, "pts", GST_BUFFER_PTS(buffer));
    put_time(dump->index, "dts", GST_BUFFER_DTS(buffer));
    fprintf(dump->index, ",\"size\":%" G_GSIZE_FORMAT ",\"key\":%s,\"fragment\":%" G_GUINT64_FORMAT, map.size,
            key ? "true" : "false", fragment);
    fprintf(dump->index, ",\"offset\":%" G_GUINT64_FORMAT "}\n", dump->offset);
    dump->offset += map.size;
    gst_buffer_unmap(buffer, &map);
}

void dump_ack(struct dump *dump, const char *type, guint64 fragment) {
    if (dump->index != NULL) {
        fprintf(dump->index, "{\"ack\":\"%s\",\"fragment\":%" G_GUINT64_FORMAT "}\n", type, fragment);
        /* A test may look while the pipeline runs, or after it was killed. */
        fflush(dump->index);
        fflush(dump->frames);
    }
}

void dump_end(struct dump *dump, guint64 frames) {
    if (dump->index != NULL) {
        fprintf(dump->index, "{\"end\":true,\"frames\":%" G_GUINT64_FORMAT "}\n", frames);
        fflush(dump->index);
    }
}

void dump_close(struct dump *dump) {
    if (dump->frames != NULL) {
        fclose(dump->frames);
    }
    if (dump->index != NULL) {
        fclose(dump->index);
    }
    dump->frames = dump->index = NULL;
}
