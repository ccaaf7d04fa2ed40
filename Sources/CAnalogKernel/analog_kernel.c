#include "analog_kernel.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "polynomials.h"

/* Products and sums are fused exactly where kernel.inc says so; otherwise sets would differ. */
#pragma STDC FP_CONTRACT OFF

#if defined(__x86_64__)
#define AK_X86 1
#else
#define AK_X86 0
#endif
#if defined(__aarch64__)
#define AK_NEON 1
#else
#define AK_NEON 0
#endif

/* No vector crosses a call: every function that takes one is inlined or stays within its part. */
#pragma clang diagnostic ignored "-Wpsabi"

/* Outputs per block of the general matrix product: their accumulators fill the registers and hide the latency of a sum. */
enum { BLOCK_AVX512 = 8, BLOCK_OTHER = 5 };

#if AK_X86
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi2"))), \
                             apply_to = function)
#define AK_FUSED 1
#define AK_W 16
#define AK_SUFFIX _avx512
#define AK_OUTPUTS 14
#include "kernel.inc"
#undef AK_OUTPUTS
#undef AK_SUFFIX
#undef AK_W
/* Two registers a value: each weight is loaded for 32 samples. */
#define AK_W 32
#define AK_SUFFIX _avx512_general
#define AK_BLOCK 8
#include "kernel.inc"
#undef AK_BLOCK
#undef AK_SUFFIX
#undef AK_W
#undef AK_FUSED
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx2,fma,bmi2"))), apply_to = function)
#define AK_FUSED 1
#define AK_W 16
#define AK_SUFFIX _avx2
#define AK_OUTPUTS 5
#define AK_BLOCK 5
#include "kernel.inc"
#undef AK_BLOCK
#undef AK_OUTPUTS
#undef AK_SUFFIX
#undef AK_W
#undef AK_FUSED
#pragma clang attribute pop
#endif

/* SSE2 is the x86-64 baseline and NEON the aarch64 one, so the portable code is their code. */
#define AK_FUSED AK_NEON
#define AK_W 8
#define AK_SUFFIX _baseline
#define AK_OUTPUTS 5
#define AK_BLOCK 5
#include "kernel.inc"
#undef AK_BLOCK
#undef AK_OUTPUTS
#undef AK_SUFFIX
#undef AK_W
#undef AK_FUSED

int ak_isa_supported(ak_isa isa) {
  switch (isa) {
    case AK_ISA_PORTABLE: return 1;
    case AK_ISA_NEON: return AK_NEON;
#if AK_X86
    case AK_ISA_SSE2: return 1;
    case AK_ISA_AVX2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    case AK_ISA_AVX512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")
             && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
#endif
    default: return 0;
  }
}

ak_isa ak_isa_best(void) {
  static const ak_isa order[] = {AK_ISA_AVX512, AK_ISA_AVX2, AK_ISA_NEON, AK_ISA_SSE2};
  for (size_t i = 0; i < sizeof order / sizeof *order; i++)
    if (ak_isa_supported(order[i])) return order[i];
  return AK_ISA_PORTABLE;
}

const char *ak_isa_name(ak_isa isa) {
  switch (isa) {
    case AK_ISA_SSE2: return "sse2";
    case AK_ISA_AVX2: return "avx2";
    case AK_ISA_AVX512: return "avx512";
    case AK_ISA_NEON: return "neon";
    default: return "portable";
  }
}

static int loop_is_valid(const ak_loop *loop) {
  if (!loop || !loop->layers || loop->layer_count < 1 || loop->layer_count > AK_MAX_LAYERS) return 0;
  for (int l = 0; l < loop->layer_count; l++) {
    const ak_layer *layer = &loop->layers[l];
    if (layer->inputs < 1 || layer->inputs > AK_MAX_WIDTH || layer->outputs < 1 || layer->outputs > AK_MAX_WIDTH
        || !layer->weights)
      return 0;
    if (l && layer->inputs != loop->layers[l - 1].outputs) return 0;
  }
  const int32_t outputs = loop->layers[loop->layer_count - 1].outputs, dimensions = loop->layers[0].inputs;
  return outputs == dimensions || outputs == 2 * dimensions;
}

