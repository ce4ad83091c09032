/* The probes; each adds its facts and findings to the report. */
#ifndef BOARDPROBE_PROBES_H
#define BOARDPROBE_PROBES_H

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
/* A WebSocket handshake over TLS. */
void probe_wss(const char *url, const char *ca_file, int timeout_seconds);

#endif
