# One CMake toolchain for every architecture, driven by the environment that recipes/build.py sets.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR $ENV{BC_PROCESSOR})
set(CMAKE_LIBRARY_ARCHITECTURE $ENV{BC_TRIPLE})
set(CMAKE_SYSROOT $ENV{BC_SYSROOT})
set(CMAKE_C_COMPILER $ENV{BC_TRIPLE}-gcc)
set(CMAKE_CXX_COMPILER $ENV{BC_TRIPLE}-g++)

# The prefix of our own libraries comes first; nothing is ever found on the build machine.
set(CMAKE_FIND_ROOT_PATH $ENV{BC_PREFIX} $ENV{BC_SYSROOT})
set(CMAKE_PREFIX_PATH $ENV{BC_PREFIX})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
# In the cache: with the old policies that the SDKs ask for, a second find_package(PkgConfig) forgets a plain variable.
set(PKG_CONFIG_EXECUTABLE /bc/target-pkg-config CACHE FILEPATH "" FORCE)

# RUNPATH is right at link time, so nothing is patched afterwards.
set(CMAKE_BUILD_WITH_INSTALL_RPATH ON)
set(CMAKE_INSTALL_RPATH "\$ORIGIN/../lib")
# With a relative RUNPATH the cross linker cannot find the libraries of our libraries by itself.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-rpath-link,$ENV{BC_PREFIX}/lib")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-Wl,-rpath-link,$ENV{BC_PREFIX}/lib")
set(CMAKE_MODULE_LINKER_FLAGS_INIT "-Wl,-rpath-link,$ENV{BC_PREFIX}/lib")
