# BUILD_STATIC_LIBS makes the SDK prefer archives in every search, OpenSSL's too. libkvsCommonLws stays shared in this
# release and brings the shared one, so that a process would have two. What is found here first is what find_package keeps.
find_library(OPENSSL_SSL_LIBRARY NAMES ssl)
find_library(OPENSSL_CRYPTO_LIBRARY NAMES crypto)
