#pragma once
#include <com/amazonaws/kinesis/video/common/Include.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Version of the C producer, and of the platform independent code inside it. */
const char *kvsProducerVersion(void);
const char *kvsProducerPicVersion(void);

/* Sign a stream name and check the transport; 0 is good. */
int kvsProducerStart(const char *stream, const char *ca_file);

/* Tag of a frame. */
uint32_t kvsProducerFrame(const void *data, size_t size);

#ifdef __cplusplus
}
#endif
