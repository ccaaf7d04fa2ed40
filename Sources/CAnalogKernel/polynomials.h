/* Minimax polynomials of kernel.inc.
 *
 * -2 ln(1 + f) = f·Σ LOG_k f^(k-1) on [√½ - 1, √2 - 1], relative error 1.7e-07;
 * sin(πh) = h·Σ SIN_k h^(2k) and cos(πh) = 1 + Σ COS_k h^(2k) on [-½, ½], errors 1.3e-08 (over h) and 2.4e-10. */
#ifndef ANALOG_KERNEL_POLYNOMIALS_H
#define ANALOG_KERNEL_POLYNOMIALS_H

#define AK_LOG_1 -1.99999988f
#define AK_LOG_2 1.00000727f
#define AK_LOG_3 -0.666701198f
#define AK_LOG_4 0.499398172f
#define AK_LOG_5 -0.39800331f
#define AK_LOG_6 0.345016629f
#define AK_LOG_7 -0.324451506f
#define AK_LOG_8 0.202137679f
#define AK_SIN_0 3.14159274f
#define AK_SIN_1 -5.1677103f
#define AK_SIN_2 2.55007768f
#define AK_SIN_3 -0.598292172f
#define AK_SIN_4 0.0776594058f
#define AK_COS_1 -4.93480206f
#define AK_COS_2 4.05870962f
#define AK_COS_3 -1.33521605f
#define AK_COS_4 0.234953925f
#define AK_COS_5 -0.0244206991f

#endif
