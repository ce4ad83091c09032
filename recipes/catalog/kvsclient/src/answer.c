#include "answer.h"

#include <string.h>

#include "report.h"

void answers_open(struct answers *answers, guint connection, gboolean print, const char *request) {
    *answers = (struct answers){.connection = connection, .print = print};
    answers->media = g_str_has_prefix(request, "POST /putMedia");
    answers->secret = g_str_has_prefix(request, "GET /role-aliases/");
    answers->events = g_ptr_array_new_with_free_func(g_free);
    answers->head = g_string_new(NULL);
    answers->body = g_string_new(NULL);
}

void answers_free(struct answers *answers) {
    g_ptr_array_unref(answers->events);
    g_string_free(answers->head, TRUE);
    g_string_free(answers->body, TRUE);
}

/* The value of a header in the head, or NULL. To be freed. */
static char *header(const GString *head, const char *name) {
    char **lines = g_strsplit(head->str, "\r\n", 200), *value = NULL;
    gsize length = strlen(name);

    for (guint i = 1; lines[0] != NULL && lines[i] != NULL && value == NULL; i++) {
        if (g_ascii_strncasecmp(lines[i], name, length) == 0 && lines[i][length] == ':') {
            value = g_strstrip(g_strdup(lines[i] + length + 1));
        }
    }
    g_strfreev(lines);
    return value;
}

/* The body is at its end. */
static void end(struct answers *answers) {
    if (answers->print && !(answers->media && answers->status == 200)) {
        GString *row = row_begin(answers->connection, "answer");
        char *type = header(answers->head, "x-amzn-ErrorType");

        g_string_append_printf(row, "%u,\"type\":", answers->status);
        row_text(row, type != NULL ? type : "", type != NULL ? strlen(type) : 0, 128);
        g_string_append(row, ",\"body\":");
        row_text(row, answers->body->str, answers->secret ? 0 : answers->body->len, MOST_ANSWER);
        row_end(row);
        g_free(type);
    }
    g_ptr_array_add(answers->events, g_strdup("end"));
    g_string_truncate(answers->head, 0);
    g_string_truncate(answers->body, 0);
    answers->complete = TRUE;
    answers->part = PART_HEAD;
}

static void on_ack(const struct ack *ack, void *data) {
    struct answers *answers = data;
    char *text;

    if (answers->print) {
        acks_print(answers->connection, ack);
    }
    if (strcmp(ack->event, "IDLE") == 0) {
        return; /* comes by the service's clock */
    }
    text = g_strdup_printf("%s %" G_GUINT64_FORMAT, ack->event, ack->timecode);
    if (strcmp(ack->event, "ERROR") == 0) {
        char *longer = g_strdup_printf("%s %" G_GUINT64_FORMAT, text, ack->error_id);

        g_free(text);
        text = longer;
    }
    g_ptr_array_add(answers->events, text);
}

static void take_body(struct answers *answers, const char *bytes, gsize length) {
    if (answers->media && answers->status == 200) {
        answers->foreign = !acks_feed(&answers->acks, bytes, length, on_ack, answers);
    } else if (answers->body->len + length > MOST_ANSWER) {
        answers->foreign = TRUE;
    } else {
        g_string_append_len(answers->body, bytes, (gssize)length);
    }
}

/* A whole head is there: what follows it. */
static void read_head(struct answers *answers) {
    char *length = header(answers->head, "content-length"), *coding = header(answers->head, "transfer-encoding");

    answers->complete = FALSE;
    if (!g_str_has_prefix(answers->head->str, "HTTP/1.1 ") || answers->head->len < 12) {
        answers->foreign = TRUE;
    } else {
        answers->status = (guint)g_ascii_strtoull(answers->head->str + 9, NULL, 10) % 1000;
        g_ptr_array_add(answers->events, g_strdup_printf("%u", answers->status));
        if (answers->print) {
            GString *row = row_begin(answers->connection, "status");

            g_string_append_printf(row, "%u", answers->status);
            row_end(row);
        }
        answers->left = length != NULL ? g_ascii_strtoull(length, NULL, 10) : 0;
        if (answers->status / 100 == 1) {
            g_string_truncate(answers->head, 0);
        } else if (coding != NULL && g_ascii_strcasecmp(coding, "chunked") == 0) {
            answers->part = PART_CHUNK_SIZE;
        } else if (length == NULL) {
            answers->part = PART_UNTIL_CLOSE;
        } else if (answers->left == 0) {
            end(answers);
        } else {
            answers->part = PART_LENGTH;
        }
    }
    g_free(length);
    g_free(coding);
}

/* One byte of a head, of a chunk's size or of what is between. Lines are kept in `head` or `body`'s place. */
static void take_byte(struct answers *answers, char byte) {
    static const char ends[] = "\r\n\r\n";
    GString *line = answers->part == PART_HEAD ? answers->head : answers->body;

    g_string_append_c(line, byte);
    if (line->len > MOST_HEAD) {
        answers->foreign = TRUE;
    } else if (answers->part == PART_HEAD) {
        if (g_str_has_suffix(line->str, ends)) {
            read_head(answers);
        }
    } else if (byte == '\n') {
        if (answers->part == PART_CHUNK_SIZE) {
            char *after = NULL;

            answers->left = g_ascii_strtoull(line->str, &after, 16);
            answers->foreign = after == line->str;
            answers->part = answers->left > 0 ? PART_CHUNK : PART_TRAILER;
        } else if (answers->part == PART_CHUNK_END) {
            answers->part = PART_CHUNK_SIZE;
        } else if (line->len <= 2) {
            end(answers);
        }
        g_string_truncate(answers->body, 0);
    }
}

void answers_feed(struct answers *answers, const char *bytes, gsize length) {
    while (length > 0 && !answers->foreign) {
        gsize taken = 1;

        if (answers->part == PART_UNTIL_CLOSE) {
            take_body(answers, bytes, length);
            return;
        }
        if (answers->part == PART_LENGTH || answers->part == PART_CHUNK) {
            taken = (gsize)MIN(answers->left, length);
            take_body(answers, bytes, taken);
            answers->left -= taken;
            if (answers->left == 0 && answers->part == PART_LENGTH) {
                end(answers);
            } else if (answers->left == 0) {
                answers->part = PART_CHUNK_END;
            }
        } else {
            take_byte(answers, *bytes);
        }
        bytes += taken;
        length -= taken;
    }
}

void answers_ended(struct answers *answers) {
    if (answers->part == PART_UNTIL_CLOSE && !answers->foreign) {
        end(answers);
    }
}
