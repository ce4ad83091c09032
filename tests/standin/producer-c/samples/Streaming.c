#include <com/amazonaws/kinesis/video/cproducer/Include.h>
#include <stdio.h>

int main(int argc, char **argv) {
    const char *stream = argc > 1 ? argv[1] : "standin";
    printf("%s: producer %s on %s\n", SAMPLE, kvsProducerVersion(), kvsProducerPicVersion());
    return kvsProducerStart(stream, NULL);
}
