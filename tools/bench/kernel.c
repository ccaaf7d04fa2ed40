/* One fixed run of the closed loop's kernel, for an instruction counter: kernel ROW [0|1]; with 0 all but the run itself.
 *
 * A 2→14→14→2 network with 64 samples in 200 steps, or 2→64→64→64→2 with 32. Without arguments the rows are listed. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../neon/uniform.h"
#include "analog_kernel.h"

enum { TICKS = 200, SAMPLES = 64, WIDTH = 64, MOST = WIDTH * (WIDTH + 1) };

typedef struct row {
  const char *name;
  ak_noise noise;
  int is_board; /* limits, poles and the curve of cells */
  int is_wide;
} row;

static const row rows[] = {
    {"closedLoopIdeal", AK_NOISE_NONE, 0, 0},          {"closedLoopBandLimited", AK_NOISE_BAND_LIMITED, 0, 0},
    {"closedLoopPoles", AK_NOISE_NONE, 1, 0},          {"closedLoopPolesBandLimited", AK_NOISE_BAND_LIMITED, 1, 0},
    {"closedLoopCells", AK_NOISE_CELLS, 0, 0},         {"closedLoopGeneral", AK_NOISE_NONE, 0, 1},
};

int main(int argc, char **argv) {
  static float weights[4][MOST], variances[4][MOST], a[TICKS], b[TICKS], embedding[TICKS * WIDTH];
  static float x0[2 * SAMPLES], x[2 * SAMPLES];
  const int row_count = sizeof rows / sizeof *rows;
  if (argc < 2) {
    for (int i = 0; i < row_count; i++) puts(rows[i].name);
    return 0;
  }
  const row *row = NULL;
  for (int i = 0; i < row_count; i++)
    if (!strcmp(rows[i].name, argv[1])) row = &rows[i];
  if (!row) return 64;
  const int narrow[4] = {2, 14, 14, 2}, wide[5] = {2, 64, 64, 64, 2};
  const int *widths = row->is_wide ? wide : narrow, layers = row->is_wide ? 4 : 3;
  ak_layer layer[4];
  for (int l = 0; l < layers; l++) {
    const int inputs = widths[l], outputs = widths[l + 1];
    for (int i = 0; i < outputs * (inputs + 1); i++) {
      weights[l][i] = 1.2f * balanced() / sqrtf((float)inputs);
      variances[l][i] = 1e-5f * (1 + balanced());
    }
    layer[l] = (ak_layer){.inputs = inputs, .outputs = outputs, .embedding = l + 1 < layers ? 0 : -1,
                          .rectified = l + 1 < layers, .weights = weights[l], .variances = variances[l]};
  }
  for (int i = 0; i < TICKS; i++) {
    a[i] = 0.3f;
    b[i] = 1.2f - (float)i / TICKS;
  }
  for (int i = 0; i < TICKS * WIDTH; i++) embedding[i] = balanced();
  for (int i = 0; i < 2 * SAMPLES; i++) x0[i] = 2 * balanced();
  const float pole = row->is_board ? 5e-5f : 0;
  const ak_loop loop = {.layers = layer, .layer_count = layers, .amplitude = 5, .bias_level = 1,
                        .row_clamp = row->is_board ? 10 : INFINITY, .amplifier_rail = row->is_board ? 50 : INFINITY,
                        .integrator_rail = row->is_board ? 6.5f : INFINITY, .noise = row->noise,
                        .correlation_time = 5e-5f, .modes = 2, .mode_times = {0.05f, 0.5f}, .mode_shares = {0.5f, 0.5f},
                        .telegraph_time = 0.1f, .amplifier_pole = pole, .multiplier_pole = pole,
                        .curved = row->is_board, .curvature = 0.05f, .read_level = 2, .polarity = 0.998f};
  const ak_schedule schedule = {.ticks = TICKS, .substeps = 1, .embedding_columns = WIDTH, .tick_duration = 1.0 / TICKS,
                                .a = a, .b = b, .embedding = embedding};
  const int count = row->is_wide ? SAMPLES / 2 : SAMPLES;
  const ak_batch batch = {.count = count, .seed = 3, .x0 = x0, .x = x};
  if (argc > 2 && !strcmp(argv[2], "0")) return 0;
  return ak_run(&loop, &schedule, &batch, 0, count, AK_ISA_AVX2);
}
