#include <com/amazonaws/kinesis/video/webrtcclient/Include.h>
#include <stdio.h>

int main(void) {
    printf("%d interfaces with an address\n", kvsInterfaces());
    return kvsInterfaces() == 0;
}
