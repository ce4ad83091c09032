prefix=@CMAKE_INSTALL_PREFIX@
libdir=${prefix}/@CMAKE_INSTALL_LIBDIR@
includedir=${prefix}/include

Name: lib@PIC_LIBRARY@
Description: Stand-in of the platform independent code
Version: 0.0.0
Libs: -L${libdir} -l@PIC_LIBRARY@
Cflags: -I${includedir}