static int is_noisy(const ak_loop *loop) {
  if (loop->noise == AK_NOISE_NONE) return 0;
  for (int l = 0; l < loop->layer_count; l++)
    if (loop->layers[l].variances || (loop->noise == AK_NOISE_CELLS && loop->layers[l].telegraph)) return 1;
  return 0;
}

/* 1 if weights have noise of their own. */
static int has_cell_noise(const ak_loop *loop) { return loop->noise == AK_NOISE_CELLS && is_noisy(loop); }

/* 1 if a step is so much longer than all stages together need to settle that a window at its beginning stands for that. */
static int has_window(const ak_loop *loop, double step) {
  const double pole = fmax(loop->amplifier_pole, loop->multiplier_pole);
  return step >= 5 * (loop->layer_count + 1) * pole;
}

ak_path ak_loop_path(const ak_loop *loop, const ak_schedule *schedule) {
  static const int32_t widths[4] = {2, 14, 14, 2};
  if (!loop_is_valid(loop) || loop->layer_count != 3 || has_cell_noise(loop)) return AK_PATH_GENERAL;
  const int has_poles = loop->amplifier_pole > 0;
  if (has_poles ? !has_window(loop, schedule->tick_duration / schedule->substeps) : loop->curved) return AK_PATH_GENERAL;
  const int noisy = is_noisy(loop);
  for (int l = 0; l < 3; l++) {
    const ak_layer *layer = &loop->layers[l];
    if (layer->inputs != widths[l] || layer->outputs != widths[l + 1] || !layer->rectified != (l == 2)) return AK_PATH_GENERAL;
    if (noisy && !layer->variances) return AK_PATH_GENERAL;
  }
  return AK_PATH_2_14_14_2;
}

/* What is left of a state after `times` time constants. What is far below rounding is left out: as a subnormal factor it would make
 * an operation take many times as long. */
static double remainder_of(double times) { return times > 60 ? 0 : exp(-times); }

/* How a single pole of time constant `pole` answers a straight line of length `length`: what it keeps of its state and takes of
 * the line's ends, where the line begins `lag` before the part does, on its own slope. */
static void answer(double length, double pole, double lag, float *decay, float *start, float *end) {
  const double keep = remainder_of(length / pole), last = 1 + expm1(-length / pole) * pole / length, first = 1 - keep - last;
  const double c = lag / length;
  *decay = (float)keep;
  *start = (float)(first / (1 - c));
  *end = (float)(last - first * c / (1 - c));
}

/* The part of a step in which only slow motion is left: every node runs one time constant behind its input, which itself runs
 * behind x by one for each layer before. Inputs were looked at as if settled `ago` before the part begins. */
static void settled(const ak_loop *loop, double length, double ago, ak_part *part) {
  const double amplifier = loop->amplifier_pole, lag = loop->layer_count * amplifier - ago, c = lag / length;
  part->length = (float)length;
  part->is_long = 1;
  for (int l = 0; l < loop->layer_count; l++)
    answer(length, amplifier, l * amplifier - ago, &part->decay, &part->start[l], &part->end[l]);
  answer(length, loop->multiplier_pole, lag, &part->multiplier_decay, &part->multiplier_start, &part->multiplier_end);
  part->area_start = (float)(length / 2 / (1 - c));
  part->area_end = (float)(length / 2 * (1 - c / (1 - c)));
}

/* Parts of a step of length `step`. What converters play jumps where a step begins, and the jump runs through one pole after
 * the other; so parts get longer as it dies away. In the last one, if that is long, only slow motion is left: every node
 * runs one time constant behind its input, which itself runs behind x by one for each layer before. */
