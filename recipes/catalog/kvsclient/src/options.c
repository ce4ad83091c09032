#include "options.h"

#include <stdio.h>
#include <string.h>

#include "codes.h"
#include "http.h"
#include "report.h"

static const char help[] =
    "kvsclient --stream NAME [OPTION]... --test              a test picture with a moving clock, and a tone\n"
    "kvsclient --stream NAME [OPTION]... [--] WORD...        a pipeline, WORDs as gst-launch-1.0 takes them\n"
    "kvsclient --replay FILE [OPTION]...                     the bytes of a recorded client again\n"
    "\n"
    "Sends a stream to Kinesis Video Streams as kvssink 3.4.1 does, byte for byte where times do not matter. A pipeline\n"
    "ends in `video/x-h264,stream-format=avc,alignment=au ! appsink name=video`, with sound also in\n"
    "`audio/mpeg,mpegversion=4,stream-format=raw ! appsink name=audio`.\n"
    "\n"
    "Where to\n"
    "  --region REGION          AWS_DEFAULT_REGION or AWS_REGION without it\n"
    "  --endpoint URL           of the control plane (https://kinesisvideo.REGION.amazonaws.com); the service names the\n"
    "                           address for media itself, so a local one is reached by --connect-to alone\n"
    "  --connect-to HOST:PORT   this address in place of every name, as a hosts file would; names and certificates stay\n"
    "  --ca FILE                authorities in PEM (AWS_KVS_CACERT_PATH, AWS_CA_BUNDLE, or those of libcurl)\n"
    "\n"
    "Who: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN of the environment, or by certificate\n"
    "  --iot-endpoint HOST      of the credential provider; HOST:PORT too (IOT_GET_CREDENTIAL_ENDPOINT)\n"
    "  --iot-cert FILE, --iot-key FILE           (CERT_PATH, PRIVATE_KEY_PATH)\n"
    "  --iot-role-alias ALIAS                    (ROLE_ALIAS)\n"
    "  --iot-thing NAME         the stream's name without it\n"
    "\n"
    "What\n"
    "  --test                   with --size WxH (320x240), --fps N (15), --gop SECONDS (1), --bitrate KBIT (512),\n"
    "                           --no-audio; by x264enc or openh264enc, voaacenc or avenc_aac\n"
    "  --seconds N              then the stream ends in order (0: until SIGINT, SIGTERM or the source's end)\n"
    "  --no-create              a stream that is missing is an error\n"
    "  --retention HOURS        of a stream that is created (2)\n"
    "  --buffer MB              of fragments that are not confirmed yet (32)\n"
    "  --stall SECONDS          without an answer: a new connection (30)\n"
    "  --retries N              connections in a row without a confirmed fragment: exit 75 (20)\n"
    "  --stop-seconds N         that the last fragment's confirmation may take (120)\n"
    "\n"
    "Replay: FILE has one JSON object a line with `connection`, `t`, `from` and `data` (base64 of what is inside TLS);\n"
    "zcat FILE.gz | kvsclient --replay - reads a packed one. What a client has signed holds for its own time: set the\n"
    "service's clock.\n"
    "  --fast                   without the recorded pauses; answers are still waited for\n"
    "  --wait SECONDS           for an answer that was recorded (10)\n"
    "\n"
    "Standard output has one JSON object a line: {\"connection\": N, \"t\": SECONDS, \"ack\" | \"answer\" | \"end\": ...}.\n"
    "Exit codes: 0 ended in order and confirmed, 64 command line or capture, 74 ended but the last fragment not\n"
    "confirmed (replay: other answers than recorded), 75 start it again, 78 a restart does not help.\n"
    "--version, --help\n";

#define WRONG(...) (report("usage", __VA_ARGS__), CODE_USAGE)
#define NO_DIGIT_IN(text) (!g_ascii_isdigit((text)[0]))

static gboolean read_number(const char *text, guint least, guint most, guint *number) {
    char *end = NULL;
    guint64 value = g_ascii_strtoull(text, &end, 10);

    if (NO_DIGIT_IN(text) || *end != '\0' || value < least || value > most) {
        return FALSE;
    }
    *number = (guint)value;
    return TRUE;
}

static int take_number(struct options *options, const char *option, const char *value) {
    const struct {
        const char *option;
        guint least, most;
        guint *number;
    } numbers[] = {
        {"--seconds", 0, 86400 * 30, &options->seconds}, {"--fps", 1, 120, &options->fps},
        {"--gop", 1, 10, &options->gop},                 {"--bitrate", 16, 50000, &options->bitrate},
        {"--retention", 0, 87600, &options->retention},  {"--buffer", 1, 1024, &options->buffer},
        {"--stall", 1, 600, &options->stall},            {"--stop-seconds", 1, 600, &options->stop},
        {"--retries", 1, 100000, &options->retries},     {"--wait", 1, 600, &options->wait},
    };

    for (guint i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (strcmp(option, numbers[i].option) == 0) {
            return read_number(value, numbers[i].least, numbers[i].most, numbers[i].number)
                       ? -1
                       : WRONG("%s takes a number from %u to %u", option, numbers[i].least, numbers[i].most);
        }
    }
    return WRONG("%s is no option", option);
}

