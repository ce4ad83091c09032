#include <com/amazonaws/kinesis/video/state/Include.h>

enum kvs_state kvsNextState(enum kvs_state now) {
    return now == KVS_STOPPED ? KVS_STOPPED : (enum kvs_state)(now + 1);
}

const char *kvsStateName(enum kvs_state now) {
    static const char *const names[] = {"new", "ready", "streaming", "stopped"};
    return names[now];
}
