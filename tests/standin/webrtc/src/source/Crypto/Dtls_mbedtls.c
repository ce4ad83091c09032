#include <com/amazonaws/kinesis/video/webrtcclient/Include.h>
#include <mbedtls/ssl.h>

int kvsDtlsCheck(void) {
    mbedtls_ssl_context context;
    mbedtls_ssl_config config;
    int bad;
    mbedtls_ssl_init(&context);
    mbedtls_ssl_config_init(&config);
    bad = mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_DATAGRAM,
                                      MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_config_free(&config);
    mbedtls_ssl_free(&context);
    return bad;
}
