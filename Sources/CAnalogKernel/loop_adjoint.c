#include "loop_adjoint.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "curve.h"

#pragma STDC FP_CONTRACT OFF
/* No vector crosses a call: every function that takes one is static to its part. */
#pragma clang diagnostic ignored "-Wpsabi"

/* The widest vector: 16 floats or 8 doubles. */
enum { AJ_VECTOR_BYTES = 64 };

typedef struct aj_layer {
  int32_t inputs, outputs, rectified, first, embedding;
  const void *weights;    /* (outputs, inputs) */
  const void *transposed; /* (inputs, outputs) */
} aj_layer;

/* Tables in the precision of the part that reads them, times the step. */
typedef struct aj_plan {
  aj_layer layers[AK_MAX_LAYERS];
  int32_t layer_count, dimensions, networks, ticks, substeps, base_stride, embedding_columns;
  const void *base;    /* (ticks, base_stride): bias row + embedding of every output */
  const void *steps;   /* (ticks, 4): a·h, b·amplitude·h, gain·h, b₂·amplitude·h */
  const void *offsets; /* (ticks, dimensions): offset·h */
  double row_clamp, amplifier_rail, integrator_rail, softness2;
  int32_t curved;
  double curve[AK_CURVE], polarity;
} aj_plan;

static float aj_held(const aj_plan *plan, const ak_batch *batch, int64_t sample, int tick, int dimension) {
  if (batch->held_source == AK_HELD_WIENER)
    return ak_wiener(batch->held_seed, (uint32_t)(batch->first_sample + (uint64_t)sample), (uint32_t)tick, (uint32_t)dimension);
  const float xi = batch->held[(sample * plan->ticks + tick) * plan->dimensions + dimension];
  return xi > 4 ? 4 : xi < -4 ? -4 : xi;
}

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi2"))), \
                             apply_to = function)
#define AJ_FUSED 1
#define AJ_T float
#define AJ_W 16
#define AJ_SUFFIX _aj_avx512
#include "loop_adjoint.inc"
#undef AJ_SUFFIX
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi2"))), apply_to = function)
#define AJ_SUFFIX _aj_avx2
#include "loop_adjoint.inc"
#undef AJ_SUFFIX
#undef AJ_W
#undef AJ_T
#undef AJ_FUSED
#pragma clang attribute pop
#endif

#define AJ_FUSED 0
#define AJ_T float
#define AJ_W 8
#define AJ_SUFFIX _aj_baseline
#include "loop_adjoint.inc"
#undef AJ_SUFFIX
#undef AJ_T
#define AJ_T double
#define AJ_SUFFIX _aj_double
#include "loop_adjoint.inc"
#undef AJ_SUFFIX
#undef AJ_W
#undef AJ_T
#undef AJ_FUSED

/* Writes a number in the precision of the part. */
static void put(void *to, size_t index, int isDouble, double value) {
  if (isDouble)
    ((double *)to)[index] = value;
  else
    ((float *)to)[index] = (float)value;
}

/* An entry of a table. */
static double entry(const float *table, const double *exact, size_t index) { return exact ? exact[index] : table[index]; }

