#include "report.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static _Thread_local const char *name = "-";
static gint64 began;

static void write_all(int file, const char *text, gsize length) {
    while (length > 0) {
        ssize_t written = write(file, text, length);

        if (written <= 0) {
            return;
        }
        text += written;
        length -= (gsize)written;
    }
}

void report_name(const char *given) {
    name = given;
}

void report_begin(void) {
    began = g_get_monotonic_time();
}

void report(const char *kind, const char *format, ...) {
    char text[REPORT_LINE], line[REPORT_LINE];
    va_list values;
    int length;

    va_start(values, format);
    g_vsnprintf(text, sizeof text, format, values);
    va_end(values);
    for (char *at = text; *at != '\0'; at++) {
        *at = g_ascii_isprint(*at) ? *at : '?';
    }
    length = g_snprintf(line, sizeof line, "kvsclient: %s: %s: %s\n", name, kind, text);
    if (length >= (int)sizeof line) {
        length = sizeof line - 1;
        line[length - 1] = '\n';
    }
    write_all(STDERR_FILENO, line, (gsize)length);
}

GString *row_begin(guint connection, const char *event) {
    GString *row = g_string_new(NULL);
    gint64 milliseconds = (g_get_monotonic_time() - began) / 1000;

    g_string_printf(row, "{\"connection\":%u,\"t\":%" G_GINT64_FORMAT ".%03d,\"%s\":", connection, milliseconds / 1000,
                    (int)(milliseconds % 1000), event);
    return row;
}

void row_text(GString *row, const char *text, gsize length, gsize most) {
    g_string_append_c(row, '"');
    for (gsize i = 0; i < length && i < most; i++) {
        unsigned char byte = (unsigned char)text[i];

        if (byte == '"' || byte == '\\') {
            g_string_append_printf(row, "\\%c", byte);
        } else if (g_ascii_isprint((gchar)byte)) {
            g_string_append_c(row, (gchar)byte);
        } else {
            g_string_append_printf(row, "\\u%04x", byte);
        }
    }
    g_string_append_c(row, '"');
}

void row_end(GString *row) {
    g_string_append(row, "}\n");
    write_all(STDOUT_FILENO, row->str, row->len);
    g_string_free(row, TRUE);
}
