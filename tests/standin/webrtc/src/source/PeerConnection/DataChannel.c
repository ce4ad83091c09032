#include <com/amazonaws/kinesis/video/webrtcclient/Include.h>

int kvsDataChannelCheck(void) {
    return kvsSctpCheck();
}
