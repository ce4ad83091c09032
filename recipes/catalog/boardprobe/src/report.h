/* The report: one JSON object on stdout, and the worst finding as exit code. */
#ifndef BOARDPROBE_REPORT_H
#define BOARDPROBE_REPORT_H

#include <stdbool.h>
#include <stddef.h>

enum level { LEVEL_OK, LEVEL_NOTE, LEVEL_WARN, LEVEL_ERROR };

/* Facts come first, findings after them; `name` is a plain identifier. */
void report_begin(void);
void report_text(const char *name, const char *value);
void report_number(const char *name, long long value);
void report_flag(const char *name, bool value);
void report_open(const char *name);
void report_close(void);
/* A list: its items are objects, each ended with report_close, or plain values. */
void report_list(const char *name);
void report_list_end(void);
void report_item_open(void);
void report_item_text(const char *value);
void report_item_number(long long value);
void report_item_decimal(double value);
/* End an object that is a line of its own, and send it: false where that failed. */
bool report_line_end(void);
/* Bytes that were printed so far. */
size_t report_size(void);
__attribute__((format(printf, 3, 4))) void finding(enum level level, const char *check, const char *format, ...);
/* Print the findings and end the object; returns the exit code: 0 ok or notes, 1 a warning, 2 an error. */
int report_end(void);

#endif
