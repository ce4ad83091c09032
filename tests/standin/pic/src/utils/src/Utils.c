#include <com/amazonaws/kinesis/video/utils/Include.h>
#include <errno.h>
#include <time.h>

const char *kvsPicVersion(void) {
    return PIC_VERSION;
}

const char *kvsPicCommit(void) {
    return SDK_VERSION;
}

void globalThreadSleep(uint64_t duration) {
    struct timespec left = {.tv_sec = (time_t)(duration / 10000000), .tv_nsec = (long)(duration % 10000000) * 100};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

uint32_t kvsPicTag(const void *data, size_t size) {
    const unsigned char *next = data;
    uint32_t tag = 2166136261u;
    while (size-- > 0) {
        tag = (tag ^ *next++) * 16777619u;
    }
    return tag;
}