static int take(struct options *options, const char *option, const char *value) {
    const struct {
        const char *option;
        const char **text;
        gsize most; /* letters of a name; 0: any text */
    } texts[] = {
        {"--stream", &options->stream, 256},          {"--region", &options->region, 64},
        {"--endpoint", &options->endpoint, 0},        {"--connect-to", &options->connect_to, 0},
        {"--ca", &options->ca, 0},                    {"--iot-endpoint", &options->iot_endpoint, 0},
        {"--iot-cert", &options->iot_cert, 0},        {"--iot-key", &options->iot_key, 0},
        {"--iot-role-alias", &options->iot_alias, 128}, {"--iot-thing", &options->iot_thing, 128},
        {"--replay", &options->replay, 0},
    };

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        if (strcmp(option, texts[i].option) == 0) {
            *texts[i].text = value;
            return texts[i].most == 0 || http_is_name(value, texts[i].most)
                       ? -1
                       : WRONG("%s takes letters, digits, points, - and _", option);
        }
    }
    if (strcmp(option, "--size") == 0) {
        char *cross = strchr(value, 'x'), *width = g_strndup(value, cross != NULL ? (gsize)(cross - value) : 0);
        gboolean good = cross != NULL && read_number(width, 16, 4096, &options->width) &&
                        read_number(cross + 1, 16, 4096, &options->height);

        g_free(width);
        return good ? -1 : WRONG("--size takes WIDTHxHEIGHT, from 16 to 4096 each");
    }
    return take_number(options, option, value);
}

static gboolean take_flag(struct options *options, const char *word) {
    const struct {
        const char *option;
        gboolean *flag;
    } flags[] = {
        {"--test", &options->test},
        {"--no-audio", &options->no_audio},
        {"--no-create", &options->no_create},
        {"--fast", &options->fast},
    };

    for (guint i = 0; i < G_N_ELEMENTS(flags); i++) {
        if (strcmp(word, flags[i].option) == 0) {
            return *flags[i].flag = TRUE;
        }
    }
    return FALSE;
}

static void take_environment(struct options *options) {
    const struct {
        const char *name;
        const char **text;
    } variables[] = {
        {"AWS_DEFAULT_REGION", &options->region},   {"AWS_REGION", &options->region},
        {"AWS_KVS_CACERT_PATH", &options->ca},      {"IOT_GET_CREDENTIAL_ENDPOINT", &options->iot_endpoint},
        {"CERT_PATH", &options->iot_cert},          {"PRIVATE_KEY_PATH", &options->iot_key},
        {"ROLE_ALIAS", &options->iot_alias},        {"CA_CERT_PATH", &options->ca},
        {"AWS_CA_BUNDLE", &options->ca},
    };

    for (guint i = 0; i < G_N_ELEMENTS(variables); i++) {
        const char *value = g_getenv(variables[i].name);

        if (*variables[i].text == NULL && value != NULL && value[0] != '\0') {
            *variables[i].text = value;
        }
    }
}

/* What belongs together. */
static int check(struct options *options) {
    guint modes = (options->replay != NULL) + options->test + (options->words[0] != NULL);

    if (modes != 1) {
        return WRONG("one of --test, --replay FILE and a pipeline; --help says more");
    }
    if (options->replay != NULL) {
        return -1;
    }
    take_environment(options);
    if (options->stream == NULL || options->region == NULL || !http_is_name(options->region, 64)) {
        return WRONG("--stream and --region (or AWS_DEFAULT_REGION) are needed");
    }
    if (options->endpoint != NULL && !g_str_has_prefix(options->endpoint, "https://")) {
        return WRONG("--endpoint takes an https:// address");
    }
    if (options->iot_endpoint != NULL &&
        (options->iot_cert == NULL || options->iot_key == NULL || options->iot_alias == NULL)) {
        return WRONG("--iot-endpoint needs --iot-cert, --iot-key and --iot-role-alias");
    }
    if (options->iot_alias != NULL && !http_is_name(options->iot_alias, 128)) {
        return WRONG("ROLE_ALIAS takes letters, digits, points, - and _");
    }
    options->iot_thing = options->iot_thing != NULL ? options->iot_thing : options->stream;
    return -1;
}

int options_read(int argc, char **argv, struct options *options) {
    int at = 1;

    *options = (struct options){.fps = 15, .width = 320, .height = 240, .bitrate = 512, .gop = 1, .retention = 2,
                                .buffer = 32, .stall = 30, .stop = 120, .retries = 20, .wait = 10,
                                .connect = 5, .answer = 10, .iot_connect = 3, .iot_answer = 5, .rotation = 3600};
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        char *equals = strchr(argv[at], '=');
        char *option;
        int code;

        if (strcmp(argv[at], "--") == 0) {
            at++;
            break;
        }
        if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "--version") == 0) {
            fputs(strcmp(argv[at], "--help") == 0 ? help : "kvsclient " VERSION "\n", stdout);
            return CODE_DONE;
        }
        if (take_flag(options, argv[at])) {
            continue;
        }
        if (equals == NULL && at + 1 == argc) {
            return WRONG("%s needs a value, or is no option", argv[at]);
        }
        option = equals != NULL ? g_strndup(argv[at], (gsize)(equals - argv[at])) : g_strdup(argv[at]);
        code = take(options, option, equals != NULL ? equals + 1 : argv[++at]);
        g_free(option);
        if (code >= 0) {
            return code;
        }
    }
    options->words = argv + at;
    return check(options);
}
