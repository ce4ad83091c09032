# producer-c asks for a package MbedTLS, brings no module for it, and mbed TLS 2.x has no configuration of this name in a
# place that is searched. Its own folder of modules comes first: a release that has one is built with that.
find_path(MBEDTLS_INCLUDE_DIRS NAMES mbedtls/ssl.h)
find_library(MBEDTLS_LIBRARY NAMES mbedtls)
find_library(MBEDCRYPTO_LIBRARY NAMES mbedcrypto)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(MbedTLS DEFAULT_MSG MBEDTLS_LIBRARY MBEDCRYPTO_LIBRARY MBEDTLS_INCLUDE_DIRS)
# What it links its libraries with.
add_library(MbedTLS UNKNOWN IMPORTED)
set_target_properties(MbedTLS PROPERTIES IMPORTED_LOCATION "${MBEDTLS_LIBRARY}")
add_library(MbedCrypto UNKNOWN IMPORTED)
set_target_properties(MbedCrypto PROPERTIES IMPORTED_LOCATION "${MBEDCRYPTO_LIBRARY}")
