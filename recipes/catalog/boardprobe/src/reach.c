/* Endpoints side by side: a process each, so a resolver that waits for half a minute keeps nobody else waiting. */
#include "reach.h"
#include "report.h"
#include "stun.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_ENDPOINTS 24
#define MOST_LINE 2048
#define MOST_SECONDS 60
#define USUAL_SECONDS 12
/* For one address of several: one that swallows everything is not to keep us from the next. */
#define ADDRESS_MILLISECONDS 4000
#define USAGE_ERROR 64

static long now_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void outcome_stage(struct outcome *seen, const char *stage) {
    snprintf(seen->stage, sizeof seen->stage, "%s", stage);
}

void outcome_state(struct outcome *seen, const char *state) {
    snprintf(seen->state, sizeof seen->state, "%s", state);
}

void outcome_note(struct outcome *seen, const char *name, const char *format, ...) {
    va_list values;
    int at = 0;
    while (at < seen->note_count && strcmp(seen->notes[at].name, name) != 0) {
        at++;
    }
    if (at == MOST_NOTES) {
        return;
    }
    va_start(values, format);
    vsnprintf(seen->notes[at].value, sizeof seen->notes[at].value, format, values);
    va_end(values);
    snprintf(seen->notes[at].name, sizeof seen->notes[at].name, "%s", name);
    if (at == seen->note_count) {
        seen->note_count++;
    }
}

const char *state_of(int error) {
    switch (error) {
    case ECONNREFUSED:
        return "refused";
    case ETIMEDOUT:
    case EAGAIN:
        return "timeout";
    case ECONNRESET:
    case EPIPE:
        return "reset";
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL:
        return "unreachable";
    case EPERM:
    case EACCES:
        return "forbidden";
    default:
        return "failed";
    }
}

void address_text(const struct sockaddr *address, char *text, size_t size) {
    char plain[INET6_ADDRSTRLEN] = "?";
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const void *)address;
        inet_ntop(AF_INET6, &six->sin6_addr, plain, sizeof plain);
        snprintf(text, size, "[%s]:%u", plain, ntohs(six->sin6_port));
    } else {
        const struct sockaddr_in *four = (const void *)address;
        inet_ntop(AF_INET, &four->sin_addr, plain, sizeof plain);
        snprintf(text, size, "%s:%u", plain, ntohs(four->sin_port));
    }
}

