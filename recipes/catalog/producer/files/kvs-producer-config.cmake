# find_package(kvs-producer) gives the target kvs::producer.
get_filename_component(_kvs_root "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET kvs::producer)
  add_library(kvs::producer SHARED IMPORTED)
  set_target_properties(kvs::producer PROPERTIES
    IMPORTED_LOCATION "${_kvs_root}/lib/libKinesisVideoProducer.so"
    INTERFACE_LINK_LIBRARIES "${_kvs_root}/lib/libcproducer.so"
    INTERFACE_INCLUDE_DIRECTORIES
      "${_kvs_root}/include/kvs-producer;${_kvs_root}/include/kvs-producer/common;${_kvs_root}/include/kvs-producer/credential-providers")
endif()
# kvssink is a plugin: nothing links it, pipelines name it. Its folder, for GST_PLUGIN_PATH in tests.
set(KVS_PRODUCER_PLUGIN_DIR "${_kvs_root}/gstreamer-1.0")
