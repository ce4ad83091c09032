#include <com/amazonaws/kinesis/video/webrtcclient/Include.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stddef.h>

int kvsInterfaces(void) {
    struct ifaddrs *all, *one;
    int count = 0;
    if (getifaddrs(&all) != 0) {
        return 0;
    }
    for (one = all; one != NULL; one = one->ifa_next) {
        count += one->ifa_addr != NULL && (one->ifa_flags & IFF_LOOPBACK) == 0;
    }
    freeifaddrs(all);
    return count;
}
