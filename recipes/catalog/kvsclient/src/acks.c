#include "acks.h"

#include <string.h>

#include "json.h"
#include "report.h"

static gboolean read_ack(struct slice json, struct ack *ack) {
    static const char *const events[] = {"BUFFERING", "RECEIVED", "PERSISTED", "IDLE", "ERROR", NULL};
    struct slice ignored;

    memset(ack, 0, sizeof *ack);
    if (!json_string(json, "EventType", ack->event, sizeof ack->event) || !g_strv_contains(events, ack->event)) {
        return FALSE;
    }
    ack->timed = json_number(json, "FragmentTimecode", &ack->timecode);
    if (json_find(json, "FragmentNumber", &ignored) &&
        !json_string(json, "FragmentNumber", ack->fragment, sizeof ack->fragment)) {
        return FALSE;
    }
    if (strcmp(ack->event, "ERROR") == 0) {
        if (!json_string(json, "ErrorCode", ack->error, sizeof ack->error)) {
            ack->error[0] = '\0';
        }
        return json_number(json, "ErrorId", &ack->error_id);
    }
    return ack->timed || strcmp(ack->event, "IDLE") == 0;
}

/* Follows one byte: TRUE where it ends an object. */
static gboolean ends_object(struct acks *acks, char byte) {
    if (acks->quoted) {
        if (acks->escaped) {
            acks->escaped = FALSE;
        } else if (byte == '\\') {
            acks->escaped = TRUE;
        } else if (byte == '"') {
            acks->quoted = FALSE;
        }
        return FALSE;
    }
    if (byte == '"') {
        acks->quoted = TRUE;
    } else if (byte == '{') {
        acks->depth++;
    } else if (byte == '}') {
        return --acks->depth == 0;
    }
    return FALSE;
}

gboolean acks_feed(struct acks *acks, const char *bytes, gsize length, ack_taken taken, void *data) {
    for (gsize i = 0; i < length; i++) {
        struct ack ack;

        if (acks->depth == 0 && g_ascii_isspace(bytes[i])) {
            continue;
        }
        if ((acks->depth == 0 && bytes[i] != '{') || acks->length == sizeof acks->text) {
            return FALSE;
        }
        acks->text[acks->length++] = bytes[i];
        if (!ends_object(acks, bytes[i])) {
            continue;
        }
        if (!read_ack((struct slice){acks->text, acks->length}, &ack)) {
            return FALSE;
        }
        acks->length = 0;
        taken(&ack, data);
    }
    return TRUE;
}

void acks_print(guint connection, const struct ack *ack) {
    GString *row = row_begin(connection, "ack");

    row_text(row, ack->event, strlen(ack->event), sizeof ack->event);
    if (ack->timed) {
        g_string_append_printf(row, ",\"timecode\":%" G_GUINT64_FORMAT, ack->timecode);
    }
    if (ack->fragment[0] != '\0') {
        g_string_append(row, ",\"fragment\":");
        row_text(row, ack->fragment, strlen(ack->fragment), sizeof ack->fragment);
    }
    if (strcmp(ack->event, "ERROR") == 0) {
        g_string_append_printf(row, ",\"error_id\":%" G_GUINT64_FORMAT ",\"error\":", ack->error_id);
        row_text(row, ack->error, strlen(ack->error), sizeof ack->error);
    }
    row_end(row);
}
