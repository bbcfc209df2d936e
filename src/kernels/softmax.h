#ifndef MILLRACE_SOFTMAX_H_
#define MILLRACE_SOFTMAX_H_

#include <cstdint>

#include "instruction-sets.h"

namespace millrace {

const char* register_softmax();

// From y = softmax(scale · x) along rows, and dy, the gradient of x, scale·y·(dy − Σ dy·y). It may come to lie where dy does.
MILLRACE_INLINE void scaled_softmax_gradient(const float* y, const float* dy, int64_t rows, int64_t width, float scale,
                                             float* dx) {
  for (int64_t row = 0; row < rows; row++) {
    const float* given = dy + row * width;
    const float* out = y + row * width;
    float* made = dx + row * width;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < width; i++) sum += given[i] * out[i];
#pragma omp simd
    for (int64_t i = 0; i < width; i++) made[i] = (given[i] - sum) * out[i] * scale;
  }
}

}  // namespace millrace

#endif  // MILLRACE_SOFTMAX_H_
