/* A board whose clock is off by the seconds that /etc/clockskew says, as its own programs see it: for /etc/ld.so.preload
 * of a 32-bit board, whose C library has each call with 32 and with 64 bits of time. */
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

struct narrow {
    int32_t seconds, fraction;
};
struct wide {
    int64_t seconds, fraction;
};

static int32_t ahead(void) {
    static int known;
    static long by;
    FILE *file;

    if (!known) {
        known = 1;
        file = fopen("/etc/clockskew", "re");
        if (file != NULL) {
            by = fscanf(file, "%ld", &by) == 1 ? by : 0;
            fclose(file);
        }
    }
    return (int32_t)by;
}

static int ask(int clock, struct narrow *now) {
    long code = syscall(SYS_clock_gettime, clock, now);

    /* CLOCK_REALTIME, and the coarse one. */
    if (code == 0 && (clock == 0 || clock == 5)) {
        now->seconds += ahead();
    }
    return (int)code;
}

int clock_gettime(int clock, struct narrow *now) {
    return ask(clock, now);
}

int __clock_gettime64(int clock, struct wide *now) {
    struct narrow own = {0, 0};
    int code = ask(clock, &own);

    now->seconds = own.seconds;
    now->fraction = own.fraction;
    return code;
}

int gettimeofday(struct narrow *now, void *zone) {
    int code = ask(0, now);

    (void)zone;
    now->fraction /= 1000;
    return code;
}

int __gettimeofday64(struct wide *now, void *zone) {
    int code = __clock_gettime64(0, now);

    (void)zone;
    now->fraction /= 1000;
    return code;
}

int32_t time(int32_t *now) {
    struct narrow own = {0, 0};

    ask(0, &own);
    if (now != NULL) {
        *now = own.seconds;
    }
    return own.seconds;
}

int64_t __time64(int64_t *now) {
    int32_t own = time(NULL);

    if (now != NULL) {
        *now = own;
    }
    return own;
}
