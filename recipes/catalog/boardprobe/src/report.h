/* The report: one JSON object on stdout, and the worst finding as exit code. */
#ifndef BOARDPROBE_REPORT_H
#define BOARDPROBE_REPORT_H

#include <stdbool.h>

enum level { LEVEL_OK, LEVEL_NOTE, LEVEL_WARN, LEVEL_ERROR };

/* Facts come first, findings after them; `name` is a plain identifier. */
void report_begin(void);
void report_text(const char *name, const char *value);
void report_number(const char *name, long long value);
void report_flag(const char *name, bool value);
void report_open(const char *name);
void report_close(void);
__attribute__((format(printf, 3, 4))) void finding(enum level level, const char *check, const char *format, ...);
/* Print the findings and end the object; returns the exit code: 0 ok or notes, 1 a warning, 2 an error. */
int report_end(void);

#endif
