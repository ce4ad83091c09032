# mbed TLS 2.x comes without a CMake package of its own.
include(FindPackageHandleStandardArgs)

find_path(MBEDTLS_INCLUDE_DIRS NAMES mbedtls/ssl.h)
set(MBEDTLS_LIBRARIES)
foreach(part IN ITEMS TLS X509 CRYPTO)
  string(TOLOWER "mbed${part}" file)
  find_library(MBED${part}_LIBRARY NAMES ${file})
  list(APPEND MBEDTLS_LIBRARIES "${MBED${part}_LIBRARY}")
endforeach()
find_package_handle_standard_args(
  MbedTLS REQUIRED_VARS MBEDTLS_LIBRARY MBEDX509_LIBRARY MBEDCRYPTO_LIBRARY MBEDTLS_INCLUDE_DIRS)

foreach(pair IN ITEMS "MbedTLS;TLS" "MbedX509;X509" "MbedCrypto;CRYPTO")
  list(GET pair 0 target)
  list(GET pair 1 part)
  if(MbedTLS_FOUND AND NOT TARGET ${target})
    add_library(${target} UNKNOWN IMPORTED)
    set_property(TARGET ${target} PROPERTY IMPORTED_LOCATION "${MBED${part}_LIBRARY}")
    set_property(TARGET ${target} PROPERTY INTERFACE_INCLUDE_DIRECTORIES "${MBEDTLS_INCLUDE_DIRS}")
  endif()
endforeach()
