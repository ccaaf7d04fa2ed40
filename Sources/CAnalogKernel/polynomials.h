/* Minimax polynomials of kernel.inc.
 *
 * -2 ln(1 + f) = f·Σ LOG_k f^(k-1) on [√½ - 1, √2 - 1], relative error 1.1e-06;
 * sin(πh) = h·Σ SIN_k h^(2k) and cos(πh) = 1 + Σ COS_k h^(2k) on [-½, ½], errors 5.9e-07 and 5.3e-08. */
#ifndef ANALOG_KERNEL_POLYNOMIALS_H
#define ANALOG_KERNEL_POLYNOMIALS_H

#define AK_LOG_1 -2.00000191f
#define AK_LOG_2 1.00002229f
#define AK_LOG_3 -0.666290164f
#define AK_LOG_4 0.498194873f
#define AK_LOG_5 -0.409926593f
#define AK_LOG_6 0.373357058f
#define AK_LOG_7 -0.237922043f
#define AK_SIN_0 3.14158201f
#define AK_SIN_1 -5.16714287f
#define AK_SIN_2 2.54189897f
#define AK_SIN_3 -0.55463618f
#define AK_COS_1 -4.93479538f
#define AK_COS_2 4.05845118f
#define AK_COS_3 -1.33209383f
#define AK_COS_4 0.220080659f

#endif
