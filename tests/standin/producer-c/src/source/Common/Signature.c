#include <com/amazonaws/kinesis/video/common/Include.h>
#include <string.h>

#ifdef KVS_USE_MBEDTLS
#include <mbedtls/md.h>

int kvsSign(const char *key, const char *text, unsigned char out[KVS_SIGNATURE_SIZE]) {
    return mbedtls_md_hmac(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), (const unsigned char *)key, strlen(key),
                           (const unsigned char *)text, strlen(text), out);
}
#else
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>

int kvsSign(const char *key, const char *text, unsigned char out[KVS_SIGNATURE_SIZE]) {
    unsigned int size = 0;
    if (OPENSSL_init_ssl(0, NULL) != 1) {
        return 1;
    }
    return HMAC(EVP_sha256(), key, (int)strlen(key), (const unsigned char *)text, strlen(text), out, &size) == NULL;
}
#endif
