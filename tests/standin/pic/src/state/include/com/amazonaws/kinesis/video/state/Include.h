#pragma once

enum kvs_state { KVS_NEW, KVS_READY, KVS_STREAMING, KVS_STOPPED };

/* The state that follows; the last one stays. */
enum kvs_state kvsNextState(enum kvs_state now);
const char *kvsStateName(enum kvs_state now);
