#ifndef LOOP_ADJOINT_H
#define LOOP_ADJOINT_H

#include "analog_kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The loss of a batch of trajectories of the closed loop and its gradient with respect to the tables that the board plays:
 * the exact adjoint (reverse-mode derivative) of the Heun steps that ak_run takes.
 *
 * A point x of a trajectory that should be y counts Σ_d 2δ²(√(1 + (x_d − y_d)²/δ²) − 1): the square of a small distance,
 * 2δ times a large one. The loss is the mean over samples of the sum over points, each times its weight.
 */
typedef struct ak_target {
  int32_t interval;    /* ticks between two points with a target; divides the ticks */
  float path_weight;   /* of every point but the last, which has weight 1; 0: end points only */
  float scale;         /* δ in units, above 0 */
  float state_limit;   /* of the adjoint, per coordinate and step; INFINITY: none */
  const float *points; /* (count, ticks / interval, dimensions): after `interval` ticks, after twice as many … */
} ak_target;

/* Sums are in double and do not depend on threads, but on the order of the samples. */
typedef struct ak_gradient {
  double *a;         /* (ticks) */
  double *b;         /* (ticks) */
  double *b2;        /* (ticks), where the schedule has a second coefficient; NULL elsewhere */
  double *embedding; /* (ticks, embedding_columns) */
  double *offset;    /* (ticks, dimensions) */
} ak_gradient;

/* Loss and gradient of samples begin..<end, both divided by end − begin; the gradient is overwritten.
 *
 * Read noise is left out: the loop's `noise` is ignored. Where a clamp or rail acts the derivative is 0. The schedule is that of
 * ak_run with Heun steps; its held noise counts with the batch's. Of `batch`, x0, held, held_source, held_seed, first_sample
 * and count are used. */
ak_status ak_adjoint(const ak_loop *loop, const ak_schedule *schedule, const ak_batch *batch, const ak_target *target,
                     int64_t begin, int64_t end, ak_isa isa, double *loss, const ak_gradient *gradient);

/* Tables of a schedule in double precision, each in the place of the schedule's own. */
typedef struct ak_exact {
  const double *a, *b, *b2, *embedding, *offset;
} ak_exact;

/* The same in double precision on the portable path: what single precision is checked against. With `exact`, which may be NULL,
 * tables are not rounded either, so that differences over small steps mean something. */
ak_status ak_adjoint_double(const ak_loop *loop, const ak_schedule *schedule, const ak_exact *exact, const ak_batch *batch,
                            const ak_target *target, int64_t begin, int64_t end, double *loss,
                            const ak_gradient *gradient);

#ifdef __cplusplus
}
#endif
#endif
