/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim/math.h - logarithm and exponential from + - * / alone.
 *
 * Square roots are exact everywhere; of the others libm's results differ in the last bit between libraries; these do not, so the
 * same seed gives the same simulation on every machine and compiler.
 */
#ifndef KM_SIM_MATH_H
#define KM_SIM_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define KM_LN2 0.69314718055994530942

/** km_sim_ln() - natural logarithm of a normal @x > 0; relative error below 1e-14. */
static inline double km_sim_ln(double x)
{
	uint64_t bits;
	double m, z, z2, term, sum = 0;
	int e, i;

	memcpy(&bits, &x, sizeof(bits));
	e = (int)(bits >> 52) - 1023;
	bits = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1023) << 52;
	memcpy(&m, &bits, sizeof(m)); /* 1 <= m < 2 */
	if (m > 1.4142135623730951) {
		m /= 2;
		e++;
	}
	z = (m - 1) / (m + 1); /* |z| < 0.172: 12 terms of atanh leave 1e-19 */
	z2 = z * z;
	term = z;
	for (i = 0; i < 12; i++) {
		sum += term / (2 * i + 1);
		term *= z2;
	}
	return 2 * sum + e * KM_LN2;
}

/** km_sim_exp() - e^@x for |x| < 700; relative error below 1e-14. */
static inline double km_sim_exp(double x)
{
	double sum = 1, term = 1, r;
	uint64_t bits;
	int e = (int)(x / KM_LN2 + (x < 0 ? -0.5 : 0.5)), i;

	r = x - e * KM_LN2; /* |r| < 0.35: 16 terms leave 1e-20 */
	for (i = 1; i <= 16; i++) {
		term *= r / i;
		sum += term;
	}
	bits = (uint64_t)(1023 + e) << 52;
	memcpy(&term, &bits, sizeof(term));
	return sum * term;
}

/**
 * km_sim_normal_quantile() - of 0 < @u < 1; absolute error below 4.5e-4.
 * Source: Abramowitz and Stegun 26.2.23.
 */
static inline double km_sim_normal_quantile(double u)
{
	double p = u < 0.5 ? u : 1 - u, t, z;

	if (p < 1e-9)
		p = 1e-9;
	t = sqrt(-2 * km_sim_ln(p));
	z = t - (2.515517 + t * (0.802853 + t * 0.010328)) /
			(1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
	return u < 0.5 ? -z : z;
}

/** km_sim_pow() - @x^@y for x > 0. */
static inline double km_sim_pow(double x, double y)
{
	return km_sim_exp(y * km_sim_ln(x));
}

#endif
