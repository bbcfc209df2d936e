// Functions of single precision that compilers turn into vector code, where the C library's are calls one by one.
#ifndef MILLRACE_FUNCTIONS_H_
#define MILLRACE_FUNCTIONS_H_

#include <cstdint>
#include <cstring>

#include "instruction-sets.h"

namespace millrace {

// e^x to two units in the last place, by Cody and Waite's reduction and the polynomial of Moshier's Cephes library (expf). What
// lies beyond single precision comes out as 2.4e38 or 1.2e-38; NaN stays NaN.
MILLRACE_INLINE float exponential(float x) {
  x = x > 88.37f ? 88.37f : x;
  x = x < -87.33f ? -87.33f : x;
  // Adding and subtracting 1.5·2^23 rounds to the nearest whole number.
  const float shifted = x * 1.44269504088896341f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  float r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  // The last bits of the shifted number are n, which becomes the exponent of 2^n.
  uint32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + 0x3f800000u;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return p * power;
}

MILLRACE_INLINE float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

// The rational function that Eigen, and so TensorFlow, takes for tanh (Eigen/src/Core/MathFunctionsImpl.h), to five units in the last place.
MILLRACE_INLINE float hyperbolic_tangent(float x) {
  const float bound = 7.90531110763549805f;
  const float original = x;
  x = x > bound ? bound : x;
  x = x < -bound ? -bound : x;
  const float square = x * x;
  float p = -2.76076847742355e-16f;
  p = p * square + 2.00018790482477e-13f;
  p = p * square + -8.60467152213735e-11f;
  p = p * square + 5.12229709037114e-08f;
  p = p * square + 1.48572235717979e-05f;
  p = p * square + 6.37261928875436e-04f;
  p = p * square + 4.89352455891786e-03f;
  float q = 1.19825839466702e-06f;
  q = q * square + 1.18534705686654e-04f;
  q = q * square + 2.26843463243900e-03f;
  q = q * square + 4.89352518554385e-03f;
  const float magnitude = original < 0 ? -original : original;
  return magnitude < 0.0004f ? original : x * p / q;
}

}  // namespace millrace

#endif  // MILLRACE_FUNCTIONS_H_
