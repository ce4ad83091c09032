#pragma once
#include <stdint.h>

/* A big-endian number at any address. */
uint32_t kvsReadNumber(const void *where);
