#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_FINDINGS 128

struct entry {
    enum level level;
    char check[48];
    char detail[400];
};

static struct entry entries[MOST_FINDINGS];
static int entry_count;
static enum level worst;
static bool separate;

static void put_string(const char *text) {
    putchar('"');
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '"' || *at == '\\') {
            printf("\\%c", *at);
        } else if (*at < 0x20 || *at >= 0x7f) {
            /* What a server or a file says may be in any encoding; the report stays ASCII. */
            printf("\\u%04x", *at);
        } else {
            putchar(*at);
        }
    }
    putchar('"');
}

static void put_name(const char *name) {
    if (separate) {
        putchar(',');
    }
    separate = true;
    put_string(name);
    putchar(':');
}

void report_begin(void) {
    putchar('{');
    separate = false;
}

void report_text(const char *name, const char *value) {
    put_name(name);
    put_string(value);
}

void report_number(const char *name, long long value) {
    put_name(name);
    printf("%lld", value);
}

void report_flag(const char *name, bool value) {
    put_name(name);
    fputs(value ? "true" : "false", stdout);
}

void report_open(const char *name) {
    put_name(name);
    putchar('{');
    separate = false;
}

void report_close(void) {
    putchar('}');
    separate = true;
}

void finding(enum level level, const char *check, const char *format, ...) {
    va_list values;
    if (level > worst) {
        worst = level;
    }
    if (entry_count == MOST_FINDINGS) {
        return;
    }
    struct entry *entry = &entries[entry_count++];
    entry->level = level;
    snprintf(entry->check, sizeof entry->check, "%s", check);
    va_start(values, format);
    vsnprintf(entry->detail, sizeof entry->detail, format, values);
    va_end(values);
}

int report_end(void) {
    static const char *const names[] = {"ok", "note", "warn", "error"};
    put_name("findings");
    putchar('[');
    for (int at = 0; at < entry_count; at++) {
        if (at) {
            putchar(',');
        }
        fputs("{\"level\":", stdout);
        put_string(names[entries[at].level]);
        fputs(",\"check\":", stdout);
        put_string(entries[at].check);
        fputs(",\"detail\":", stdout);
        put_string(entries[at].detail);
        putchar('}');
    }
    putchar(']');
    report_text("worst", names[worst]);
    fputs("}\n", stdout);
    if (fflush(stdout) != 0) {
        return 2;
    }
    return worst == LEVEL_ERROR ? 2 : worst == LEVEL_WARN ? 1 : 0;
}
