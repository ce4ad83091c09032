# Build a library into OPEN_SRC_INSTALL_PREFIX, unless it is there. The toolchain does not reach it; CFLAGS do.
function(build_dependency lib_name)
  string(REGEX REPLACE "^openssl$" ssl wanted "${lib_name}")
  string(REGEX REPLACE "^srtp$" srtp2 wanted "${wanted}")
  unset(present CACHE)
  find_library(present NAMES ${wanted} PATHS "${OPEN_SRC_INSTALL_PREFIX}/lib" NO_DEFAULT_PATH)
  if(present)
    message(STATUS "${lib_name} already built")
    return()
  endif()

  file(REMOVE_RECURSE ${OPEN_SRC_INSTALL_PREFIX}/lib${lib_name})
  set(folder "${OPEN_SRC_INSTALL_PREFIX}/lib${lib_name}")
  configure_file(CMake/Dependencies/lib${lib_name}-CMakeLists.txt "${folder}/CMakeLists.txt" COPYONLY)
  set(flags_before "$ENV{CFLAGS}")
  set(ENV{CFLAGS} "${CMAKE_C_FLAGS}")
  execute_process(
    COMMAND "${CMAKE_COMMAND}" ${ARGN} -DOPEN_SRC_INSTALL_PREFIX=${OPEN_SRC_INSTALL_PREFIX} -G ${CMAKE_GENERATOR} .
    WORKING_DIRECTORY "${folder}"
    RESULT_VARIABLE bad)
  if(NOT bad)
    execute_process(COMMAND "${CMAKE_COMMAND}" --build . WORKING_DIRECTORY "${folder}" RESULT_VARIABLE bad)
  endif()
  set(ENV{CFLAGS} "${flags_before}")
  if(bad)
    message(FATAL_ERROR "lib${lib_name} cannot be had: ${bad}")
  endif()
  file(REMOVE_RECURSE ${OPEN_SRC_INSTALL_PREFIX}/lib${lib_name})
endfunction()