static int cut(const ak_loop *loop, double step, ak_part *parts) {
  if (has_window(loop, step)) {
    /* What a window of this length leaves out of x's own motion within it cancels over the stages: each runs behind x by its own
     * pole and those before. */
    const double amplifier = loop->amplifier_pole, multiplier = loop->multiplier_pole, layers = loop->layer_count;
    const double lag = layers * amplifier, window = (amplifier * amplifier * layers * (layers + 1) / 2
                                                     + multiplier * (lag + multiplier)) / (lag + multiplier);
    parts[0] = (ak_part){.length = (float)window};
    settled(loop, step - window, window, &parts[1]);
    return 2;
  }
  static const double lengths[AK_MAX_PARTS - 1] = {1, 1.5, 2.5};
  const double amplifier = loop->amplifier_pole, multiplier = loop->multiplier_pole;
  const double pole = fmax(amplifier, multiplier);
  double done = 0;
  int count = 0;
  for (; count < AK_MAX_PARTS; count++) {
    double length = count + 1 < AK_MAX_PARTS ? lengths[count] * pole : step - done;
    const int is_last = count + 1 == AK_MAX_PARTS || done + length >= 0.7 * step;
    if (is_last) length = step - done;
    ak_part *part = &parts[count];
    if (is_last && length > 2 * loop->layer_count * pole) {
      settled(loop, length, 0, part);
      return count + 1;
    }
    *part = (ak_part){.length = (float)length, .area_start = (float)(length / 2), .area_end = (float)(length / 2)};
    for (int l = 0; l < loop->layer_count; l++)
      answer(length, amplifier, 0, &part->decay, &part->start[l], &part->end[l]);
    answer(length, multiplier, 0, &part->multiplier_decay, &part->multiplier_start, &part->multiplier_end);
    done += length;
    if (is_last) return count + 1;
  }
  return count;
}

int ak_step_evaluations(const ak_loop *loop, const ak_schedule *schedule) {
  if (!(loop->amplifier_pole > 0)) return schedule->euler ? 1 : 2;
  ak_part parts[AK_MAX_PARTS];
  const double step = schedule->tick_duration / schedule->substeps;
  if (has_window(loop, step)) return 3;
  const int count = cut(loop, step, parts);
  return count + (parts[count - 1].is_long ? count > 1 : 0) + 1;
}

/* 1 if the weight variances of `layer` are the same for every output. */
static int variances_are_shared(const ak_layer *layer) {
  const int columns = layer->inputs + 1;
  for (int i = 1; i < layer->outputs; i++)
    if (memcmp(layer->variances, layer->variances + (ptrdiff_t)i * columns, (size_t)columns * sizeof(float))) return 0;
  return 1;
}

/* Blocks of `block` rows of (rows, inputs + 1), without the last column. */
static float *pack_blocks(float *to, const float *from, int rows, int inputs, int block) {
  for (int first = 0; first < rows; first += block) {
    const int count = rows - first < block ? rows - first : block;
    for (int j = 0; j < inputs; j++)
      for (int i = 0; i < count; i++) *to++ = seen(from[(first + i) * (inputs + 1) + j]);
  }
  return to;
}

static void pack_14(float *to, const float *w1, const float *w2, const float *w3) {
  for (int j = 0; j < 14; j++) {
    *to++ = seen(w1[3 * j]);
    *to++ = seen(w1[3 * j + 1]);
    for (int i = 0; i < 14; i++) *to++ = seen(w2[15 * i + j]);
  }
  for (int i = 0; i < 14; i++) {
    *to++ = seen(w3[i]);
    *to++ = seen(w3[15 + i]);
  }
}

/* Columns of layers 1 and 2 in rows of 16, then {w3[0][2k], w3[1][2k], w3[0][2k+1], w3[1][2k+1]}. */
static void pack_1(float *to, const float *w1, const float *w2, const float *w3) {
  memset(to, 0, 256 * sizeof(float));
  for (int i = 0; i < 14; i++) {
    to[i] = seen(w1[3 * i]);
    to[16 + i] = seen(w1[3 * i + 1]);
    for (int j = 0; j < 14; j++) to[32 + 16 * j + i] = seen(w2[15 * i + j]);
    to[256 + 2 * i] = seen(w3[i]);
    to[257 + 2 * i] = seen(w3[15 + i]);
  }
}

/* Lanes of the widest vector that a part of kernel.inc uses. */
enum { MAX_LANES = 32 };

enum { WEIGHTS_1 = 256 + 28, WEIGHTS_14 = 14 * 16 + 28, VARIANCES_14 = WEIGHTS_14 + 30 };

