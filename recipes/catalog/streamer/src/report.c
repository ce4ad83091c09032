#include "report.h"

#include <string.h>
#include <unistd.h>

#define MOST_TEXT 480
#define BURST 10
#define PAUSE_SECONDS 30

static const char *stream_name = "stream";
static GPtrArray *hidden;
static GMutex seldom_lock;

void report_name(const char *name) {
    stream_name = name;
}

void report_hide(const char *secret) {
    if (secret == NULL || strlen(secret) < 4) {
        return;
    }
    if (hidden == NULL) {
        hidden = g_ptr_array_new();
    }
    g_ptr_array_add(hidden, g_strdup(secret));
}

static void hide_secrets(GString *text) {
    for (guint i = 0; hidden != NULL && i < hidden->len; i++) {
        const char *secret = g_ptr_array_index(hidden, i);
        char *at;

        while ((at = strstr(text->str, secret)) != NULL) {
            gssize place = at - text->str;

            g_string_erase(text, place, (gssize)strlen(secret));
            g_string_insert(text, place, "***"); /* shorter than any secret: this ends */
        }
    }
}

/* user:password@ in an address. To the last @ of the word, since a password may have one, or a slash. */
static void hide_users(GString *text) {
    gsize from = 0;
    const char *at;

    while ((at = strstr(text->str + from, "://")) != NULL) {
        gsize start = (gsize)(at - text->str) + 3;
        gsize length = strcspn(text->str + start, " \t\r\n\"'<>");
        const char *last = g_strrstr_len(text->str + start, (gssize)length, "@");

        if (last != NULL) {
            g_string_erase(text, (gssize)start, last - (text->str + start));
            g_string_insert(text, (gssize)start, "***");
        }
        from = start;
    }
}

/* Cameras and services take passwords in the rest of an address too, and elements as properties. */
static void hide_values(GString *text) {
    static const char *const keys[] = {
        "password=", "passwd=", "pwd=", "token=", "user-pw=", "secret-key=", "access-key=",
    };

    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        gsize length = strlen(keys[i]);

        for (gsize place = 0; place + length <= text->len; place++) {
            if (g_ascii_strncasecmp(text->str + place, keys[i], length) == 0) {
                gsize value = strcspn(text->str + place + length, " \t\r\n&,;)");

                g_string_erase(text, (gssize)(place + length), (gssize)value);
                g_string_insert(text, (gssize)(place + length), "***");
                place += length;
            }
        }
    }
}

char *report_clean(const char *text) {
    GString *clean = g_string_new(NULL);
    gboolean blank = FALSE;
    GString *raw;

    if (text == NULL) {
        text = "";
    }
    raw = g_string_new(text);
    /* Before anything is cut or joined: a secret that is cut in two is not found any more. */
    hide_secrets(raw);
    hide_users(raw);
    hide_values(raw);
    for (const char *at = raw->str; *at != '\0' && clean->len < MOST_TEXT;) {
        gunichar letter = g_utf8_get_char_validated(at, -1);
        gboolean valid = letter != (gunichar)-1 && letter != (gunichar)-2;

        if (valid && !g_unichar_iscntrl(letter) && !g_unichar_isspace(letter)) {
            if (blank && clean->len > 0) {
                g_string_append_c(clean, ' ');
            }
            g_string_append_unichar(clean, letter);
            blank = FALSE;
        } else if (valid) {
            blank = TRUE;
        } else {
            g_string_append_c(clean, '?');
        }
        at = valid ? g_utf8_next_char(at) : at + 1;
    }
    g_string_free(raw, TRUE);
    return g_string_free(clean, FALSE);
}

void report_line(char line[REPORT_LINE], const char *kind, const char *text) {
    char *clean = report_clean(text);

    g_snprintf(line, REPORT_LINE, "boardstream: %s: %s: %s\n", stream_name, kind, clean);
    g_free(clean);
}

static void put(const char *kind, const char *text) {
    char line[REPORT_LINE];

    report_line(line, kind, text);
    if (write(STDERR_FILENO, line, strlen(line)) < 0) {
        return; /* nobody reads it: nothing better to do than to go on */
    }
}

void report(const char *kind, const char *format, ...) {
    va_list values;
    char *text;

    va_start(values, format);
    text = g_strdup_vprintf(format, values);
    va_end(values);
    put(kind, text);
    g_free(text);
}

/* Says whether a line may be written now, and how many were left out before it. */
static gboolean may_write(guint *left_out) {
    static gint64 filled;
    static guint budget = BURST, skipped;
    gint64 now = g_get_monotonic_time();
    gboolean may;

    g_mutex_lock(&seldom_lock);
    if (filled == 0 || now - filled >= PAUSE_SECONDS * G_USEC_PER_SEC) {
        budget = MIN(budget + 1, BURST);
        filled = now;
    }
    may = budget > 0;
    *left_out = skipped;
    if (may) {
        budget--;
        skipped = 0;
    } else {
        skipped++;
    }
    g_mutex_unlock(&seldom_lock);
    return may;
}

void report_seldom(const char *kind, const char *format, ...) {
    guint left_out;
    va_list values;
    char *text;

    if (!may_write(&left_out)) {
        return;
    }
    if (left_out > 0) {
        report(kind, "%u lines like the next one were left out", left_out);
    }
    va_start(values, format);
    text = g_strdup_vprintf(format, values);
    va_end(values);
    put(kind, text);
    g_free(text);
}

static void on_glib(const char *domain, GLogLevelFlags level, const char *message, gpointer data) {
    (void)data;
    if ((level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING)) != 0) {
        report_seldom("warning", "%s: %s", domain != NULL ? domain : "glib", message);
    }
}

void report_catch_glib(void) {
    g_log_set_default_handler(on_glib, NULL);
}