struct addrinfo *resolve(const struct server *server, int family, int type, struct outcome *seen) {
    struct addrinfo hints, *found = NULL;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = family;
    hints.ai_socktype = type;
    outcome_stage(seen, "dns");
    int code = getaddrinfo(server->host, server->port, &hints, &found);
    if (code != 0 || found == NULL) {
        outcome_state(seen, "dns");
        outcome_note(seen, "detail", "%s", code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
        return NULL;
    }
    return found;
}

/* 0, or an errno. */
static int connect_within(int line, const struct addrinfo *to, int milliseconds) {
    struct pollfd waiting = {.fd = line, .events = POLLOUT};
    int error = 0, flags = fcntl(line, F_GETFL);
    socklen_t size = sizeof error;
    fcntl(line, F_SETFL, flags | O_NONBLOCK);
    if (connect(line, to->ai_addr, to->ai_addrlen) != 0) {
        if (errno != EINPROGRESS) {
            return errno;
        }
        if (poll(&waiting, 1, milliseconds) <= 0) {
            return ETIMEDOUT;
        }
        if (getsockopt(line, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
            return error != 0 ? error : errno;
        }
    }
    fcntl(line, F_SETFL, flags);
    return 0;
}

int dial(const struct server *server, struct outcome *seen) {
    struct addrinfo *found = resolve(server, AF_UNSPEC, SOCK_STREAM, seen);
    int error = EADDRNOTAVAIL, line = -1;
    if (found == NULL) {
        return -1;
    }
    outcome_stage(seen, "tcp");
    for (const struct addrinfo *to = found; to != NULL && line == -1; to = to->ai_next) {
        char place[80];
        address_text(to->ai_addr, place, sizeof place);
        outcome_note(seen, "address", "%s", place);
        line = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        error = line == -1 ? errno : connect_within(line, to, to->ai_next != NULL ? ADDRESS_MILLISECONDS : -1);
        if (line != -1 && error != 0) {
            close(line);
            line = -1;
        }
    }
    freeaddrinfo(found);
    if (line == -1) {
        outcome_state(seen, state_of(error));
        outcome_note(seen, "detail", "%s", strerror(error));
    }
    return line;
}

/* Copy a word; false where there is none, or it is too long. */
static bool take(char *to, size_t size, char **rest) {
    const char *word = strtok_r(NULL, " ", rest);
    return word != NULL && (size_t)snprintf(to, size, "%s", word) < size;
}

static bool take_server(struct endpoint *asked, char **rest) {
    struct server *server = &asked->servers[asked->server_count];
    if (asked->server_count == MOST_SERVERS || !take(server->host, sizeof server->host, rest) ||
        !take(server->port, sizeof server->port, rest)) {
        return false;
    }
    asked->server_count++;
    return true;
}

/* `tls NAME HOST PORT`, `stun NAME HOST PORT`, `nat NAME HOST PORT [HOST PORT]...`,
 * `turn NAME udp|tcp|tls HOST PORT [USER PASSWORD]`; false for anything else. */
static bool read_endpoint(char *line, struct endpoint *asked) {
    char *rest = NULL;
    const char *kind = strtok_r(line, " ", &rest);
    memset(asked, 0, sizeof *asked);
    if (kind == NULL || (size_t)snprintf(asked->kind, sizeof asked->kind, "%s", kind) >= sizeof asked->kind ||
        !take(asked->name, sizeof asked->name, &rest)) {
        return false;
    }
    if (strcmp(kind, "turn") == 0) {
        if (!take(asked->transport, sizeof asked->transport, &rest) || !take_server(asked, &rest)) {
            return false;
        }
        return !take(asked->user, sizeof asked->user, &rest) || take(asked->password, sizeof asked->password, &rest);
    }
    while (take_server(asked, &rest)) {
        if (strcmp(kind, "nat") != 0) {
            break;
        }
    }
    return asked->server_count > 0 &&
           (strcmp(kind, "tls") == 0 || strcmp(kind, "stun") == 0 || strcmp(kind, "nat") == 0);
}

static void ask(const struct endpoint *asked, struct outcome *seen) {
    long begun = now_milliseconds();
    if (strcmp(asked->kind, "tls") == 0) {
        reach_tls(asked, seen);
    } else if (strcmp(asked->kind, "stun") == 0) {
        reach_stun(asked, seen);
    } else if (strcmp(asked->kind, "nat") == 0) {
        reach_nat(asked, seen);
    } else {
        reach_turn(asked, seen);
    }
    seen->milliseconds = now_milliseconds() - begun;
}

static pid_t start(const struct endpoint *asked, struct outcome *seen) {
    pid_t child = fork();
    if (child == 0) {
        alarm(MOST_SECONDS); /* where what started it is killed, and ends nobody */
        ask(asked, seen);
        _exit(0);
    }
    if (child == -1) {
        outcome_state(seen, "failed");
        outcome_note(seen, "detail", "%s", strerror(errno));
    }
    return child;
}

static void wait_all(const pid_t *children, int count, long deadline) {
    struct timespec pause = {0, 20 * 1000000L};
    bool ended[MOST_ENDPOINTS] = {false};
    int left = count;
    while (left > 0) {
        bool over = now_milliseconds() >= deadline;
        for (int at = 0; at < count; at++) {
            if (ended[at]) {
                continue;
            }
            if (over && children[at] > 0) {
                kill(children[at], SIGKILL);
            }
            if (children[at] <= 0 || waitpid(children[at], NULL, over ? 0 : WNOHANG) != 0) {
                ended[at] = true;
                left--;
            }
        }
        if (left > 0) {
            nanosleep(&pause, NULL);
        }
    }
}

static void report_endpoint(const struct endpoint *asked, const struct outcome *seen) {
    report_item_open();
    report_text("name", asked->name);
    report_text("kind", asked->kind);
    report_text("host", asked->servers[0].host);
    report_text("port", asked->servers[0].port);
    report_text("stage", seen->stage);
    report_text("state", *seen->state ? seen->state : "timeout");
    report_number("ms", seen->milliseconds);
    for (int at = 0; at < seen->note_count && at < MOST_NOTES; at++) {
        report_text(seen->notes[at].name, seen->notes[at].value);
    }
    report_close();
}

/* Lines of stdin, `seconds N` and `ca FILE` among them, which are for those that follow; -1 for what is none. */
static int read_endpoints(struct endpoint *asked, long *seconds) {
    char line[MOST_LINE];
    int count = 0, trust = -1;
    while (fgets(line, sizeof line, stdin) != NULL) {
        size_t length = strcspn(line, "\n");
        if (line[length] == '\0' && length == sizeof line - 1) {
            return -1;
        }
        line[length] = '\0';
        if (strncmp(line, "seconds ", 8) == 0) {
            *seconds = strtol(line + 8, NULL, 10);
        } else if (strncmp(line, "ca ", 3) == 0) {
            trust = tls_trust(line + 3);
        } else if (length > 0) {
            if (count == MOST_ENDPOINTS || !read_endpoint(line, &asked[count])) {
                return -1;
            }
            asked[count++].trust = trust;
        }
    }
    return *seconds >= 1 && *seconds <= MOST_SECONDS ? count : -1;
}

int probe_reach(void) {
    static struct endpoint asked[MOST_ENDPOINTS];
    pid_t children[MOST_ENDPOINTS];
    long seconds = USUAL_SECONDS, begun = now_milliseconds();
    int count = read_endpoints(asked, &seconds);
    if (count < 0) {
        fputs("boardprobe: stdin has a line that asks for nothing known\n", stderr);
        return USAGE_ERROR;
    }
    size_t size = sizeof(struct outcome) * MOST_ENDPOINTS;
    struct outcome *seen = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (seen == MAP_FAILED) {
        fputs("boardprobe: no memory to share\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    alarm((unsigned)seconds + 5);
    for (int at = 0; at < count; at++) {
        children[at] = start(&asked[at], &seen[at]);
    }
    wait_all(children, count, begun + seconds * 1000);
    report_begin();
    report_number("clock", (long long)time(NULL));
    report_list("endpoints");
    for (int at = 0; at < count; at++) {
        report_endpoint(&asked[at], &seen[at]);
    }
    report_list_end();
    return report_line_end() ? EXIT_SUCCESS : 2;
}
