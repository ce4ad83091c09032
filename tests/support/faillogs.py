"""Lines of builds that failed, written by us in the style of the tools."""

from __future__ import annotations

LD = "/usr/lib/gcc-cross/arm-linux-gnueabihf/12/../../../../arm-linux-gnueabihf/bin/ld"
ENDED = "\ncollect2: error: ld returned 1 exit status"
# Written by us, in the style of the tools. One entry is one failure; its lines stand together in the log.
FAILURES: dict[str, tuple[str, ...]] = {
    "disk-full": (
        "/tmp/ccQ1.s: Fatal error: can't write 12 bytes to section .text of a.o: No space left on device",
        "cp: error writing '/bc/work/out/lib/liba.so': No space left on device",
        "tar: src/big.c: Cannot write: Disk quota exceeded",
    ),
    "out-of-memory": (
        "arm-linux-gnueabihf-g++: fatal error: Killed signal terminated program cc1plus\ncompilation terminated.",
        "cc1plus: out of memory\nvirtual memory exhausted: Cannot allocate memory",
        "c++: fatal error: Killed",
        "c++: internal compiler error: Killed (program cc1plus)",
        "collect2: fatal error: ld terminated with signal 9 [Killed]",
        "make[2]: *** [CMakeFiles/x.dir/build.make:76: x.cpp.o] Killed",
        "Killed",
        f"{LD}: final link failed: memory exhausted",
    ),
    "repository-not-locked": (
        "Cloning into 'gtest-src'...\nfatal: repository '/bc/git/github.com/google/googletest.git' does not exist",
        "fatal: '/bc/git/gitlab.com/group/sub/thing' does not appear to be a git repository",
        "fatal: repository '/bc/git/github.com:someone/else.git/' does not exist",
    ),
    "locked-at-another-commit": (
        "error: pathspec 'v9.9.1' did not match any file(s) known to git",
        "fatal: reference is not a tree: 0123456789abcdef0123456789abcdef01234567",
        "fatal: invalid reference: v4.9.9",
        "CMake Error at lws-gitclone.cmake:49 (message):\n  Failed to checkout tag: 'v4.9.9'",
        "fatal: Remote branch develop not found in upstream origin",
        "fatal: couldn't find remote ref refs/tags/v2",
    ),
    "git-configuration-lost": (
        "Cloning into '/bc/work/src/threadpool'...\nfatal: transport 'file' not allowed",
        "fatal: detected dubious ownership in repository at '/bc/git/github.com/cisco/libsrtp.git'",
    ),
    "no-network": (
        "fatal: unable to access 'https://example.org/a.git/': Could not resolve host: example.org",
        "curl: (6) Couldn't resolve host 'example.org'",
        "ssh: Could not resolve hostname example.org: Temporary failure in name resolution",
        "fatal: unable to look up example.org (port 9418) (Name or service not known)",
        "wget: unable to resolve host address 'example.org'",
        '        status_string: "Could not resolve hostname"',
    ),
    "edit-does-not-fit": (
        "edit: /bc/work/src/CMakeLists.txt has 0 of the 2 places to change: the text of this release is another",
        "edit: /bc/work/src/samples/one.c is not there: this release keeps it elsewhere",
    ),
    "patch-does-not-fit": (
        "patching file lib/a.c\nHunk #2 FAILED at 40.\n1 out of 2 hunks FAILED -- saving rejects to file lib/a.c.rej",
        "error: patch failed: lib/core/pipe.c:112\nerror: lib/core/pipe.c: patch does not apply",
        "error: lib/core/pipe.c: patch does not apply",
    ),
    "nothing-to-collect": (
        "collect: nothing is at /bc/work/build/libgstthing.so",
        "collect: nothing is at /bc/work/src/dependency/*/lib*.so",
    ),
    "cmake-4-policy": (
        (
            "CMake Error at CMakeLists.txt:3 (cmake_minimum_required):\n"
            "  Compatibility with CMake < 3.5 has been removed from CMake."
        ),
        "  Compatibility with CMake < 3.10 has been removed from CMake.",
    ),
    "doubled-cross-prefix": (
        "/bin/sh: 1: arm-linux-gnueabihf-arm-linux-gnueabihf-gcc: not found",
        "make: mipsel-linux-gnu-mipsel-linux-gnu-ar: No such file or directory",
        "sh: 1: aarch64-linux-gnu-/usr/bin/aarch64-linux-gnu-gcc: not found",
        "bash: line 1: arm-linux-gnueabihf-/usr/bin/arm-linux-gnueabihf-gcc: No such file or directory",
    ),
    "openssl-target": (
        "Usage: Configure [no-<cipher> ...] [enable-<cipher> ...]\n\npick os/compiler from:\nBS2000-OSD linux-armv4",
        "perl ./Configure a b\ntarget already defined - linux-armv4 (offending arg: linux-elf)",
        "Configuring OpenSSL\nno target matches linux-armv9",
        "Configuring OpenSSL version 1.1.1t\nInvalid target linux-arm7",
    ),
    "build-machines-flags": (
        "arm-linux-gnueabihf-gcc: error: unrecognized command-line option '-m64'",
        "mips-gcc: error: unrecognized command line option '-m64'",
        "aarch64-linux-gnu-gcc: error: unrecognized command-line option '-m32'; did you mean '-mbig'?",
    ),
    "muclibc-flag": (
        "arm-linux-gnueabihf-gcc: error: unrecognized command-line option '-muclibc'",
        "arm-gcc: error: unrecognized command line option '-muclibc'",
        "clang: error: unknown argument: '-muclibc'",
        "qemu-arm-static: Could not open '/lib/ld-uClibc.so.0': No such file or directory",
    ),
    "assembly-of-another-machine": (
        "crypto/sha/sha1-armv8.S: Assembler messages:\ncrypto/sha/sha1-armv8.S:9: Error: bad instruction `stp x29,x30'",
        "crypto/aes/a.s:200: Error: selected processor does not support `aese v0.16b,v1.16b' in ARM mode",
    ),
    "perl-module": (
        "Can't locate FindBin.pm in @INC (you may need to install the FindBin module) (@INC contains: /usr/lib/perl)",
        "Can't locate File/Compare.pm in @INC (@INC entries checked: /etc/perl) at ./Configure line 15.",
    ),
    "automake-version": (
        "WARNING: 'aclocal-1.16' is missing on your system.\nmake: *** [Makefile:412: aclocal.m4] Error 127",
        "/bc/work/src/missing: line 81: aclocal-1.16: command not found",
        "missing: 81: automake-1.15: not found",
    ),
    "libsrtp-cmake": (
        (
            "[ 12%] Performing configure step for 'project_libsrtp'\nCMake Error at CMakeLists.txt:301 "
            "(set_target_properties):\n  set_target_properties called with incorrect number of arguments."
        ),
        (
            "CMake Error at libsrtp/CMakeLists.txt:30 (x):\n  set_target_properties called with incorrect number of "
            "arguments."
        ),
    ),
    "configure-runs-program": (
        "checking for a thing... configure: error: cannot run test program while cross compiling",
        "configure: error: cannot run C compiled programs.\nIf you meant to cross compile, use `--host'.",
        "configure: error: cannot run C++ compiled programs.",
    ),
    "host-headers": (
        (
            "In file included from /usr/include/openssl/crypto.h:23,\n                 from src/a.c:3:\n"
            "/bc/work/src/a.h:1:10: fatal error: openssl/opensslconf.h: No such file or directory"
        ),
        "In file included from src/b.c:3:\n                 from /usr/local/include/thing.h:9:\nsrc/b.c:7:1: error: no",
        "/usr/include/features.h:461:12: fatal error: sys/cdefs.h: No such file or directory",
        "/usr/lib/x86_64-linux-gnu/glib-2.0/include/glibconfig.h:60:5: error: size of array is negative",
    ),
    "openssl-arch-header": (
        "/bc/sysroot/usr/include/openssl/macros.h:14:10: fatal error: openssl/opensslconf.h: No such file or directory",
        "e_os.h:20:10: fatal error: openssl/configuration.h: No such file or directory\ncompilation terminated.",
    ),
    "kvs-headers": (
        "a.h:9:10: fatal error: com/amazonaws/kinesis/video/common/CommonDefs.h: No such file or directory",
        "b.h:2:10: fatal error: com/amazonaws/kinesis/video/utils/Include.h: No such file or directory",
    ),
    "static-needs-dl": (
        f"{LD}: libcrypto.a(dso.o): in function `unload':\ndso.c:(.text+0x2): undefined reference to `dlclose'{ENDED}",
        (
            f"{LD}: libcrypto.a(d.o): undefined reference to symbol 'dlclose@@GLIBC_2.4'\n"
            f"{LD}: /bc/sysroot/lib/libdl.so.2: error adding symbols: DSO missing from command line"
        ),
        f"{LD}: //lib/libdl.so.2: error adding symbols: DSO missing from command line{ENDED}",
    ),
    "library-not-on-link-line": (
        (
            f"{LD}: a.o: undefined reference to symbol 'pthread_once@@GLIBC_2.4'\n"
            f"{LD}: //lib/libpthread.so.0: error adding symbols: DSO missing from command line"
        ),
        f"{LD}: /bc/prefix/lib/libz.so.1: error adding symbols: DSO missing from command line{ENDED}",
    ),
    "mixed-c-libraries": (
        f"{LD}: /opt/lib/libx.so: undefined reference to `fcntl64@GLIBC_2.28'{ENDED}",
        f"{LD}: liby.so: undefined reference to `nope@GLIBC_2.0'\nliby.so: undefined reference to `stat@GLIBC_2.0'",
        f"{LD}: libz.a(z.o): undefined reference to `__isoc23_strtol'{ENDED}",
    ),
    "another-machines-library": (
        f"{LD}: skipping incompatible /opt/lib/libssl.so when searching for -lssl\n{LD}: cannot find -lssl",
        (
            f"{LD}: skipping incompatible /usr/lib/libz.so when searching for -lz\n"
            f"{LD}: skipping incompatible /usr/lib/libz.a when searching for -lz\n{LD}: cannot find -lz{ENDED}"
        ),
    ),
    "another-machines-files": (
        f"{LD}: /opt/lib/libz.so: error adding symbols: file in wrong format{ENDED}",
        f"/w/libh.so: file not recognized: file format not recognized{ENDED}",
        f"old.o: File in wrong format{ENDED}",
        f"{LD}: i386:x86-64 architecture of input file `old.o' is incompatible with arm output{ENDED}",
        (
            f"{LD}: error: a.out uses VFP register arguments, old.o does not\n"
            f"{LD}: failed to merge target specific data of file old.o"
        ),
    ),
    "indirect-library": (
        (
            f"{LD}: warning: libsrtp2.so.1, needed by libkvsWebrtc.so, not found (try using -rpath or -rpath-link)\n"
            f"{LD}: libkvsWebrtcClient.so: undefined reference to `srtp_unprotect'{ENDED}"
        ),
        (
            f"{LD}: warning: libcproducer.so.1, needed by /bc/work/build/libX.so, not found (try using -rpath or "
            f"-rpath-link){ENDED}"
        ),
    ),
    "openssl-async": (
        f"async_posix.c:(.text+0x20): undefined reference to `getcontext'{ENDED}",
        "libcrypto.so: undefined reference to `makecontext'\nlibcrypto.so: undefined reference to `setcontext'",
    ),
    "pic-mixed-releases": (
        f"Sdp.c:(.text+0x9): undefined reference to `strnstr'{ENDED}",
        f"Metrics.c:(.text+0x1c): undefined reference to `EMA_ACCUMULATOR_GET_NEXT'{ENDED}",
    ),
    "pic-link-order": (
        f"{LD}: libkvsCommonLws.so: undefined reference to `globalThreadSleep'{ENDED}",
        f"sample.cpp:(.text+0x40): undefined reference to `globalCreateThread'{ENDED}",
        f"libkvsCommonLws.a(x.o): undefined reference to `hashTableCreateWithParams'{ENDED}",
    ),
    "libwebsockets-before-4-3": (
        f"{LD}: libkvsCommonLws.so: undefined reference to `lws_http_date_parse_unix'{ENDED}",
        f"/bc/work/src/net.c:12: undefined reference to 'lws_http_date_parse_unix'{ENDED}",
    ),
    "libwebsockets-too-old": (
        f"net.c:(.text+0x8): undefined reference to `lws_retry_sul_schedule'{ENDED}",
        f"net.c:(.text+0x8): undefined reference to `_lws_log'{ENDED}",
    ),
    "static-needs-zlib": (
        f"libcurl.a(content.o): undefined reference to `inflateInit2_'{ENDED}",
        f"libcrypto.a(c_zlib.o): undefined reference to `deflate'{ENDED}",
    ),
    "openssl-other-release": (
        f"libcurl.a(openssl.o): undefined reference to `SSL_get1_peer_certificate'{ENDED}",
        f"a.o: undefined reference to `EVP_MD_CTX_new'{ENDED}",
        f"a.o: undefined reference to `DTLSv1_get_timeout'{ENDED}",
    ),
    "curl-too-old": (
        f"a.o: undefined reference to `curl_mime_init'{ENDED}",
        f"a.o: undefined reference to `curl_easy_header'{ENDED}",
    ),
    "libsrtp2-too-old": (
        f"a.o: undefined reference to `srtp_protect_rtcp'{ENDED}",
        f"b.o: undefined reference to `srtp_crypto_policy_set_rtp_default'{ENDED}",
    ),
    "usrsctp-too-old": (
        f"a.o: undefined reference to `usrsctp_init_nothreads'{ENDED}",
        f"a.o: undefined reference to `usrsctp_sendv'{ENDED}",
    ),
    "log4cplus-too-old": (
        f"a.o: undefined reference to `log4cplus::Initializer::Initializer()'{ENDED}",
        f"a.o: undefined reference to `vtable for log4cplus::ConsoleAppender'{ENDED}",
    ),
    "not-position-independent": (
        (
            f"{LD}: libcurl.a(easy.o): relocation R_ARM_THM_MOVW_ABS_NC against `a local symbol' can not be used when "
            f"making a shared object; recompile with -fPIC{ENDED}"
        ),
        "ld: x.o: relocation R_X86_64_32 against `.rodata' can not be used in a PIE object; recompile with -fPIE",
    ),
    "gstreamer-not-in-sysroot": (
        f"{LD}: cannot find -lglib-2.0: No such file or directory{ENDED}",
        "configure: error: Package requirements (gstreamer-app-1.0) were not met\nNo package 'gstreamer-app-1.0' found",
        (
            "--   Package 'gstreamer-app-1.0', required by 'virtual:world', not found\n"
            "CMake Error at FindPkgConfig.cmake:607 (message):\n  A required package was not found"
        ),
        'meson.build:9:0: ERROR: Dependency "gstreamer-video-1.0" not found, tried pkgconfig',
    ),
    "openssl-not-found": (
        (
            "CMake Error at FindPackageHandleArgs.cmake:23 (message):\n  Could NOT find OpenSSL, try to set the "
            "path (missing: OPENSSL_CRYPTO_LIBRARY)"
        ),
        "configure: error: --with-openssl was given but OpenSSL could not be detected",
        'CMake Error at CMakeLists.txt:9 (find_package):\n  No package configuration file provided by "OpenSSL"',
    ),
    "mbedtls-not-found": (
        (
            "CMake Error at CMakeLists.txt:77 (find_package):\n  By not providing a module\n\n  Could not find a "
            'package configuration file provided by "MbedTLS" with any'
        ),
        "CMake Error at FindX.cmake:1 (message):\n  Could NOT find MbedTLS (missing: MBEDTLS_LIBRARY)",
    ),
    "package-not-found": (
        (
            "--   No package 'libwebsockets' found\nCMake Error at FindPkgConfig.cmake:607 (message):\n"
            "  A required package was not found"
        ),
        "--   Package 'libcurl', required by 'virtual:world', not found\nCMake Error at Find.cmake:6 (message):",
        'src/meson.build:3:0: ERROR: Dependency "alsa" not found, tried pkgconfig and cmake',
        "CMake Error at FindCURL.cmake:2 (message):\n  Could NOT find CURL (missing: CURL_LIBRARY)",
        (
            "CMake Error at CMakeLists.txt:5 (find):\n  Could not find a package configuration file provided by "
            '"Thing" with any'
        ),
    ),
    "header-not-found": (
        "a.c:1:10: fatal error: srtp2/srtp.h: No such file or directory\ncompilation terminated.",
        "a.cpp:4:10: fatal error: log4cplus/logger.h: No such file or directory",
    ),
    "library-not-found": (
        f"{LD}: cannot find -lusrsctp: No such file or directory{ENDED}",
        "/usr/bin/ld.gold: error: cannot find -lsrtp2",
    ),
    "symbol-not-found": (
        f"main.c:(.text+0x5): undefined reference to `camera_open'{ENDED}",
        f"m.cpp:(.text+0x5): undefined reference to `board::Camera::start(int)'{ENDED}",
    ),
    "source-folder-empty": (
        'CMake Error: The source directory "/bc/work/src" does not appear to contain CMakeLists.txt.',
        "configure: error: cannot find sources (src/logger.cxx) in ../src",
        "sh: 1: ./Configure: not found",
    ),
    "tool-of-another-distribution": (
        (
            "/opt/tc/libexec/gcc/arm-linux/12/cc1plus: /lib/x86_64-linux-gnu/libstdc++.so.6: version "
            "`GLIBCXX_3.4.30' not found (required by /opt/tc/libexec/gcc/arm-linux/12/cc1plus)"
        ),
        "ImportError: /lib/libm.so.6: version `GLIBC_2.38' not found (required by /opt/tc/bin/arm-linux-ld)",
        (
            "/opt/tc/libexec/gcc/arm-linux/8/cc1: error while loading shared libraries: libmpc.so.2: cannot "
            "open shared object file: No such file or directory"
        ),
        "/opt/tc/bin/arm-linux-gcc: error while loading shared libraries: libz.so.1: wrong ELF class: ELFCLASS64",
        "sh: 1: /opt/tc/bin/arm-linux-gnueabi-gcc: cannot execute: required file not found",
    ),
    "toolchain-without-sysroot": (
        (
            "  The C compiler\n"
            "\n"
            '    "/opt/tc/bin/arm-linux-gcc"\n'
            "\n"
            "  is not able to compile a simple test program.\n"
            "\n"
            "    /opt/tc/bin/ld: cannot find crt1.o: No such file or directory\n"
            "    /opt/tc/bin/ld: cannot find crti.o: No such file or directory\n"
            "    /opt/tc/bin/ld: cannot find -lc"
        ),
        f"{LD}: cannot find Scrt1.o: No such file or directory{ENDED}",
        f"{LD}: cannot find /lib/libc.so.6 inside /opt/tc/sysroot{ENDED}",
        f"{LD}: cannot find -lpthread: No such file or directory",
    ),
    "machine-flag-refused": (
        "cc1: error: bad value (`armv7-a') for `-march=' switch",
        "cc1: error: bad value 'cortex-a7' for '-mcpu=' switch",
        "cc1: error: unknown value 'armv7-a' for '-march'",
        "gcc: error: unrecognized argument in option '-mfloat-abi=hard'",
        "a.c:1: error: unrecognized -march target: armv7ve",
    ),
    "float-abi-mixed": (
        "/bc/sysroot/usr/include/gnu/stubs.h:10:11: fatal error: gnu/stubs-hard.h: No such file or directory",
        "/s/usr/include/gnu/stubs.h:20:11: fatal error: gnu/stubs-o32_hard_2008.h: No such file or directory",
        "/s/usr/include/gnu/stubs.h:7:11: fatal error: gnu/stubs-32.h: No such file or directory",
    ),
    "time-bits-alone": (
        (
            '/bc/sysroot/usr/include/features-time64.h:26:5: error: #error "_TIME_BITS=64 is allowed only '
            'with _FILE_OFFSET_BITS=64"'
        ),
        "features-time64.h:26:6: error: _TIME_BITS=64 is allowed only with _FILE_OFFSET_BITS=64",
    ),
    "undeclared-function": (
        "Thread.c:88:5: error: implicit declaration of function 'pthread_getname_np' [-Wimplicit-function-declaration]",
        "a.c:1:2: error: implicit declaration of function 'isEnvVarEnabled' [-Werror=implicit-function-declaration]",
    ),
    "gcc-14-errors": (
        "P.c:4:9: error: passing argument 3 of 'create' from incompatible pointer type [-Wincompatible-pointer-types]",
        (
            "Pool.c:8:7: error: passing argument 2 of 'queueRemove' makes integer from pointer without a "
            "cast [-Wint-conversion]"
        ),
        "a.c:3:1: error: type defaults to 'int' in declaration of 'x' [-Wimplicit-int]",
        "a.c:3:1: error: return type defaults to 'int' [-Wimplicit-int]",
        "a.c:9:5: error: 'return' with no value, in function returning non-void [-Wreturn-mismatch]",
    ),
    "atomics-need-libatomic": (
        f"{LD}: a.o: in function `count':\na.c:(.text+0x2): undefined reference to `__atomic_load_8'{ENDED}",
        f"{LD}: b.o: undefined reference to `__sync_fetch_and_add_8'{ENDED}",
        (
            f"{LD}: a.o: undefined reference to symbol '__atomic_load_8@@LIBATOMIC_1.0'\n"
            f"{LD}: /lib/libatomic.so.1: error adding symbols: DSO missing from command line"
        ),
    ),
    "sanitizer-not-linked": (
        f"{LD}: a.o: undefined reference to `__asan_report_load4'{ENDED}",
        f"{LD}: a.o: undefined reference to `__sanitizer_cov_trace_pc'{ENDED}",
    ),
    "stack-protector-missing": (
        f"{LD}: a.o: undefined reference to `__stack_chk_fail'{ENDED}",
        f"{LD}: cannot find -lssp_nonshared: No such file or directory",
    ),
    "cxx-runtime-missing": (
        f"{LD}: liblog4cplus.a(a.o): undefined reference to `__gxx_personality_v0'{ENDED}",
        f"{LD}: a.o: undefined reference to `operator new(unsigned int)'{ENDED}",
        f"{LD}: a.o: undefined reference to `__cxa_throw'{ENDED}",
    ),
    "compiler-helper-missing": (
        f"{LD}: a.o: undefined reference to `__aeabi_uldivmod'{ENDED}",
        f"{LD}: a.o: undefined reference to `__udivdi3'{ENDED}",
        f"{LD}: a.o: undefined reference to `_Unwind_Resume'{ENDED}",
        f"{LD}: a.o: undefined reference to `__floatdidf'{ENDED}",
    ),
    "imported-file-missing": (
        (
            "CMake Error at /bc/sysroot/usr/lib/cmake/Z/ZTargets.cmake:9 (message):\n"
            '  The imported target "Z::z" references the file\n'
            "\n"
            '     "/usr/lib/arm-linux-gnueabihf/libz.so.1.2"\n'
            "\n"
            "  but this file does not exist.  Possible reasons include:"
        ),
        'CMake Error:\n  The imported target "c" references the file "/x" but this file does not exist.',
    ),
    "named-file-missing": (
        (
            "make[2]: *** No rule to make target '/bc/sysroot/usr/lib/arm-linux-gnueabihf/libz.so', needed "
            "by 'libkvs.so'.  Stop."
        ),
        "ninja: error: '/bc/sysroot/usr/lib/libz.so', needed by 'libkvs.so', missing and no known rule to make it",
    ),
    "boards-program-was-run": (
        "./configure: line 2100: ./conftest: cannot execute binary file: Exec format error",
        "/bin/sh: 1: ./gen_tables: Exec format error",
    ),
    "compilers-library-not-found": (
        f"{LD}: cannot find -latomic: No such file or directory{ENDED}",
        f"{LD}: cannot find -lstdc++",
    ),
    "clock-skew": (
        "make: warning:  Clock skew detected.  Your build may be incomplete.\nmake: *** [Makefile:10: all] Error 2",
        "make[1]: Warning: File 'a.c' has modification time 3600 s in the future\nmake[1]: *** [all] Error 1",
        "configure: error: newly created file is older than distributed files!",
    ),
}
