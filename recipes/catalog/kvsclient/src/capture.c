#include "capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "report.h"

#define MOST_LINE (16u << 20)
#define MOST_BYTES (256u << 20)
#define MOST_HEAD 65536u

static void free_record(gpointer data) {
    struct record *record = data;

    g_bytes_unref(record->data);
    g_free(record);
}

/* Decodes the base64 of `data`; `text` is that string, quotation marks included. */
static GBytes *decode(struct slice text) {
    char *copy = g_strndup(text.text + 1, text.length - 2);
    gsize size = 0;
    guchar *bytes = g_base64_decode(copy, &size);

    g_free(copy);
    return g_bytes_new_take(bytes, size);
}

static struct record *read_record(struct slice line) {
    struct slice time, data;
    struct record *record;
    guint64 connection;
    char from[8], seconds[32], *end;
    double value;

    if (!json_number(line, "connection", &connection) || connection > G_MAXUINT ||
        !json_string(line, "from", from, sizeof from) || !json_find(line, "t", &time) ||
        time.length >= sizeof seconds || !json_find(line, "data", &data) || data.length < 2 || data.text[0] != '"') {
        return NULL;
    }
    memcpy(seconds, time.text, time.length);
    seconds[time.length] = '\0';
    value = g_ascii_strtod(seconds, &end);
    if (*end != '\0' || !(value >= 0 && value < 1e6) || (strcmp(from, "client") != 0 && strcmp(from, "server") != 0)) {
        return NULL;
    }
    record = g_new(struct record, 1);
    *record = (struct record){(guint)connection, (gint64)(value * G_USEC_PER_SEC), from[0] == 'c', decode(data)};
    return record;
}

GPtrArray *capture_read(const char *path) {
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    GPtrArray *records = g_ptr_array_new_with_free_func(free_record);
    gsize room = 0, all = 0;
    char *line = NULL;
    ssize_t length;

    if (file == NULL) {
        report("usage", "%s cannot be opened", path);
        g_ptr_array_unref(records);
        return NULL;
    }
    while (records != NULL && (length = getline(&line, &room, file)) > 0) {
        struct record *record;

        all += (gsize)length;
        record = length <= MOST_LINE && all <= MOST_BYTES ? read_record((struct slice){line, (gsize)length}) : NULL;
        if (record != NULL) {
            g_ptr_array_add(records, record);
            continue;
        }
        report("usage", "line %u of the capture is none, or it is too long; a packed one goes through zcat",
               records->len + 1);
        g_clear_pointer(&records, g_ptr_array_unref);
    }
    free(line);
    if (file != stdin) {
        fclose(file);
    }
    return records;
}

char *capture_request(const GPtrArray *records, guint connection) {
    GString *first = g_string_new(NULL);

    for (guint i = 0; i < records->len && first->len < MOST_HEAD; i++) {
        const struct record *record = records->pdata[i];
        gsize size;
        const char *bytes = g_bytes_get_data(record->data, &size);

        if (record->connection == connection && record->client && size > 0) {
            g_string_append_len(first, bytes, (gssize)MIN(size, MOST_HEAD));
        }
    }
    return g_string_free(first, FALSE);
}

char *capture_host(const GPtrArray *records, guint connection) {
    static const char mark[] = "\r\nHost: ";
    char *first = capture_request(records, connection), *found = strstr(first, mark), *host = NULL;

    if (found != NULL) {
        found += strlen(mark);
        host = g_strndup(found, strcspn(found, "\r"));
    }
    g_free(first);
    return host;
}
