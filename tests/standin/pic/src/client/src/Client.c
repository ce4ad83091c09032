#include <arpa/inet.h>
#include <com/amazonaws/kinesis/video/client/Include.h>
#include <string.h>

uint32_t kvsReadNumber(const void *where) {
#ifdef ALIGNED_MEMORY_MODEL
    const unsigned char *byte = where;
    return (uint32_t)byte[0] << 24 | (uint32_t)byte[1] << 16 | (uint32_t)byte[2] << 8 | byte[3];
#else
    uint32_t number;
    memcpy(&number, where, sizeof number);
    return ntohl(number);
#endif
}
