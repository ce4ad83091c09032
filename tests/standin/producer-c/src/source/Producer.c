#include <com/amazonaws/kinesis/video/client/Include.h>
#include <com/amazonaws/kinesis/video/cproducer/Include.h>
#include <com/amazonaws/kinesis/video/state/Include.h>
#include <com/amazonaws/kinesis/video/utils/Include.h>

const char *kvsProducerVersion(void) {
    return VERSION_STRING;
}

const char *kvsProducerPicVersion(void) {
    return kvsPicVersion();
}

int kvsProducerStart(const char *stream, const char *ca_file) {
    unsigned char signature[KVS_SIGNATURE_SIZE];
    if (kvsSign("standin", stream, signature) != 0 || kvsCurlCheck(ca_file) == NULL) {
        return 1;
    }
    return kvsNextState(KVS_NEW) == KVS_READY && kvsReadNumber(signature) != 0 ? 0 : 1;
}

uint32_t kvsProducerFrame(const void *data, size_t size) {
    return kvsPicTag(data, size);
}
