# find_package(kvs-webrtc) gives the targets kvs::webrtc and kvs::signaling.
get_filename_component(_kvs_root "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET kvs::webrtc)
  add_library(kvs::webrtc SHARED IMPORTED)
  set_target_properties(kvs::webrtc PROPERTIES
    IMPORTED_LOCATION "${_kvs_root}/lib/libkvsWebrtcClient.so"
    INTERFACE_LINK_LIBRARIES "${_kvs_root}/lib/libkvsWebRtcThreadpool.so"
    INTERFACE_INCLUDE_DIRECTORIES "${_kvs_root}/include")
  add_library(kvs::signaling SHARED IMPORTED)
  set_target_properties(kvs::signaling PROPERTIES
    IMPORTED_LOCATION "${_kvs_root}/lib/libkvsWebrtcSignalingClient.so"
    INTERFACE_LINK_LIBRARIES "${_kvs_root}/lib/libkvsCommonLws.so;${_kvs_root}/lib/libkvsWebRtcThreadpool.so"
    INTERFACE_INCLUDE_DIRECTORIES "${_kvs_root}/include")
endif()
