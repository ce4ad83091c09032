#include "options.h"

#include <stdio.h>
#include <string.h>

#include "codes.h"
#include "report.h"

#define MOST_SECONDS 86400

static const char help[] =
    "boardstream [OPTION]... [--] WORD...     WORDs as gst-launch-1.0 takes them\n"
    "boardstream [OPTION]... --file PATH      the description from a file that others cannot read\n"
    "\n"
    "  --name NAME                            of the stream, for log lines and status (stream)\n"
    "  --property-file ELEMENT.PROPERTY=PATH  a property from a file's one line: passwords; up to 16\n"
    "  --start SECONDS                        the first buffer may take (60; 0: any time)\n"
    "  --stall SECONDS                        without a buffer at a sink: exit 75 (30; 0: never)\n"
    "  --ack-stall SECONDS                    without a fragment confirmed by KVS: exit 75 (120; 0: never)\n"
    "  --stop-seconds SECONDS                 SIGINT and SIGTERM may take to close the open fragment (10)\n"
    "  --memory MB                            more than this: exit 75 (0: any)\n"
    "  --status FILE                          JSON, written every 5 s\n"
    "  --once                                 a source that ends is done: exit 0, not 75\n"
    "  --version, --help\n"
    "\n"
    "SIGINT and SIGTERM close the stream, a second one ends at once. SIGUSR1 prints the status and writes its file.\n"
    "Exit codes: 0 stopped and closed, 64 command line, 74 stopped but the last fragment not confirmed, 75 start it\n"
    "again, 78 a restart does not help.\n";

/* Says what is wrong, and gives the exit code for it. */
#define WRONG(...) (report("usage", __VA_ARGS__), CODE_USAGE)

static gboolean read_number(const char *text, guint most, guint *number) {
    char *end = NULL;
    guint64 value = g_ascii_strtoull(text, &end, 10);

    if (!g_ascii_isdigit(text[0]) || *end != '\0' || value > most) {
        return FALSE;
    }
    *number = (guint)value;
    return TRUE;
}

/* A name is part of every log line: nothing that could be taken for another part of it. */
static gboolean is_name(const char *text) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    return text[0] != '\0' && strlen(text) <= 64 && strspn(text, letters) == strlen(text);
}

static gboolean read_property_file(const char *text, struct property_file *file) {
    const char *dot = strchr(text, '.');
    const char *equals = dot != NULL ? strchr(dot, '=') : NULL;

    if (equals == NULL || dot == text || equals == dot + 1 || equals[1] == '\0') {
        return FALSE;
    }
    file->element = g_strndup(text, (gsize)(dot - text));
    file->property = g_strndup(dot + 1, (gsize)(equals - dot - 1));
    file->path = equals + 1;
    return TRUE;
}

/* Takes an option that has a value. Returns a negative number where it is right. */
static int take(struct options *options, const char *option, const char *value) {
    const struct {
        const char *option;
        guint most;
        guint *number;
    } numbers[] = {
        {"--start", MOST_SECONDS, &options->start},         {"--stall", MOST_SECONDS, &options->stall},
        {"--ack-stall", MOST_SECONDS, &options->ack_stall}, {"--stop-seconds", 600, &options->stop},
        {"--memory", 1024 * 1024, &options->memory},
    };

    for (guint i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (strcmp(option, numbers[i].option) == 0) {
            return read_number(value, numbers[i].most, numbers[i].number)
                       ? -1
                       : WRONG("%s takes a number up to %u", option, numbers[i].most);
        }
    }
    if (strcmp(option, "--name") == 0) {
        options->name = value;
        return is_name(value) ? -1 : WRONG("--name takes up to 64 letters, digits, points, - and _");
    }
    if (strcmp(option, "--status") == 0) {
        options->status = value;
        return -1;
    }
    if (strcmp(option, "--file") == 0) {
        options->file = value;
        return -1;
    }
    if (strcmp(option, "--property-file") != 0) {
        return WRONG("%s is no option", option);
    }
    if (options->property_count == MOST_PROPERTY_FILES) {
        return WRONG("--property-file was given more than %d times", MOST_PROPERTY_FILES);
    }
    return read_property_file(value, &options->properties[options->property_count++])
               ? -1
               : WRONG("--property-file takes ELEMENT.PROPERTY=PATH");
}

/* Reads all options; `*at` is then the first word after them. Returns as `options_read`. */
static int read_all(int argc, char **argv, struct options *options, int *at) {
    for (; *at < argc && strncmp(argv[*at], "--", 2) == 0; (*at)++) {
        char *equals = strchr(argv[*at], '=');
        char *option;
        int code;

        if (strcmp(argv[*at], "--") == 0) {
            (*at)++;
            return -1;
        }
        if (strcmp(argv[*at], "--help") == 0) {
            fputs(help, stdout);
            return CODE_DONE;
        }
        if (strcmp(argv[*at], "--version") == 0) {
            puts("boardstream " VERSION);
            return CODE_DONE;
        }
        if (strcmp(argv[*at], "--once") == 0) {
            options->once = TRUE;
            continue;
        }
        if (equals == NULL && *at + 1 == argc) {
            return WRONG("%s needs a value, or is no option", argv[*at]);
        }
        option = equals != NULL ? g_strndup(argv[*at], (gsize)(equals - argv[*at])) : g_strdup(argv[*at]);
        code = take(options, option, equals != NULL ? equals + 1 : argv[++*at]);
        g_free(option);
        if (code >= 0) {
            return code;
        }
    }
    return -1;
}

int options_read(int argc, char **argv, struct options *options) {
    int at = 1;
    int code;

    *options = (struct options){.name = "stream", .start = 60, .stall = 30, .ack_stall = 120, .stop = 10};
    code = read_all(argc, argv, options, &at);
    if (code >= 0) {
        return code;
    }
    options->words = argv + at;
    if (options->file != NULL && at < argc) {
        return WRONG("either --file or words, not both");
    }
    if (options->file == NULL && at == argc) {
        return WRONG("no pipeline was given");
    }
    report_name(options->name);
    return -1;
}
