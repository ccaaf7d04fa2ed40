#ifndef CELL_AGEING_H
#define CELL_AGEING_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Ageing of memory cells: stationary noise, accumulating walk and telegraph traps of many cells, to one common time.
 *
 * A cell's draws are Philox4x32-10 of seed, its draw counter, its number and its macro: the order in which cells are aged,
 * how they are cut into calls, and the instruction set change no bit (no multiply-add is fused).
 */

enum {
  CA_MAX_MODES = 16,
  CA_NORMALS = 2048,            /* entries of the table of normal numbers */
  CA_DECAY_FIRST = 103 << 4,    /* sixteenth of an octave at which the decay table begins: x = 2^-24 */
  CA_DECAY_NODES = 29 * 16 + 1, /* ... and it ends at x = 32 */
  CA_AGE_FIRST = 97 << 4,       /* the age tables begin at 2^-30 s */
  CA_AGE_NODES = 64 * 16 + 1    /* ... and end at 2^34 s */
};

typedef enum ca_isa {
  CA_BEST = 0, /* the widest that the machine has */
  CA_BASELINE = 1,
  CA_AVX2 = 2,
  CA_AVX512 = 3
} ca_isa;

/* What all cells of a die have in common. Tables are linear between nodes at 2^(e + m/16): node k of a table that begins at
 * FIRST is at the float whose upper 13 bits (sign, exponent, 4 bits of the mantissa) are FIRST + k. */
typedef struct ca_law {
  int32_t modes;           /* Ornstein-Uhlenbeck processes a cell, 0...CA_MAX_MODES */
  const float *rates;      /* 1/τ of each, 1/s */
  const float *normals;    /* CA_NORMALS equally likely values with mean 0 and variance 1 */
  const float *decay;      /* 1 - e^-x, CA_DECAY_NODES */
  const float *walk;       /* P(age), CA_AGE_NODES, or NULL for no walk */
  const float *stationary; /* Q(age), CA_AGE_NODES: the walk's variance is scale·max(0, P - amplitude²·Q) */
  uint32_t mode_purpose;   /* fourth counter word of the draws for the modes ... */
  uint32_t walk_purpose;   /* ... and of those for walk and trap */
  ca_isa isa;              /* a set that the machine lacks is replaced by the widest it has; all give the same bits */
} ca_law;

/* Arrays over the cells of one macro. */
typedef struct ca_cells {
  int64_t count;
  uint64_t seed;
  uint32_t macro;
  float *modes;              /* (modes, count), variance 1 each */
  float *walk;
  float *walk_variance;
  double *time;              /* s, when the cell was last aged */
  const double *write_time;  /* s, when its walk began */
  uint32_t *draws;
  const uint8_t *formed;     /* only formed cells age */
  const float *walk_scale;
  const float *amplitude;    /* of the stationary part */
  const float *trap_rate;    /* 1/τ of the cell's telegraph trap, 0: none; NULL: no cell has one */
  uint8_t *trap_state;
} ca_cells;

/* Ages the cells of `list`, in which a number may stand more than once, or cells first ..< first + count if it is NULL, to
 * `now`; a cell already there or later stays as it is. */
void ca_age(const ca_law *law, const ca_cells *cells, const int64_t *list, int64_t first, int64_t count, double now);

/* Sum of weights[m]·mode m of one cell, in the order of the modes; `modes` is (modes, cells). */
float ca_mode_sum(const float *modes, int64_t cells, int32_t count, int64_t cell, const float *weights);

#ifdef __cplusplus
}
#endif
#endif
