#ifndef ANALOG_KERNEL_H
#define ANALOG_KERNEL_H

#include <stdint.h>

#include "cell_ageing.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The closed loop of a continuous-time sampler, integrated for many samples at once.
 *
 *     dx/dτ = a·x + b·amplitude·net(x, e) + offset + gain·ξ
 *
 * Where a schedule has a second coefficient, the last layer has two outputs a dimension, and b₂·amplitude times the second half of
 * them is added: two networks of one state.
 *
 * With poles every column amplifier follows its input v̇ = (u − v)/amplifier_pole before its rectifier and rail, and the sum
 * a·x + b·amplitude·net reaches the integrator through one more, multiplier_pole.
 *
 * All values are in units (1 unit = the board's unit voltage). In a tick a, b, e, offset, gain and ξ are constant.
 * One sample is one lane of a vector; lanes never mix, so a result depends neither on how samples are cut into calls nor
 * on threads. No function keeps state between calls; all may run on several threads at once.
 */

enum { AK_MAX_WIDTH = 64, AK_MAX_LAYERS = 4, AK_MAX_MODES = 4 };
/* Where the series of sinh ends: 4e-7 of the current are left out here, 1e-10 at half of it. */
#define AK_MAX_CURVATURE 2.0f

/* Instruction sets. AVX-512 and AVX2 give the same bits; those without fused multiply-add differ in the last bits. */
typedef enum ak_isa {
  AK_ISA_PORTABLE = 0, /* vectors of four, whatever the target offers */
  AK_ISA_SSE2 = 1,
  AK_ISA_AVX2 = 2, /* AVX2 and FMA */
  AK_ISA_AVX512 = 3, /* AVX-512 F, BW, DQ, VL */
  AK_ISA_NEON = 4
} ak_isa;

/* 1 if this machine runs `isa` and it was compiled in. */
int ak_isa_supported(ak_isa isa);
/* The fastest supported set. */
ak_isa ak_isa_best(void);
/* The name as in RRAM_ISA: portable, sse2, avx2, avx512, neon. */
const char *ak_isa_name(ak_isa isa);

/* One layer as the array and its amplifiers realise it. */
typedef struct ak_layer {
  int32_t inputs;         /* driven rows without the bias row, 1...AK_MAX_WIDTH */
  int32_t outputs;        /* 1...AK_MAX_WIDTH */
  int32_t embedding;      /* first column of the embedding table that is added to the outputs; -1: none */
  int32_t rectified;      /* 1: soft ReLU with a rail above; 0: linear with a rail on both sides */
  const float *weights;   /* (outputs, inputs + 1), row-major, the last column belongs to the bias row; below 2^-63 they are none */
  const float *variances; /* variance of each weight's read noise, same shape, or NULL for none */
  const float *telegraph; /* half the step of each weight's two-state noise, same shape, or NULL for none; AK_NOISE_CELLS only */
} ak_layer;

typedef enum ak_noise {
  AK_NOISE_NONE = 0,
  AK_NOISE_WHITE = 1,       /* a fresh draw per output and step */
  AK_NOISE_BAND_LIMITED = 2, /* an Ornstein-Uhlenbeck process per output, exactly discretised */
  AK_NOISE_CELLS = 3 /* Ornstein-Uhlenbeck processes and a two-state process per weight, exactly discretised */
} ak_noise;

typedef struct ak_loop {
  const ak_layer *layers;
  int32_t layer_count;    /* 1...AK_MAX_LAYERS; inputs of the first = dimensions of x; outputs of the last
                             as many, or twice as many for two networks */
  float amplitude;        /* gain behind the network's output */
  float bias_level;       /* what drives the bias row */
  float row_clamp;        /* every driven row is limited to ± this; INFINITY: none */
  float amplifier_rail;   /* every layer's output is limited to ± this; INFINITY: none */
  float integrator_rail;  /* x is limited to ± this; INFINITY: none */
  float softness;         /* s of the rectifier ½(v + √(v² + s²)); 0: ideal ReLU */
  ak_noise noise;         /* each output gets √(Σ v²·variance)·z, v the driven rows, z with unit variance; AK_NOISE_CELLS
                             adds √variance·Σ_m √share·z_m ± telegraph to each weight */
  float correlation_time; /* of z, in units of τ, for AK_NOISE_BAND_LIMITED */
  int32_t modes;          /* processes z_m of a weight, 0...AK_MAX_MODES, for AK_NOISE_CELLS as all that follows */
  float mode_times[AK_MAX_MODES];  /* correlation times in units of τ, above 0 */
  float mode_shares[AK_MAX_MODES]; /* of the variance, 0 or above */
  float telegraph_time;   /* correlation time of the two-state process in units of τ; a symmetric one changes every 2× that */
  float amplifier_pole, multiplier_pole; /* time constants in units of τ, both above 0, or both 0 for none; not with Euler */
  int32_t curved;         /* 1: cells are not ohmic, the next three hold; 0: they are */
  float curvature;        /* c in 1/unit of a cell's current, which goes as sinh(c·v)/c; c·(largest |v|) ≤ AK_MAX_CURVATURE */
  float read_level;       /* |v| in units at which `weights` hold */
  float polarity;         /* current at −v over that at v */
} ak_loop;

typedef struct ak_schedule {
  int32_t ticks;
  int32_t substeps;           /* integration steps per tick */
  int32_t euler;              /* 0: Heun, two evaluations a step; 1: Euler, one */
  int32_t embedding_columns;
  double tick_duration;       /* in units of τ */
  const float *a;             /* (ticks) */
  const float *b;             /* (ticks) */
  const float *b2;            /* (ticks), of the second half of the outputs; NULL for one network */
  const float *embedding;     /* (ticks, embedding_columns), or NULL if no layer takes one */
  const float *offset;        /* (ticks, dimensions), or NULL for zeros */
  const float *held_gain;     /* (ticks), factor of ξ; NULL: no held noise */
} ak_schedule;

typedef enum ak_held {
  AK_HELD_NONE = 0,
  AK_HELD_TABLE = 1, /* ξ from `held` */
  AK_HELD_WIENER = 2 /* ξ = √(-2 ln u₀)·cos(2π u₁) of Philox4x32-10(held_seed; sample, tick, channel, 0x57494E52) */
} ak_held;

enum {
  AK_FLAG_ROW_CLAMP = 1,
  AK_FLAG_AMPLIFIER_RAIL = 2,
  AK_FLAG_INTEGRATOR_RAIL = 4,
  AK_FLAG_NOISE_CLAMP = 8 /* ξ passed ±4 in a tick with gain, or the converter's range ended */
};

/* What plays the held noise: code k is lower + k·step volts, k = 0...last_code, and levels[tick] volts stand for ξ = 1. */
typedef struct ak_converter {
  double lower, step;
  int32_t last_code;
  const float *levels; /* (ticks), above 0 wherever held_gain is not 0 */
  const double *lines; /* (dimensions, 2): in ticks with held_gain a channel gives lines[0]·volts + lines[1]; NULL: volts */
} ak_converter;

typedef struct ak_batch {
  int64_t count;
  uint64_t first_sample; /* index of the first sample in its run; names the random streams */
  uint64_t seed;         /* of the node noise: xoshiro128++ seeded by Philox4x32-10(seed; sample) */
  uint64_t held_seed;
  ak_held held_source;
  const ak_converter *held_converter; /* what ξ of AK_HELD_WIENER passes through, or NULL for none */
  int32_t trajectory_interval; /* ticks between two recorded points; 0: none */
  const float *x0;   /* (count, dimensions) */
  const float *held; /* (count, ticks, dimensions) standard normal numbers; limited to ±4 */
  float *x;          /* (count, dimensions), the state at the end */
  uint8_t *flags;    /* (count), AK_FLAG_… that were reached, or NULL */
  float *trajectory; /* (count, ticks / interval + 1, dimensions), the first point is the start, or NULL */
} ak_batch;

typedef enum ak_status {
  AK_OK = 0,
  AK_INVALID = 1,      /* a shape or count outside the documented range */
  AK_UNSUPPORTED = 2,  /* the machine does not run the instruction set */
  AK_NO_MEMORY = 3
} ak_status;

/* Which code serves a loop on a schedule: AK_PATH_2_14_14_2 has constant trip counts, AK_PATH_GENERAL takes any shape, and poles
 * that are not far below a step. */
typedef enum ak_path { AK_PATH_GENERAL = 0, AK_PATH_2_14_14_2 = 1 } ak_path;
ak_path ak_loop_path(const ak_loop *loop, const ak_schedule *schedule);
/* Network evaluations in one integration step. */
int ak_step_evaluations(const ak_loop *loop, const ak_schedule *schedule);

/* Runs samples begin..<end of the batch. */
ak_status ak_run(const ak_loop *loop, const ak_schedule *schedule, const ak_batch *batch, int64_t begin, int64_t end,
                 ak_isa isa);

/* The held noise ξ of AK_HELD_WIENER for one sample, tick and channel, limited to ±4. */
float ak_wiener(uint64_t seed, uint32_t sample, uint32_t tick, uint32_t channel);
/* What the last word of a counter says that a number is for: "WINR", "STAR". */
typedef enum ak_stream { AK_STREAM_WIENER = 0x57494E52, AK_STREAM_START = 0x53544152 } ak_stream;
/* Standard normal numbers of the samples sample..<sample + count, not limited: ξ, or with tick 0 the start points of one
 * coordinate; `isa` decides how fast, not what comes. */
ak_status ak_normal_fill(uint64_t seed, uint32_t sample, uint32_t tick, uint32_t channel, ak_stream stream, int64_t count,
                         float *xi, ak_isa isa);

#ifdef __cplusplus
}
#endif
#endif
