#ifndef ANALOG_KERNEL_PLAN_H
#define ANALOG_KERNEL_PLAN_H

#include "analog_kernel.h"
#include "curve.h"

/* Vectors that take turns on the 2→14→14→2 path. */
enum { AK_GROUPS = 2 };
/* Ticks of held noise that are drawn at once, and node noise per network at most. */
enum { AK_HELD_TICKS = 8, AK_MAX_NODES = AK_MAX_WIDTH * AK_MAX_LAYERS };
/* Parts of a step through poles at most. */
enum { AK_MAX_PARTS = 4 };

/* A part of a step through poles: what nodes and multipliers keep of their states and take of their inputs at its ends. */
typedef struct ak_part {
  float length, decay, multiplier_decay;
  float start[AK_MAX_LAYERS], end[AK_MAX_LAYERS]; /* by layer */
  float multiplier_start, multiplier_end;
  float area_start, area_end; /* of the area under a multiplier's input */
  int32_t is_long; /* 1: all of the transient is over, so that inputs start where settled nodes put them */
} ak_part;

typedef struct ak_plan_layer {
  int32_t inputs, outputs, rectified;
  int32_t first;         /* of this layer's outputs in a row of `base` and among the noise nodes */
  int32_t variance_rows; /* 0: no noise, 1: the same for every output, else one row an output */
  const float *weights;   /* [block of outputs][input][output in block] */
  const float *variances; /* the same layout, or [input] */
  const float *bias_variances; /* [variance row], already times the square of the bias level */
} ak_plan_layer;

/* Everything a trajectory reads, laid out in the order in which it is read. */
typedef struct ak_plan {
  ak_plan_layer layers[AK_MAX_LAYERS];
  int32_t layer_count, dimensions, nodes, ticks, substeps, euler;
  int32_t networks;       /* 1, or 2: the output of the last layer is two of them */
  int32_t base_stride;
  const float *base;      /* (ticks, base_stride): bias row + embedding of every output */
  const float *steps;     /* (ticks, 3): a·h, b·amplitude·h, gain·h with h the step; through poles h is 1 */
  const float *steps2;    /* (ticks): b₂·amplitude·h, through poles h is 1; NULL for one network */
  const float *offsets;   /* (ticks, dimensions): offset·h */
  ak_part parts[AK_MAX_PARTS];
  int32_t part_count;     /* 0: no poles */
  float window_share;     /* amplifiers' time constant ÷ parts[0].length where parts[0] is the window in which all settles; else 0 */
  float multiplier_pole;
  int32_t curved;
  float curve[AK_CURVE], polarity;
  const float *weights14; /* 2→14→14→2: 14 × {w1[j][0], w1[j][1], w2[0..13][j]}, then 14 × {w3[0][i], w3[1][i]} */
  const float *weights1; /* the same for one sample: w1[:][0], w1[:][1], 14 × w2[:][j], in rows of 16; then pairs of w3 */
  const float *variances14; /* the same layout; with shared variances {s1[2], s2[14], s3[14]} */
  int32_t noise14;        /* 0 none, 1 the same variances for every output of a layer, 2 one variance a weight */
  int32_t limited, soft;
  float row_clamp, amplifier_rail, integrator_rail, hidden_cap, softness2;
  int32_t noisy, bias_clamped;
  float decay, renewal;   /* of the node noise per step: z ← decay·z + renewal·ξ; white: 0 and 1 */
  int32_t cells;          /* weights with noise of their own, an even number, [layer][output][input + bias]; 0: none */
  int32_t modes, telegraph;
  float mode_decay[AK_MAX_MODES], mode_renewal[AK_MAX_MODES], mode_deviation[AK_MAX_MODES];
  uint32_t flip;          /* a two-state process changes in a step where a 32-bit word is below */
  const float *cell_weights, *cell_deviations, *cell_telegraph; /* (cells); the bias weight itself is in `base` */
  float *cell_state;      /* (modes + 2, cells) vectors: processes, signs, weights as they are in this step */
} ak_plan;

#endif
