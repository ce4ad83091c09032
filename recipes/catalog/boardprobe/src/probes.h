/* The probes; each adds its facts and findings to the report. */
#ifndef BOARDPROBE_PROBES_H
#define BOARDPROBE_PROBES_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* C library, float ABI, alignment trap, clocks. */
void probe_board(void);
/* A CA file: readable, and how many certificates OpenSSL takes from it. An empty path is reported as not asked. */
void probe_ca_file(const char *path);
/* GStreamer's version, and for each named element whether its factory can be found and loaded. */
void probe_elements(const char *const *names, int count);
/* Versions of the network libraries in use. */
void probe_libraries(void);
/* HTTPS to a URL: the certificate's verdict, and the clock skew from the answer's Date header, in seconds. */
void probe_https(const char *url, const char *ca_file, long timeout_seconds);
/* libwebsockets' version, and an HTTP date as seconds since 1970, or 0. */
const char *wss_library(void);
time_t date_of(const char *value, size_t length);
/* A WebSocket handshake over TLS. */
void probe_wss(const char *url, const char *ca_file, int timeout_seconds);
/* Each sound device of the kernel as an object on a line of its own: rates, formats and channels that it takes. */
void probe_sound(void);
/* Each video node likewise: formats, sizes and rates. Both send at most MOST_DEVICE_BYTES together. */
void probe_video(void);

/* What the board's probe takes of an answer; see deploy/probe/script.py. */
#define MOST_DEVICE_BYTES 60000
/* Of one device: what a driver says beyond it is left off, and the object says that it is cut. */
#define MOST_OBJECT_BYTES 16000

/* Of sound, and of video again: a driver that answers slowly, without end, or both has more to tell than anybody waits. */
#define MOST_DEVICE_MILLISECONDS 1500
void devices_begin(void);
bool devices_in_time(void);

#endif
