#include <com/amazonaws/kinesis/video/common/Include.h>
#include <com/amazonaws/kinesis/video/utils/Include.h>
#include <com/amazonaws/kinesis/video/webrtcclient/Include.h>
#include <libwebsockets.h>
#include <stddef.h>

int kvsSignalingCheck(void) {
    unsigned char signature[KVS_SIGNATURE_SIZE];
    const char *version = kvsLwsCheck();
    globalThreadSleep(1);
    return version == NULL || version != lws_get_library_version() || kvsSign("standin", "wss", signature) != 0;
}
