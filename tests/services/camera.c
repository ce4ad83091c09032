/* A program to watch over. It does what the file `behave` of its working folder says, a word a line with a value:
 *   say TEXT        prints it once          talk TEXT     prints it five times a second
 *   flood LINES     prints numbered lines   exit CODE     ends after what was to be printed
 *   deaf            goes on after SIGINT    mute COUNT    talks that often only
 * and leaves in `seen` a line for its start and for every signal, and in `environment` its variables, NUL between them.
 * Like gst-launch-1.0 and the SDKs' samples it asks for SIGINT whether or not that was ignored before.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;
static volatile sig_atomic_t deaf;

static void note(const char *what) {
    int file = open("seen", O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (file < 0 || write(file, what, strlen(what)) < 0) _exit(99);
    close(file);
}
static void on_signal(int number) {
    note(number == SIGINT ? "INT\n" : "TERM\n");
    if (number == SIGTERM || !deaf) _exit(0);
}
int main(void) {
    char line[1024], talk[1024] = "", start[64];
    int code = -1, left = -1;
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    snprintf(start, sizeof start, "start %d %d\n", (int)getpid(), (int)getppid());
    note(start);
    FILE *file = fopen("environment", "w");
    for (char **variable = environ; file && *variable; variable++) fwrite(*variable, 1, strlen(*variable) + 1, file);
    if (file) fclose(file);
    setvbuf(stdout, NULL, _IOLBF, 0);
    file = fopen("behave", "r");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *value = strchr(line, ' ') ? strchr(line, ' ') + 1 : line + strlen(line);
        if (!strncmp(line, "say ", 4)) puts(value);
        if (!strncmp(line, "talk ", 5)) strcpy(talk, value);
        if (!strncmp(line, "mute ", 5)) left = atoi(value);
        if (!strncmp(line, "exit ", 5)) code = atoi(value);
        if (!strcmp(line, "deaf")) deaf = 1;
        if (!strncmp(line, "flood ", 6))
            for (int number = 0; number < atoi(value); number++) printf("line %d of a flood of words\n", number);
    }
    if (code >= 0) return code;
    for (;;) {
        if (*talk && left != 0) puts(talk);
        if (left > 0) left--;
        usleep(200000);
    }
}
