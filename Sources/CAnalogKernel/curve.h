#ifndef ANALOG_KERNEL_CURVE_H
#define ANALOG_KERNEL_CURVE_H

#include <math.h>

#include "analog_kernel.h"

/* Terms of the series of a cell's current: v·(c₀ + c₁v² + …) = v·(sinh(cv)/(cv))/(sinh(cr)/(cr)), r the level of reads. */
enum { AK_CURVE = 6 };

/* 0 if the loop's numbers are outside the documented range. */
static inline int ak_curve(const ak_loop *loop, double curve[AK_CURVE]) {
  const double c = loop->curvature, at_read = c * loop->read_level;
  if (!(c >= 0) || !(c == 0 || c * loop->row_clamp <= AK_MAX_CURVATURE) || !(fabs(at_read) <= AK_MAX_CURVATURE)
      || !(loop->polarity > 0))
    return 0;
  double term = at_read * at_read < 1e-12 ? 1 : at_read / sinh(at_read);
  for (int k = 0; k < AK_CURVE; k++) {
    curve[k] = term;
    term *= c * c / ((2 * k + 2) * (2 * k + 3));
  }
  return 1;
}

static inline double ak_conduct(const ak_loop *loop, const double curve[AK_CURVE], double v) {
  double sum = curve[AK_CURVE - 1];
  for (int k = AK_CURVE - 2; k >= 0; k--) sum = sum * v * v + curve[k];
  return v * sum * (v < 0 ? loop->polarity : 1);
}

/* Weights, and what is added before them, below 2^-63 of a unit are none, and so are variances: no converter shows as little. Training leaves
 * weights of 1e-38 behind; as subnormal factors they would double the time of a run, and products of two numbers above 2^-63 are normal. */
static inline float seen(float value) { return fabsf(value) < 0x1p-63f ? 0 : value; }

#endif
