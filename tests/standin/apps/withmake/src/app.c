/* Calls the SDK's C library, found through pkg-config, so that a wrong prefix does not link. */
#include <com/amazonaws/kinesis/video/cproducer/Include.h>
#include <stdio.h>

int main(void)
{
    printf("%s\n", kvsProducerVersion());
    return 0;
}
