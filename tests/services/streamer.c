/* Stands in for boardstream: it counts pictures in its status file, and nothing else. `pattern=COUNT` is how many come
 * each half second. Like boardstream it asks for SIGINT whether or not that was ignored before.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_signal(int number) {
    (void)number;
    _exit(0);
}
int main(int many, char **words) {
    const char *status = "";
    char fresh[4096];
    long count = 0, frames = 1;
    for (int at = 1; at < many; at++) {
        if (!strcmp(words[at - 1], "--status")) status = words[at];
        if (!strncmp(words[at], "pattern=", 8)) frames = atol(words[at] + 8);
    }
    snprintf(fresh, sizeof fresh, "%s.new", status);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    for (;;) {
        FILE *file = fopen(fresh, "w");
        if (!file) return 1;
        fprintf(file, "{\"pid\":%d,\"frames\":%ld,\"fragments\":0,\"fps\":2.0}", (int)getpid(), count += frames);
        if (fclose(file) || rename(fresh, status)) return 1;
        usleep(500000);
    }
}
