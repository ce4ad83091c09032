#include <com/amazonaws/kinesis/video/webrtcclient/Include.h>
#include <srtp2/srtp.h>

int kvsSrtpCheck(void) {
    return srtp_init() != srtp_err_status_ok || srtp_shutdown() != srtp_err_status_ok;
}
