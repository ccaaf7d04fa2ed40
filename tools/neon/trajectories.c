/* Final states of a fixed set of runs, one number a line: the same program on two machines must print nearly the same. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>

#include "analog_kernel.h"
#include "uniform.h"

enum { TICKS = 40, SAMPLES = 37, MOST = AK_MAX_WIDTH * (AK_MAX_WIDTH + 1) };

static float weights[AK_MAX_LAYERS][MOST], variances[AK_MAX_LAYERS][MOST], telegraph[AK_MAX_LAYERS][MOST];
static float a[TICKS], b[TICKS], embedding[TICKS * AK_MAX_WIDTH], held_gain[TICKS], levels[TICKS];
static float x0[SAMPLES * 8], x[SAMPLES * 8];

/* `pole` of amplifiers in steps, 0: none, then also without the curve of cells; multipliers are half as fast again. */
static int run(const int *widths, int layers, ak_noise noise, int euler, float clamp, float softness, float pole) {
  ak_layer layer[AK_MAX_LAYERS];
  for (int l = 0; l < layers; l++) {
    const int inputs = widths[l], outputs = widths[l + 1], count = outputs * (inputs + 1);
    for (int i = 0; i < count; i++) {
      weights[l][i] = 1.5f * balanced() / sqrtf((float)inputs);
      variances[l][i] = 0.002f * (1 + balanced());
      telegraph[l][i] = i % 9 ? 0 : 0.05f;
    }
    layer[l] = (ak_layer){.inputs = inputs, .outputs = outputs, .embedding = l + 1 < layers ? 0 : -1,
                          .rectified = l + 1 < layers, .weights = weights[l], .variances = variances[l],
                          .telegraph = telegraph[l]};
  }
  for (int i = 0; i < TICKS; i++) {
    a[i] = 0.3f * balanced();
    b[i] = balanced();
    held_gain[i] = i % 7 ? 0.2f : 0;
    levels[i] = 0.2f + 0.02f * (float)i;
  }
  for (int i = 0; i < TICKS * AK_MAX_WIDTH; i++) embedding[i] = balanced();
  for (int i = 0; i < SAMPLES * widths[0]; i++) x0[i] = 2 * balanced();
  const ak_loop loop = {.layers = layer, .layer_count = layers, .amplitude = 1, .bias_level = 1, .row_clamp = clamp,
                        .amplifier_rail = clamp, .integrator_rail = clamp, .softness = softness, .noise = noise,
                        .correlation_time = 0.05f, .modes = 2, .mode_times = {0.05f, 0.5f}, .mode_shares = {0.5f, 0.5f},
                        .telegraph_time = 0.1f, .amplifier_pole = pole / (2 * TICKS),
                        .multiplier_pole = 1.5f * pole / (2 * TICKS), .curved = pole > 0, .curvature = 0.3f,
                        .read_level = 1, .polarity = 0.95f};
  const ak_schedule schedule = {.ticks = TICKS, .substeps = 2, .euler = euler, .embedding_columns = AK_MAX_WIDTH,
                                .tick_duration = 1.0 / TICKS, .a = a, .b = b, .embedding = embedding,
                                .held_gain = held_gain};
  /* Codes of 0.07 deviations and coarser, up to 2 of them in the last ticks. */
  const ak_converter converter = {.lower = -2, .step = 4.0 / 255, .last_code = 255, .levels = levels};
  static uint8_t flags[SAMPLES];
  const ak_batch batch = {.count = SAMPLES, .first_sample = 5, .seed = 3, .held_seed = 4, .held_source = AK_HELD_WIENER,
                          .held_converter = euler ? &converter : NULL, .x0 = x0, .x = x, .flags = flags};
  const ak_status status = ak_run(&loop, &schedule, &batch, 0, SAMPLES, ak_isa_best());
  if (status != AK_OK) return status;
  for (int i = 0; i < SAMPLES * widths[0]; i++) printf("%.9g\n", (double)x[i]);
  for (int i = 0; i < SAMPLES; i++) printf("%d\n", flags[i] & AK_FLAG_NOISE_CLAMP);
  return 0;
}

int main(void) {
  static const int networks[3][5] = {{2, 14, 14, 2}, {3, 20, 3}, {8, 64, 64, 64, 8}};
  static const int layers[3] = {3, 2, 4};
  fprintf(stderr, "%s\n", ak_isa_name(ak_isa_best()));
  for (int n = 0; n < 3; n++)
    for (int noise = AK_NOISE_NONE; noise <= AK_NOISE_CELLS; noise++)
      for (int euler = 0; euler < 2; euler++)
        if (run(networks[n], layers[n], (ak_noise)noise, euler, noise ? 1.5f : INFINITY, euler ? 0.1f : 0, 0)) return 1;
  /* Poles far below a step, below it, and above it; curved cells need a clamp. */
  static const float poles[3] = {0.01f, 0.1f, 2};
  for (int n = 0; n < 2; n++)
    for (int noise = AK_NOISE_NONE; noise <= AK_NOISE_CELLS; noise++)
      for (int k = 0; k < 3; k++)
        if (run(networks[n], layers[n], (ak_noise)noise, 0, 1.5f, k == 1 ? 0.1f : 0, poles[k])) return 1;
  return 0;
}
