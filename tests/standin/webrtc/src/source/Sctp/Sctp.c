#include <com/amazonaws/kinesis/video/utils/Include.h>
#include <com/amazonaws/kinesis/video/webrtcclient/Include.h>
#include <stddef.h>
#include <usrsctp.h>

static int drop(void *address, void *data, size_t size, uint8_t service, uint8_t fragment) {
    (void)address, (void)data, (void)size, (void)service, (void)fragment;
    return 0;
}

int kvsSctpCheck(void) {
    int tries = 0;
    usrsctp_init(0, drop, NULL);
    while (usrsctp_finish() != 0 && ++tries < 100) {
        globalThreadSleep(100000);
    }
    return tries == 100;
}