static ak_status adjoint(const ak_loop *loop, const ak_schedule *schedule, const ak_exact *given, const ak_batch *batch,
                         const ak_target *target, int64_t begin, int64_t end, ak_isa isa, int isDouble, double *loss, const ak_gradient *gradient) {
  if (!ak_isa_supported(isa)) return AK_UNSUPPORTED;
  if (!loop || !loop->layers || loop->layer_count < 1 || loop->layer_count > AK_MAX_LAYERS || !schedule || !batch || !target
      || !loss || !gradient || !gradient->a || !gradient->b || !gradient->embedding || !gradient->offset
      || schedule->ticks < 1 || schedule->substeps < 1 || schedule->euler || !schedule->a || !schedule->b || !schedule->b2 != !gradient->b2 || begin < 0
      || end <= begin || end > batch->count || !batch->x0 || !target->points || target->interval < 1
      || schedule->ticks % target->interval || !(target->scale > 0) || !(target->path_weight >= 0)
      || !(target->state_limit > 0) || schedule->embedding_columns < 0 || loop->amplifier_pole != 0)
    return AK_INVALID;
  if (batch->held_source && (!schedule->held_gain || (batch->held_source == AK_HELD_TABLE && !batch->held))) return AK_INVALID;
  const ak_exact exact = given ? *given : (ak_exact){0};
  aj_plan plan = {0};
  plan.layer_count = loop->layer_count;
  plan.dimensions = loop->layers[0].inputs;
  plan.networks = schedule->b2 ? 2 : 1;
  plan.ticks = schedule->ticks;
  plan.substeps = schedule->substeps;
  plan.embedding_columns = schedule->embedding_columns;
  plan.row_clamp = loop->row_clamp;
  plan.amplifier_rail = loop->amplifier_rail;
  plan.integrator_rail = loop->integrator_rail;
  plan.softness2 = (double)loop->softness * loop->softness;
  if (loop->curved) {
    if (!ak_curve(loop, plan.curve)) return AK_INVALID;
    plan.curved = 1;
    plan.polarity = loop->polarity;
  }
  size_t outputs = 0, products = 0;
  for (int l = 0; l < loop->layer_count; l++) {
    const ak_layer *layer = &loop->layers[l];
    if (layer->inputs < 1 || layer->inputs > AK_MAX_WIDTH || layer->outputs < 1 || layer->outputs > AK_MAX_WIDTH
        || !layer->weights
        || (l ? layer->inputs : layer->inputs * plan.networks) != loop->layers[l ? l - 1 : loop->layer_count - 1].outputs)
      return AK_INVALID;
    if (layer->embedding >= 0
        && (!schedule->embedding || layer->embedding + layer->outputs > schedule->embedding_columns))
      return AK_INVALID;
    plan.layers[l] = (aj_layer){.inputs = layer->inputs, .outputs = layer->outputs, .rectified = layer->rectified,
                                .first = (int32_t)outputs, .embedding = layer->embedding};
    outputs += (size_t)layer->outputs;
    products += (size_t)layer->outputs * (size_t)layer->inputs;
  }
  plan.base_stride = (int32_t)outputs;
  const size_t ticks = (size_t)schedule->ticks, dimensions = (size_t)plan.dimensions, steps = ticks * (size_t)schedule->substeps;
  const size_t width = isDouble ? sizeof(double) : sizeof(float);
  const size_t tables = (ticks * (outputs + 4 + dimensions) + 2 * products) * width;
  const size_t vectors = ((steps + 1) * dimensions + ticks * (3 + dimensions + (size_t)plan.embedding_columns)) * AJ_VECTOR_BYTES;
  void *memory = NULL;
  if (posix_memalign(&memory, 64, vectors + tables)) return AK_NO_MEMORY;

  char *next = (char *)memory + vectors;
  const double step = schedule->tick_duration / schedule->substeps;
  double bias = fmax(fmin(loop->bias_level, loop->row_clamp), -(double)loop->row_clamp);
  if (plan.curved) bias = ak_conduct(loop, plan.curve, bias);
  void *base = next;
  next += ticks * outputs * width;
  void *rates = next;
  next += 4 * ticks * width;
  void *offsets = next;
  next += ticks * dimensions * width;
  plan.base = base;
  plan.steps = rates;
  plan.offsets = offsets;
  for (size_t tick = 0; tick < ticks; tick++) {
    for (int l = 0; l < loop->layer_count; l++) {
      const ak_layer *layer = &loop->layers[l];
      for (int i = 0; i < layer->outputs; i++) {
        double value = layer->weights[i * (layer->inputs + 1) + layer->inputs] * bias;
        if (layer->embedding >= 0)
          value += entry(schedule->embedding, exact.embedding,
                         tick * (size_t)schedule->embedding_columns + (size_t)(layer->embedding + i));
        put(base, tick * outputs + (size_t)(plan.layers[l].first + i), isDouble, value);
      }
    }
    put(rates, 4 * tick, isDouble, entry(schedule->a, exact.a, tick) * step);
    put(rates, 4 * tick + 1, isDouble, entry(schedule->b, exact.b, tick) * loop->amplitude * step);
    put(rates, 4 * tick + 2, isDouble, schedule->held_gain ? schedule->held_gain[tick] * step : 0);
    put(rates, 4 * tick + 3, isDouble, schedule->b2 ? entry(schedule->b2, exact.b2, tick) * loop->amplitude * step : 0);
    for (size_t d = 0; d < dimensions; d++)
      put(offsets, tick * dimensions + d, isDouble,
          schedule->offset ? entry(schedule->offset, exact.offset, tick * dimensions + d) * step : 0);
  }
  for (int l = 0; l < loop->layer_count; l++) {
    const ak_layer *layer = &loop->layers[l];
    const int inputs = layer->inputs, count = layer->outputs;
    void *weights = next;
    next += (size_t)(inputs * count) * width;
    void *transposed = next;
    next += (size_t)(inputs * count) * width;
    for (int i = 0; i < count; i++)
      for (int j = 0; j < inputs; j++) {
        put(weights, (size_t)(i * inputs + j), isDouble, seen(layer->weights[i * (inputs + 1) + j]));
        put(transposed, (size_t)(j * count + i), isDouble, seen(layer->weights[i * (inputs + 1) + j]));
      }
    plan.layers[l].weights = weights;
    plan.layers[l].transposed = transposed;
  }

  const size_t columns = (size_t)plan.embedding_columns;
  memset(gradient->a, 0, ticks * sizeof(double));
  memset(gradient->b, 0, ticks * sizeof(double));
  if (gradient->b2) memset(gradient->b2, 0, ticks * sizeof(double));
  memset(gradient->embedding, 0, ticks * columns * sizeof(double));
  memset(gradient->offset, 0, ticks * dimensions * sizeof(double));
  *loss = 0;
  if (isDouble) {
    adjoint_aj_double(&plan, batch, target, begin, end, memory, loss, gradient);
  } else {
    void (*run)(const aj_plan *, const ak_batch *, const ak_target *, int64_t, int64_t, void *, double *,
                const ak_gradient *) = adjoint_aj_baseline;
#if defined(__x86_64__)
    if (isa == AK_ISA_AVX512) run = adjoint_aj_avx512;
    if (isa == AK_ISA_AVX2) run = adjoint_aj_avx2;
#endif
    run(&plan, batch, target, begin, end, memory, loss, gradient);
  }
  free(memory);

  /* From derivatives by what is added in a step to derivatives by the tables, per sample. */
  const double share = 1 / (double)(end - begin);
  *loss *= share;
  for (size_t tick = 0; tick < ticks; tick++) {
    gradient->a[tick] *= step * share;
    gradient->b[tick] *= step * loop->amplitude * share;
    if (gradient->b2) gradient->b2[tick] *= step * loop->amplitude * share;
    for (size_t d = 0; d < dimensions; d++) gradient->offset[tick * dimensions + d] *= step * share;
    for (size_t k = 0; k < columns; k++) gradient->embedding[tick * columns + k] *= share;
  }
  return AK_OK;
}

ak_status ak_adjoint(const ak_loop *loop, const ak_schedule *schedule, const ak_batch *batch, const ak_target *target,
                     int64_t begin, int64_t end, ak_isa isa, double *loss, const ak_gradient *gradient) {
  return adjoint(loop, schedule, NULL, batch, target, begin, end, isa, 0, loss, gradient);
}

ak_status ak_adjoint_double(const ak_loop *loop, const ak_schedule *schedule, const ak_exact *exact,
                            const ak_batch *batch, const ak_target *target, int64_t begin, int64_t end, double *loss,
                            const ak_gradient *gradient) {
  return adjoint(loop, schedule, exact, batch, target, begin, end, AK_ISA_PORTABLE, 1, loss, gradient);
}
