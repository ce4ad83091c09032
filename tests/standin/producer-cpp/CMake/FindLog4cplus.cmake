# Sets LOG4CPLUS_FOUND, LOG4CPLUS_LIBRARIES and LOG4CPLUS_INCLUDE_DIR; pkg-config is asked first.
include(FindPackageHandleStandardArgs)
find_package(PkgConfig)
pkg_check_modules(PC_LOG4CPLUS QUIET log4cplus)

set(log4cplus_roots /usr/local /usr /opt ${LOG4CPLUS_DIR} ${LOG4CPLUS_ROOT} $ENV{LOG4CPLUS_DIR} $ENV{LOG4CPLUS_ROOT})
find_path(
  LOG4CPLUS_INCLUDE_DIR log4cplus/logger.h
  HINTS ${PC_LOG4CPLUS_INCLUDEDIR} ${PC_LOG4CPLUS_INCLUDE_DIRS}
  PATHS ${log4cplus_roots} PATH_SUFFIXES include)
find_library(
  LOG4CPLUS_LIBRARY log4cplus
  HINTS ${PC_LOG4CPLUS_LIBDIR} ${PC_LOG4CPLUS_LIBRARY_DIRS}
  PATHS ${log4cplus_roots} PATH_SUFFIXES lib)
if(LOG4CPLUS_LIBRARY)
  set(LOG4CPLUS_LIBRARIES "${LOG4CPLUS_LIBRARY}" CACHE STRING "What to link for log4cplus")
endif()
find_package_handle_standard_args(Log4cplus REQUIRED_VARS LOG4CPLUS_LIBRARIES LOG4CPLUS_INCLUDE_DIR)
mark_as_advanced(LOG4CPLUS_INCLUDE_DIR LOG4CPLUS_LIBRARIES)
