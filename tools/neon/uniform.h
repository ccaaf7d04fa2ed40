#include <stdint.h>

/* xorshift32, 0 to 1: the same numbers on every machine. */
static inline float uniform(void) {
  static uint32_t state = 2463534242u;
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return (float)(state >> 8) * 0x1p-24f;
}

/* -1 to 1. */
static inline float balanced(void) { return uniform() * 2 - 1; }
