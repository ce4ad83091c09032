# producer-c asks for a package MbedTLS, brings no module for it, and mbed TLS 2.x has no configuration of this name in a
# place that is searched. Its own folder of modules comes first: a release that has one is built with that.
find_path(MBEDTLS_INCLUDE_DIRS NAMES mbedtls/ssl.h)
find_library(MBEDTLS_LIBRARY NAMES mbedtls)
find_library(MBEDCRYPTO_LIBRARY NAMES mbedcrypto)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(MbedTLS DEFAULT_MSG MBEDTLS_LIBRARY MBEDCRYPTO_LIBRARY MBEDTLS_INCLUDE_DIRS)
if(MBEDTLS_FOUND OR MbedTLS_FOUND)
  # What it links its libraries with.
  foreach(pair "MbedTLS|${MBEDTLS_LIBRARY}" "MbedCrypto|${MBEDCRYPTO_LIBRARY}")
    string(REPLACE "|" ";" pair "${pair}")
    list(GET pair 0 target)
    list(GET pair 1 library)
    if(NOT TARGET ${target})
      add_library(${target} UNKNOWN IMPORTED)
      set_target_properties(${target} PROPERTIES IMPORTED_LOCATION "${library}")
    endif()
  endforeach()
endif()
