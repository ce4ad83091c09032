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
static size_t size;

__attribute__((format(printf, 1, 2))) static void put(const char *format, ...) {
    va_list values;
    va_start(values, format);
    int length = vprintf(format, values);
    va_end(values);
    size += length > 0 ? (size_t)length : 0;
}

static void put_string(const char *text) {
    put("\"");
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '"' || *at == '\\') {
            put("\\%c", *at);
        } else if (*at < 0x20 || *at >= 0x7f) {
            /* What a server or a file says may be in any encoding; the report stays ASCII. */
            put("\\u%04x", *at);
        } else {
            put("%c", *at);
        }
    }
    put("\"");
}

static void put_comma(void) {
    if (separate) {
        put(",");
    }
    separate = true;
}

static void put_name(const char *name) {
    put_comma();
    put_string(name);
    put(":");
}

size_t report_size(void) {
    return size;
}

void report_text(const char *name, const char *value) {
    put_name(name);
    put_string(value);
}

void report_number(const char *name, long long value) {
    put_name(name);
    put("%lld", value);
}

void report_flag(const char *name, bool value) {
    put_name(name);
    put(value ? "true" : "false");
}

static void put_begin(const char *bracket) {
    put("%s", bracket);
    separate = false;
}

static void put_end(const char *bracket) {
    put("%s", bracket);
    separate = true;
}

void report_begin(void) {
    put_begin("{");
}

void report_open(const char *name) {
    put_name(name);
    put_begin("{");
}

void report_close(void) {
    put_end("}");
}

void report_list(const char *name) {
    put_name(name);
    put_begin("[");
}

void report_list_end(void) {
    put_end("]");
}

void report_item_open(void) {
    put_comma();
    put_begin("{");
}

void report_item_text(const char *value) {
    put_comma();
    put_string(value);
}

void report_item_number(long long value) {
    put_comma();
    put("%lld", value);
}

void report_item_decimal(double value) {
    put_comma();
    put("%.3f", value);
}

bool report_line_end(void) {
    put("}\n");
    return fflush(stdout) == 0;
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
    report_list("findings");
    for (int at = 0; at < entry_count; at++) {
        report_item_open();
        report_text("level", names[entries[at].level]);
        report_text("check", entries[at].check);
        report_text("detail", entries[at].detail);
        report_close();
    }
    report_list_end();
    report_text("worst", names[worst]);
    if (!report_line_end()) {
        return 2;
    }
    return worst == LEVEL_ERROR ? 2 : worst == LEVEL_WARN ? 1 : 0;
}
