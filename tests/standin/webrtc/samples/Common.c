#include "Samples.h"
#include <com/amazonaws/kinesis/video/webrtcclient/Include.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int sample_start(const char *role, const char *channel) {
    static const char date[] = "Thu, 01 Jan 1970 00:01:00 GMT";
    const char *ca_file = getenv("AWS_KVS_CACERT_PATH");
    time_t seconds = 0;
    int bad = kvsWebrtcCheck() != 0 || kvsSignalingCheck() != 0;
    /* Came with libwebsockets 4.3: with an older one this compiles and does not link. */
    bad |= lws_http_date_parse_unix(date, sizeof date - 1, &seconds) != 0 || seconds != 60;
#ifdef ENABLE_KVS_THREADPOOL
    bad |= kvsPoolRun(0, NULL) != 0;
#endif
    ca_file = ca_file != NULL ? ca_file : KVS_CA_CERT_PATH;
    printf("%s of %s: SDK %s (%s), %s, CA %s %s\n", role, channel, kvsWebrtcVersion(), kvsWebrtcCommit(),
           bad ? "a part fails" : "all parts work", ca_file, access(ca_file, R_OK) == 0 ? "is there" : "is missing");
    return bad;
}

int sample_frames(const char *codec) {
    char path[64];
    int count = 0;
    do {
        snprintf(path, sizeof path, "%sSampleFrames/sample-%04d.%s", codec, count + 1, codec);
    } while (access(path, R_OK) == 0 && ++count < 9999);
    return count;
}
