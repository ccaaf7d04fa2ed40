#include "include/cell_ageing.h"

#include <string.h>

/* Fused and unfused products would differ in the last bit between instruction sets. */
#pragma STDC FP_CONTRACT OFF

/* Decay factors of the last time step: neighbours mostly age by the same time. */
typedef struct step_cache {
  float step;
  float keep[CA_MAX_MODES], renew[CA_MAX_MODES];
} step_cache;

#define SUFFIX baseline
#define LANES 4
#include "cell_ageing.inc"

#if defined(__x86_64__)
#define CA_X86 1
#pragma clang attribute push(__attribute__((target("avx2,bmi2"))), apply_to = function)
#define SUFFIX avx2
#define LANES 8
#include "cell_ageing.inc"
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,bmi2"))), apply_to = function)
#define SUFFIX avx512
#define LANES 16
#include "cell_ageing.inc"
#pragma clang attribute pop
#else
#define CA_X86 0
#endif

static ca_isa widest(void) {
#if CA_X86
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")
      && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2"))
    return CA_AVX512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2")) return CA_AVX2;
#endif
  return CA_BASELINE;
}

static ca_isa chosen(const ca_law *law) {
  const ca_isa most = widest();
  return law->isa == CA_BEST || law->isa > most ? most : law->isa;
}

void ca_age(const ca_law *law, const ca_cells *cells, const int64_t *list, int64_t first, int64_t count, double now) {
  switch (chosen(law)) {
#if CA_X86
    case CA_AVX512: (list ? list_avx512(law, cells, list, count, now) : range_avx512(law, cells, first, count, now)); break;
    case CA_AVX2: (list ? list_avx2(law, cells, list, count, now) : range_avx2(law, cells, first, count, now)); break;
#endif
    default: (list ? list_baseline(law, cells, list, count, now) : range_baseline(law, cells, first, count, now)); break;
  }
}

float ca_mode_sum(const float *modes, int64_t cells, int32_t count, int64_t cell, const float *weights) {
  float sum = 0;
  for (int32_t m = 0; m < count; m++) sum += weights[m] * modes[(int64_t)m * cells + cell];
  return sum;
}
