#include <com/amazonaws/kinesis/video/state/Include.h>
#include <com/amazonaws/kinesis/video/webrtcclient/Include.h>

const char *kvsWebrtcVersion(void) {
    return VERSION_STRING;
}

const char *kvsWebrtcCommit(void) {
    return SDK_VERSION;
}

#ifdef ENABLE_KVS_THREADPOOL
static void nothing(int number) {
    (void)number;
}
#endif

int kvsWebrtcCheck(void) {
    int bad = kvsDtlsCheck() != 0 || kvsSrtpCheck() != 0 || kvsNextState(KVS_NEW) != KVS_READY;
#ifdef ENABLE_KVS_THREADPOOL
    bad |= kvsPoolRun(2, nothing) != 2;
#endif
#ifdef ENABLE_DATA_CHANNEL
    bad |= kvsDataChannelCheck();
#endif
    return bad;
}