ak_status ak_run(const ak_loop *loop, const ak_schedule *schedule, const ak_batch *batch, int64_t begin, int64_t end,
                 ak_isa isa) {
  if (!ak_isa_supported(isa)) return AK_UNSUPPORTED;
  if (!loop_is_valid(loop) || !schedule || !batch || schedule->ticks < 1 || schedule->substeps < 1 || !schedule->a
      || !schedule->b || !schedule->b2 != (loop->layers[0].inputs == loop->layers[loop->layer_count - 1].outputs) || begin < 0 || end < begin || end > batch->count || batch->trajectory_interval < 0)
    return AK_INVALID;
  if (begin == end) return AK_OK;
  if (!batch->x0 || !batch->x || (batch->trajectory && batch->trajectory_interval < 1)) return AK_INVALID;
  if (batch->held_source && (!schedule->held_gain || (batch->held_source == AK_HELD_TABLE && !batch->held))) return AK_INVALID;

  ak_plan plan = {0};
  plan.layer_count = loop->layer_count;
  plan.dimensions = loop->layers[0].inputs;
  plan.networks = schedule->b2 ? 2 : 1;
  plan.ticks = schedule->ticks;
  plan.substeps = schedule->substeps;
  plan.euler = schedule->euler != 0;
  plan.noisy = is_noisy(loop);
  plan.row_clamp = loop->row_clamp;
  plan.amplifier_rail = loop->amplifier_rail;
  plan.integrator_rail = loop->integrator_rail;
  plan.hidden_cap = fminf(loop->row_clamp, loop->amplifier_rail);
  plan.limited = isfinite(loop->row_clamp) || isfinite(loop->amplifier_rail) || isfinite(loop->integrator_rail);
  plan.soft = loop->softness > 0;
  plan.softness2 = loop->softness * loop->softness;
  float bias = fmaxf(fminf(loop->bias_level, loop->row_clamp), -loop->row_clamp);
  plan.bias_clamped = bias != loop->bias_level;

  const double step = schedule->tick_duration / schedule->substeps;
  if (loop->amplifier_pole != 0 || loop->multiplier_pole != 0) {
    if (!(loop->amplifier_pole > 0) || !(loop->multiplier_pole > 0) || schedule->euler) return AK_INVALID;
    plan.part_count = cut(loop, step, plan.parts);
    if (has_window(loop, step)) plan.window_share = loop->amplifier_pole / plan.parts[0].length;
    plan.multiplier_pole = loop->multiplier_pole;
  }
  if (loop->curved) {
    double curve[AK_CURVE];
    if (!ak_curve(loop, curve)) return AK_INVALID;
    plan.curved = 1;
    plan.polarity = loop->polarity;
    for (int k = 0; k < AK_CURVE; k++) plan.curve[k] = (float)curve[k];
    bias = (float)ak_conduct(loop, curve, bias);
  }
  plan.renewal = 1;
  if (loop->noise == AK_NOISE_BAND_LIMITED) {
    if (!(loop->correlation_time > 0)) return AK_INVALID;
    plan.decay = (float)remainder_of(step / loop->correlation_time);
    plan.renewal = (float)sqrt(-expm1(-2 * step / loop->correlation_time));
  }
  const int cell_noise = has_cell_noise(loop);
  if (cell_noise) {
    if (loop->modes < 0 || loop->modes > AK_MAX_MODES) return AK_INVALID;
    plan.modes = loop->modes;
    for (int m = 0; m < loop->modes; m++) {
      if (!(loop->mode_times[m] > 0) || !(loop->mode_shares[m] >= 0)) return AK_INVALID;
      plan.mode_decay[m] = (float)remainder_of(step / loop->mode_times[m]);
      plan.mode_renewal[m] = (float)sqrt(-expm1(-2 * step / loop->mode_times[m]));
      plan.mode_deviation[m] = sqrtf(loop->mode_shares[m]);
    }
    for (int l = 0; l < loop->layer_count; l++) plan.telegraph = plan.telegraph || loop->layers[l].telegraph;
    if (plan.telegraph) {
      if (!(loop->telegraph_time > 0)) return AK_INVALID;
      /* Correlation e^{−Δ/t} = 1 − 2p, so at most every other step changes. */
      plan.flip = (uint32_t)(-expm1(-step / loop->telegraph_time) * 0x1p31);
    }
  }

  size_t outputs = 0, products = 0;
  for (int l = 0; l < loop->layer_count; l++) {
    const ak_layer *layer = &loop->layers[l];
    if (layer->embedding >= 0
        && (!schedule->embedding || layer->embedding + layer->outputs > schedule->embedding_columns))
      return AK_INVALID;
    plan.layers[l].first = (int32_t)outputs;
    outputs += (size_t)layer->outputs;
    products += (size_t)layer->outputs * (size_t)(layer->inputs + 1);
  }
  plan.nodes = (int32_t)((outputs + 1) & ~(size_t)1);
  plan.base_stride = (int32_t)((outputs + 15) & ~(size_t)15);
  const size_t ticks = (size_t)schedule->ticks, dimensions = (size_t)plan.dimensions;
  const size_t cells = cell_noise ? (products + 1) & ~(size_t)1 : 0;
  const size_t state = cells * (size_t)(plan.modes + 2) * MAX_LANES;
  const size_t floats = state + 3 * cells + ticks * ((size_t)plan.base_stride + 4 + dimensions) + 2 * products + WEIGHTS_1
                        + WEIGHTS_14 + VARIANCES_14;
  void *memory = NULL;
  if (posix_memalign(&memory, 64, floats * sizeof(float))) return AK_NO_MEMORY;

  float *base = (float *)memory + state;
  plan.base = base;
  float *next = base + ticks * (size_t)plan.base_stride;
  for (size_t tick = 0; tick < ticks; tick++, base += plan.base_stride) {
    for (int l = 0; l < loop->layer_count; l++) {
      const ak_layer *layer = &loop->layers[l];
      float *row = base + plan.layers[l].first;
      const float *last = layer->weights + layer->inputs;
      for (int i = 0; i < layer->outputs; i++) row[i] = last[i * (layer->inputs + 1)] * bias;
      if (layer->embedding >= 0) {
        const float *e = schedule->embedding + tick * (size_t)schedule->embedding_columns + layer->embedding;
        for (int i = 0; i < layer->outputs; i++) row[i] += e[i];
      }
      for (int i = 0; i < layer->outputs; i++) row[i] = seen(row[i]);
    }
    for (int i = (int)outputs; i < plan.base_stride; i++) base[i] = 0;
  }
  float *steps = next, *offsets = steps + 3 * ticks;
  plan.steps = steps;
  plan.offsets = offsets;
  const double unit = plan.part_count ? 1 : step;
  for (size_t tick = 0; tick < ticks; tick++) {
    steps[3 * tick] = (float)(schedule->a[tick] * unit);
    steps[3 * tick + 1] = (float)((double)schedule->b[tick] * loop->amplitude * unit);
    steps[3 * tick + 2] = schedule->held_gain ? (float)(schedule->held_gain[tick] * unit) : 0;
    for (size_t d = 0; d < dimensions; d++)
      offsets[tick * dimensions + d] = schedule->offset ? (float)(schedule->offset[tick * dimensions + d] * unit) : 0;
  }
  next = offsets + ticks * dimensions;
  if (schedule->b2) {
    plan.steps2 = next;
    for (size_t tick = 0; tick < ticks; tick++) *next++ = (float)((double)schedule->b2[tick] * loop->amplitude * unit);
  }

  int shared = plan.noisy;
  const int block = isa == AK_ISA_AVX512 ? BLOCK_AVX512 : BLOCK_OTHER;
  for (int l = 0; l < loop->layer_count; l++) {
    const ak_layer *layer = &loop->layers[l];
    ak_plan_layer *packed = &plan.layers[l];
    packed->inputs = layer->inputs;
    packed->outputs = layer->outputs;
    packed->rectified = layer->rectified != 0;
    packed->weights = next;
    next = pack_blocks(next, layer->weights, layer->outputs, layer->inputs, block);
    if (!plan.noisy || cell_noise || !layer->variances) continue;
    packed->variance_rows = variances_are_shared(layer) ? 1 : layer->outputs;
    shared = shared && packed->variance_rows == 1;
    packed->variances = next;
    next = pack_blocks(next, layer->variances, packed->variance_rows, layer->inputs, block);
    packed->bias_variances = next;
    for (int i = 0; i < packed->variance_rows; i++)
      *next++ = layer->variances[i * (layer->inputs + 1) + layer->inputs] * bias * bias;
  }

  if (cell_noise) {
    float *weights = next, *deviations = weights + cells, *telegraph = deviations + cells;
    memset(weights, 0, 3 * cells * sizeof(float));
    size_t k = 0;
    for (int l = 0; l < loop->layer_count; l++) {
      const ak_layer *layer = &loop->layers[l];
      const int columns = layer->inputs + 1;
      for (int i = 0; i < layer->outputs * columns; i++, k++) {
        const int is_bias = i % columns == layer->inputs;
        const float level = is_bias ? bias : 1;
        weights[k] = is_bias ? 0 : seen(layer->weights[i]);
        deviations[k] = layer->variances ? sqrtf(layer->variances[i]) * level : 0;
        telegraph[k] = layer->telegraph ? layer->telegraph[i] * level : 0;
      }
    }
    plan.cells = (int32_t)cells;
    plan.cell_weights = weights;
    plan.cell_deviations = deviations;
    plan.cell_telegraph = telegraph;
    plan.cell_state = memory;
    next += 3 * cells;
  }

  if (ak_loop_path(loop, schedule) == AK_PATH_2_14_14_2) {
    const ak_layer *layers = loop->layers;
    plan.weights14 = next;
    pack_14(next, layers[0].weights, layers[1].weights, layers[2].weights);
    next += WEIGHTS_14;
    plan.weights1 = next;
    pack_1(next, layers[0].weights, layers[1].weights, layers[2].weights);
    next += WEIGHTS_1;
    if (plan.noisy) {
      const float *s1 = layers[0].variances, *s2 = layers[1].variances, *s3 = layers[2].variances;
      const float level2 = bias * bias;
      plan.variances14 = next;
      /* Behind poles every weight has a variance of its own: one path less, and that is how chips are. */
      plan.noise14 = shared && !plan.part_count ? 1 : 2;
      if (plan.noise14 == 1) {
        memcpy(next, s1, 2 * sizeof(float));
        memcpy(next + 2, s2, 14 * sizeof(float));
        memcpy(next + 16, s3, 14 * sizeof(float));
        next[30] = s1[2] * level2;
        next[31] = s2[14] * level2;
        next[32] = s3[14] * level2;
      } else {
        pack_14(next, s1, s2, s3);
        next += WEIGHTS_14;
        for (int i = 0; i < 14; i++) *next++ = s1[3 * i + 2] * level2;
        for (int i = 0; i < 14; i++) *next++ = s2[15 * i + 14] * level2;
        for (int i = 0; i < 2; i++) *next++ = s3[15 * i + 14] * level2;
      }
    }
  }

  void (*run)(const ak_plan *, const ak_batch *, int64_t, int64_t) = plan.weights14 ? run14_baseline : runGeneral_baseline;
#if AK_X86
  if (isa == AK_ISA_AVX512) run = plan.weights14 ? run14_avx512 : runGeneral_avx512_general;
  if (isa == AK_ISA_AVX2) run = plan.weights14 ? run14_avx2 : runGeneral_avx2;
#endif
  run(&plan, batch, begin, end);
  free(memory);
  return AK_OK;
}

float ak_wiener(uint64_t seed, uint32_t sample, uint32_t tick, uint32_t channel) {
  vu_baseline lanes = (vu_baseline)sample;
  const float xi = normal_baseline(seed, lanes, tick, channel, AK_STREAM_WIENER)[0];
  return xi > 4 ? 4 : xi < -4 ? -4 : xi;
}

ak_status ak_normal_fill(uint64_t seed, uint32_t sample, uint32_t tick, uint32_t channel, ak_stream stream, int64_t count,
                         float *xi, ak_isa isa) {
  if (!ak_isa_supported(isa)) return AK_UNSUPPORTED;
  if (count < 0 || (count && !xi)) return AK_INVALID;
  void (*fill)(uint64_t, uint32_t, uint32_t, uint32_t, ak_stream, int64_t, float *) = normalFill_baseline;
#if AK_X86
  if (isa == AK_ISA_AVX512) fill = normalFill_avx512;
  if (isa == AK_ISA_AVX2) fill = normalFill_avx2;
#endif
  fill(seed, sample, tick, channel, stream, count, xi);
  return AK_OK;
}
