/* The board itself: C library, float ABI, alignment trap, clocks, CA file. */
#include "probes.h"
#include "report.h"

#include <elf.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#if defined __GLIBC__ && !defined __UCLIBC__
#include <gnu/libc-version.h>
#endif

/* 2024-01-01; a board whose clock reads less has not had its clock set since it was switched on. */
#define PLAUSIBLE_TIME 1704067200LL

static const char *float_abi(void) {
    FILE *self = fopen("/proc/self/exe", "rb");
    Elf32_Ehdr header;
    const char *answer = "unknown";
    if (self == NULL) {
        return answer;
    }
    if (fread(&header, 1, sizeof header, self) == sizeof header) {
        if (header.e_machine != EM_ARM || header.e_ident[EI_CLASS] != ELFCLASS32) {
            answer = "not-applicable";
        } else if (header.e_flags & EF_ARM_ABI_FLOAT_HARD) {
            answer = "hard";
        } else if (header.e_flags & EF_ARM_ABI_FLOAT_SOFT) {
            answer = "soft";
        }
    }
    fclose(self);
    return answer;
}

/* The kernel's own words, such as "User faults: 2 (fixup)"; bit 1 of the number repairs unaligned accesses. */
static void probe_alignment(void) {
    char line[128];
    int mode = -1;
    FILE *file = fopen("/proc/cpu/alignment", "r");
    if (file == NULL) {
        report_text("alignment_trap", "not-applicable");
        return;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "User faults: %d", &mode) == 1) {
            break;
        }
    }
    fclose(file);
    report_number("alignment_trap", mode);
    if (mode >= 0 && !(mode & 2)) {
        finding(LEVEL_NOTE, "alignment", "unaligned accesses are not repaired (mode %d): build with "
                                         "ALIGNED_MEMORY_MODEL=ON, or the SDKs die of SIGBUS", mode);
    }
}

/* uClibc calls itself glibc too; musl tells neither its name nor its version to programs. */
static void report_libc(void) {
#ifdef __UCLIBC__
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", __UCLIBC_MAJOR__, __UCLIBC_MINOR__, __UCLIBC_SUBLEVEL__);
    report_text("libc", "uClibc");
    report_text("libc_version", version);
#elif defined __GLIBC__
    report_text("libc", "glibc");
    report_text("libc_version", gnu_get_libc_version());
#else
    report_text("libc", "musl");
    report_text("libc_version", "");
#endif
}

void probe_board(void) {
    struct utsname name;
    struct timespec wall, monotonic;
    if (uname(&name) == 0) {
        report_text("machine", name.machine);
        report_text("kernel", name.release);
    }
    report_libc();
    report_text("float_abi", float_abi());
    probe_alignment();
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    report_number("wall_clock", (long long)wall.tv_sec);
    report_number("monotonic_clock", (long long)monotonic.tv_sec);
    if ((long long)wall.tv_sec < PLAUSIBLE_TIME) {
        finding(LEVEL_ERROR, "clock", "the wall clock reads %lld: it was never set, and every request signed with it "
                                      "is refused", (long long)wall.tv_sec);
    } else {
        finding(LEVEL_OK, "clock", "set");
    }
}

void probe_ca_file(const char *path) {
    int count = 0;
    X509 *certificate;
    if (*path == '\0') {
        return;
    }
    report_text("ca_file", path);
    BIO *file = BIO_new_file(path, "r");
    if (file == NULL) {
        report_number("ca_certificates", 0);
        finding(LEVEL_ERROR, "ca-file", "%s cannot be read: %s", path, strerror(errno));
        return;
    }
    while ((certificate = PEM_read_bio_X509(file, NULL, NULL, NULL)) != NULL) {
        count++;
        X509_free(certificate);
    }
    BIO_free(file);
    report_number("ca_certificates", count);
    if (count == 0) {
        finding(LEVEL_ERROR, "ca-file", "%s holds no certificate", path);
    } else {
        finding(LEVEL_OK, "ca-file", "%d certificates", count);
    }
}
