#include <com/amazonaws/kinesis/video/webrtcclient/Include.h>
#include <openssl/ssl.h>

int kvsDtlsCheck(void) {
    SSL_CTX *context = SSL_CTX_new(DTLS_method());
    int bad = context == NULL || SSL_CTX_set_tlsext_use_srtp(context, "SRTP_AES128_CM_SHA1_80") != 0;
    SSL_CTX_free(context);
    return bad;
}
