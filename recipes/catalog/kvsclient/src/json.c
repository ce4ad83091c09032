#include "json.h"

#include <string.h>

#define MOST_LEVELS 16

struct reader {
    const char *at, *end;
};

static void skip_space(struct reader *reader) {
    while (reader->at < reader->end && strchr(" \t\r\n", *reader->at) != NULL && *reader->at != '\0') {
        reader->at++;
    }
}

static gboolean take(struct reader *reader, char letter) {
    skip_space(reader);
    if (reader->at == reader->end || *reader->at != letter) {
        return FALSE;
    }
    reader->at++;
    return TRUE;
}

static gboolean skip_string(struct reader *reader) {
    if (!take(reader, '"')) {
        return FALSE;
    }
    for (; reader->at < reader->end; reader->at++) {
        if (*reader->at == '"') {
            reader->at++;
            return TRUE;
        }
        if (*reader->at == '\\' && ++reader->at == reader->end) {
            return FALSE;
        }
    }
    return FALSE;
}

/* A number, true, false or null: where it ends is all that matters here. */
static gboolean skip_word(struct reader *reader) {
    const char *began = reader->at;

    while (reader->at < reader->end && (g_ascii_isalnum(*reader->at) || strchr("+-.", *reader->at) != NULL) &&
           *reader->at != '\0') {
        reader->at++;
    }
    return reader->at > began;
}

static gboolean skip_value(struct reader *reader, int level);

static gboolean skip_members(struct reader *reader, char last, int level) {
    if (take(reader, last)) {
        return TRUE;
    }
    do {
        if (last == '}' && (!skip_string(reader) || !take(reader, ':'))) {
            return FALSE;
        }
        if (!skip_value(reader, level)) {
            return FALSE;
        }
    } while (take(reader, ','));
    return take(reader, last);
}

static gboolean skip_value(struct reader *reader, int level) {
    if (level > MOST_LEVELS) {
        return FALSE;
    }
    skip_space(reader);
    if (reader->at == reader->end) {
        return FALSE;
    }
    switch (*reader->at) {
    case '"':
        return skip_string(reader);
    case '{':
        reader->at++;
        return skip_members(reader, '}', level + 1);
    case '[':
        reader->at++;
        return skip_members(reader, ']', level + 1);
    default:
        return skip_word(reader);
    }
}

/* Finds the value of one key of the object that the text is. */
static gboolean find_key(struct slice json, const char *key, gsize length, struct slice *value) {
    struct reader reader = {json.text, json.text + json.length};

    if (!take(&reader, '{')) {
        return FALSE;
    }
    do {
        const char *name;

        skip_space(&reader);
        name = reader.at + 1;
        if (!skip_string(&reader)) {
            return FALSE;
        }
        gboolean same = (gsize)(reader.at - name) == length + 1 && memcmp(name, key, length) == 0;

        if (!take(&reader, ':')) {
            return FALSE;
        }
        skip_space(&reader);
        value->text = reader.at;
        if (!skip_value(&reader, 0)) {
            return FALSE;
        }
        value->length = (gsize)(reader.at - value->text);
        if (same) {
            return TRUE;
        }
    } while (take(&reader, ','));
    return FALSE;
}

gboolean json_find(struct slice json, const char *path, struct slice *value) {
    const char *point;

    *value = json;
    while ((point = strchr(path, '.')) != NULL) {
        if (!find_key(*value, path, (gsize)(point - path), value)) {
            return FALSE;
        }
        path = point + 1;
    }
    return find_key(*value, path, strlen(path), value);
}

gboolean json_string(struct slice json, const char *path, char *out, gsize size) {
    struct slice value;
    gsize length = 0;

    if (!json_find(json, path, &value) || value.length < 2 || value.text[0] != '"') {
        return FALSE;
    }
    for (gsize i = 1; i + 1 < value.length; i++) {
        char letter = value.text[i];

        /* Only what a writer may escape without need; \u and line breaks are no part of any value that is read here. */
        if (letter == '\\' && strchr("/\\\"", letter = value.text[++i]) == NULL) {
            return FALSE;
        }
        if (!g_ascii_isprint(letter) || length + 1 >= size) {
            return FALSE;
        }
        out[length++] = letter;
    }
    out[length] = '\0';
    return TRUE;
}

gboolean json_number(struct slice json, const char *path, guint64 *number) {
    struct slice value;
    char digits[24], *end;

    if (!json_find(json, path, &value) || value.length == 0 || value.length >= sizeof digits) {
        return FALSE;
    }
    memcpy(digits, value.text, value.length);
    digits[value.length] = '\0';
    if (!g_ascii_isdigit(digits[0])) {
        return FALSE;
    }
    *number = g_ascii_strtoull(digits, &end, 10);
    return *end == '\0';
}
