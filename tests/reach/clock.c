/* Another clock for one program: AHEAD seconds are added to whatever it asks for the time of day. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t ahead(void) {
    const char *text = getenv("AHEAD");
    return text == NULL ? 0 : (time_t)strtoll(text, NULL, 10);
}

int clock_gettime(clockid_t which, struct timespec *now) {
    int code = (int)syscall(SYS_clock_gettime, which, now);
    if (which == CLOCK_REALTIME) {
        now->tv_sec += ahead();
    }
    return code;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec whole;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &whole);
    now->tv_sec = whole.tv_sec;
    now->tv_usec = whole.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *slot) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (slot != NULL) {
        *slot = now.tv_sec;
    }
    return now.tv_sec;
}
