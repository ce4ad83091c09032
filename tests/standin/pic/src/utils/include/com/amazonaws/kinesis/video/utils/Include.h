#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Version of this code, and the commit of the project that it was built in. */
const char *kvsPicVersion(void);
const char *kvsPicCommit(void);

/* Sleep; the duration counts 100 ns, as everywhere in the SDKs. */
void globalThreadSleep(uint64_t duration);

/* FNV-1a: the tag that the other parts put on what they send. */
uint32_t kvsPicTag(const void *data, size_t size);

#ifdef __cplusplus
}
#endif
