#include "status.h"

/* Numbers of the SDK's platform-independent code (https://github.com/awslabs/amazon-kinesis-video-streams-pic); names as
 * https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_dataplane_PutMedia.html has them. */
static const struct {
    guint id;
    struct verdict verdict;
} acks[] = {
    {4000, {0x5200005c, CURE_AGAIN, "STREAM_READ_ERROR"}},
    {4001, {0x5200005d, CURE_SKIP, "MAX_FRAGMENT_SIZE_REACHED"}},
    {4002, {0x5200005e, CURE_SKIP, "MAX_FRAGMENT_DURATION_REACHED"}},
    {4003, {0x5200005f, CURE_AGAIN, "MAX_CONNECTION_DURATION_REACHED"}},
    {4004, {0x52000060, CURE_SKIP, "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS"}},
    {4005, {0x52000061, CURE_NONE, "MORE_THAN_ONE_TRACK_FOUND"}},
    {4006, {0x52000062, CURE_SKIP, "INVALID_MKV_DATA"}},
    {4007, {0x52000063, CURE_SKIP, "INVALID_PRODUCER_TIMESTAMP"}},
    {4008, {0x52000064, CURE_NONE, "STREAM_NOT_ACTIVE"}},
    {4009, {0, CURE_SKIP, "FRAGMENT_METADATA_LIMIT_REACHED"}},
    {4010, {0x5200007c, CURE_NONE, "STREAM_DATA_TYPE_MISMATCH"}},
    {4011, {0x5200007d, CURE_SKIP, "FRAMES_MISSING_FOR_TRACK"}},
    {4012, {0x5200007e, CURE_NONE, "MORE_TRACKS_THAN_ALLOWED"}},
    {4500, {0x52000065, CURE_NONE, "KMS_KEY_ACCESS_DENIED"}},
    {4501, {0x52000066, CURE_NONE, "KMS_KEY_DISABLED"}},
    {4502, {0x52000067, CURE_NONE, "KMS_KEY_VALIDATION_ERROR"}},
    {4503, {0x52000068, CURE_AGAIN, "KMS_KEY_UNAVAILABLE"}},
    {4504, {0x52000069, CURE_NONE, "KMS_KEY_INVALID_USAGE"}},
    {4505, {0x5200006a, CURE_NONE, "KMS_KEY_INVALID_STATE"}},
    {4506, {0x5200006b, CURE_NONE, "KMS_KEY_NOT_FOUND"}},
    {5000, {0x5200006d, CURE_AGAIN, "INTERNAL_ERROR"}},
    {5001, {0x5200006e, CURE_AGAIN, "ARCHIVAL_ERROR"}},
};

struct verdict status_of_ack(guint64 id) {
    for (guint i = 0; i < G_N_ELEMENTS(acks); i++) {
        if (acks[i].id == id) {
            return acks[i].verdict;
        }
    }
    return (struct verdict){0, CURE_AGAIN, "an error that is not in our table"};
}

struct verdict status_of_answer(long http) {
    switch (http) {
    case 400:
        return (struct verdict){0x52000014, CURE_NONE, "an argument is refused"};
    case 401:
    case 403:
        return (struct verdict){STATUS_DENIED, CURE_NONE, "access denied: the credentials, the policy, or a wrong clock"};
    case 404:
        return (struct verdict){STATUS_NOT_FOUND, CURE_NONE, "there is no such stream"};
    case 0:
        return (struct verdict){STATUS_NO_ANSWER, CURE_AGAIN, "no answer"};
    default:
        return (struct verdict){0x52000011, CURE_AGAIN, "the service fails"};
    }
}
