prefix=@CMAKE_INSTALL_PREFIX@
libdir=${prefix}/@CMAKE_INSTALL_LIBDIR@
includedir=${prefix}/include

Name: lib@PRODUCER_LIBRARY@
Description: Stand-in of the C producer
Version: 0.0.0
Libs: -L${libdir} -l@PRODUCER_LIBRARY@
Cflags: -I${includedir}
