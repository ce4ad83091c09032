#pragma once
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KVS_SIGNATURE_SIZE 32

/* HMAC-SHA256 of a text, by the TLS library that was chosen; 0 is good. */
int kvsSign(const char *key, const char *text, unsigned char out[KVS_SIGNATURE_SIZE]);

/* Bring the transport up and down once; its version, or NULL when that fails. */
const char *kvsCurlCheck(const char *ca_file);
const char *kvsLwsCheck(void);

#ifdef __cplusplus
}
#endif
