#include "causes.h"

#include <gst/gst.h>
#include <string.h>

#include "codes.h"

struct known {
    guint32 status;
    int code;
    const char *meaning;
};

/* Status codes that decide whether a restart helps. The numbers are those of the SDK's platform-independent code
 * (https://github.com/awslabs/amazon-kinesis-video-streams-pic, Include.h of its client). */
static const struct known statuses[] = {
    {0x52000009, CODE_GIVE_UP, "the stream's name is too long"},
    {0x5200000a, CODE_GIVE_UP, "storage-size is too small or too large"},
    {0x52000010, CODE_GIVE_UP,
     "access denied: the credentials, the policy, or a clock that is wrong by more than five minutes"},
    {0x52000011, CODE_RESTART, "the stream could not be described: network, region or service"},
    {0x52000013, CODE_RESTART, "the stream is being deleted"},
    {0x52000014, CODE_GIVE_UP, "the service refuses an argument: the stream's name, tags or retention"},
    {0x52000017, CODE_RESTART, "there is no such stream in this region, and it may not be created"},
    {0x5200002e, CODE_RESTART,
     "the store for frames is full: storage-size is small for this bitrate, or the uplink slow"},
    {0x52000034, CODE_RESTART, "the account has too many devices"},
    {0x52000035, CODE_RESTART, "the account has too many streams"},
    {0x52000037, CODE_RESTART, "the service did not answer in time"},
    {0x52000051, CODE_RESTART, "an answer was not the service's own: a proxy or a captive portal between"},
    {0x52000061, CODE_GIVE_UP, "the service takes one track in this stream, and more are sent"},
    {0x52000065, CODE_GIVE_UP, "the stream's KMS key may not be used with these credentials"},
    {0x52000066, CODE_GIVE_UP, "the stream's KMS key is disabled"},
    {0x5200006b, CODE_GIVE_UP, "the stream's KMS key was not found"},
    {0x5200007b, CODE_GIVE_UP, "streaming-type offline needs a retention-period above 0"},
    {0x5200007c, CODE_GIVE_UP,
     "stream type mismatch: the tracks that are sent (video, audio) are not those of this stream"},
    {0x5200007d, CODE_RESTART, "a track was announced and had no frames: a camera or a microphone that sends nothing"},
    {0x5200007e, CODE_GIVE_UP, "more tracks are sent than a stream may have"},
};

/* What services and the SDK say in words, where no code is with it. */
static const struct {
    const char *text;
    int code;
    const char *meaning;
} words[] = {
    {"InvalidSignature", CODE_GIVE_UP,
     "the signature is refused: the clock is wrong by more than five minutes, or the secret key"},
    {"SignatureDoesNotMatch", CODE_GIVE_UP, "the signature is refused: the secret key is not the right one"},
    {"AccessDenied", CODE_GIVE_UP, "access denied: the policy of these credentials"},
    {"UnrecognizedClient", CODE_GIVE_UP, "access denied: the access key is not known in this region"},
    {"InvalidClientTokenId", CODE_GIVE_UP, "access denied: the access key is not known"},
    {"No region set", CODE_GIVE_UP, "no region: set aws-region or AWS_DEFAULT_REGION"},
    {"Failed to parse Iot credentials", CODE_GIVE_UP, "iot-certificate lacks a field, or has one that cannot be read"},
};

struct verdict cause_of_status(guint32 status) {
    for (guint i = 0; i < G_N_ELEMENTS(statuses); i++) {
        if (statuses[i].status == status) {
            return (struct verdict){statuses[i].code, statuses[i].meaning};
        }
    }
    return (struct verdict){CODE_RESTART, NULL};
}

static struct verdict of_text(const char *text) {
    for (const char *at = text; at != NULL && (at = strstr(at, "0x")) != NULL; at += 2) {
        guint64 status = g_ascii_strtoull(at + 2, NULL, 16);
        struct verdict verdict = status <= G_MAXUINT32 ? cause_of_status((guint32)status) : (struct verdict){0, NULL};

        if (verdict.meaning != NULL) {
            return verdict;
        }
    }
    for (guint i = 0; text != NULL && i < G_N_ELEMENTS(words); i++) {
        if (strstr(text, words[i].text) != NULL) {
            return (struct verdict){words[i].code, words[i].meaning};
        }
    }
    return (struct verdict){CODE_RESTART, NULL};
}

/* Errors that say that the pipeline or its settings are wrong. Once buffers have come through they are not: then it is
 * the source that has changed, and the next start will tell. */
static struct verdict of_gstreamer(const GError *error, const char *debug) {
    if (g_error_matches(error, GST_CORE_ERROR, GST_CORE_ERROR_MISSING_PLUGIN) ||
        g_error_matches(error, GST_STREAM_ERROR, GST_STREAM_ERROR_CODEC_NOT_FOUND)) {
        return (struct verdict){CODE_GIVE_UP, "an element that this stream needs is not on the board"};
    }
    if (g_error_matches(error, GST_CORE_ERROR, GST_CORE_ERROR_NEGOTIATION) ||
        g_error_matches(error, GST_STREAM_ERROR, GST_STREAM_ERROR_WRONG_TYPE) ||
        (debug != NULL && strstr(debug, "not-negotiated") != NULL)) {
        return (struct verdict){CODE_GIVE_UP, "formats do not fit: what one element gives, the next one does not take"};
    }
    if (g_error_matches(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_AUTHORIZED)) {
        return (struct verdict){CODE_GIVE_UP, "the camera refuses the user name or the password"};
    }
    return (struct verdict){CODE_RESTART, NULL};
}

struct verdict cause_of_error(const GError *error, const char *debug, gboolean streamed) {
    struct verdict verdict = of_text(debug);

    if (verdict.meaning == NULL) {
        verdict = of_text(error->message);
    }
    if (verdict.meaning == NULL && !streamed) {
        verdict = of_gstreamer(error, debug);
    }
    return verdict;
}
