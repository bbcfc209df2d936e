// The passes over a batch that batch normalization is made of, row by row.
#ifndef MILLRACE_BATCH_NORM_PASSES_H_
#define MILLRACE_BATCH_NORM_PASSES_H_

#include <cstdint>

#include "instruction-sets.h"

namespace millrace {

// `rows` of `width` numbers, and a shorter one of `rest`. A row is as many pixels as fill registers, which the channels of one may not.
struct Layout {
  int64_t channels;
  int64_t width;
  int64_t rows;
  int64_t rest;
};

MILLRACE_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// Joins the moments of more numbers to those of place `i`, as Chan, Golub and LeVeque do (1979, "Updating Formulae and a Pairwise
// Algorithm for Computing Sample Variances"): no digits are lost where the mean is far from zero.
MILLRACE_INLINE void join(double count, double mean, double squares, int64_t i, double* counts, double* means,
                          double* sums) {
  const double total = counts[i] + count;
  const double deviation = mean - means[i];
  const double share = count / total;
  means[i] += deviation * share;
  sums[i] += squares + deviation * deviation * share * counts[i];
  counts[i] = total;
}

// Of `rows` rows of `width` numbers. `part` is scratch for two rows.
MILLRACE_INLINE void moments(const float* x, int64_t rows, int64_t width, int64_t at_once, float* part, double* count,
                             double* mean, double* squares) {
  float* middle = part;
  float* deviations = part + width;
  for (int64_t begin = 0; begin < rows; begin += at_once) {
    const int64_t number = smaller(at_once, rows - begin);
    const float* block = x + begin * width;
    const float share = 1.0f / static_cast<float>(number);
    for (int64_t i = 0; i < width; i++) middle[i] = deviations[i] = 0;
    for (int64_t row = 0; row < number; row++) {
#pragma omp simd
      for (int64_t i = 0; i < width; i++) middle[i] += block[row * width + i];
    }
#pragma omp simd
    for (int64_t i = 0; i < width; i++) middle[i] *= share;
    for (int64_t row = 0; row < number; row++) {
#pragma omp simd
      for (int64_t i = 0; i < width; i++) {
        const float deviation = block[row * width + i] - middle[i];
        deviations[i] += deviation * deviation;
      }
    }
#pragma omp simd
    for (int64_t i = 0; i < width; i++) {
      join(static_cast<double>(number), middle[i], deviations[i], i, count, mean, squares);
    }
  }
}

// What is done to each place of a row: (x − mean)·scale + offset.
struct Places {
  const float* mean;
  const float* scale;
  const float* offset;
};

MILLRACE_INLINE float normalized(float x, const Places& places, int64_t i) {
  return (x - places.mean[i]) * places.scale[i] + places.offset[i];
}

// The rectifier passes NaN on.
template <bool kRectifies>
MILLRACE_INLINE void normalize_row(const float* x, const Places& places, int64_t width, float* y) {
#pragma omp simd
  for (int64_t i = 0; i < width; i++) {
    const float z = normalized(x[i], places, i);
    y[i] = kRectifies && z < 0 ? 0 : z;
  }
}

template <bool kRectifies>
MILLRACE_INLINE void normalize_all(const float* x, const Places& places, const Layout& layout, float* y) {
  const int64_t width = layout.width;
  for (int64_t row = 0; row < layout.rows; row++) {
    normalize_row<kRectifies>(x + row * width, places, width, y + row * width);
  }
  normalize_row<kRectifies>(x + layout.rows * width, places, layout.rest, y + layout.rows * width);
}

MILLRACE_INLINE void normalize(bool rectifies, const float* x, const Places& places, const Layout& layout, float* y) {
  if (rectifies) {
    normalize_all<true>(x, places, layout, y);
  } else {
    normalize_all<false>(x, places, layout, y);
  }
}

// The gradient before the rectifier: times 0 or 1, as tfjs has it, and NaN wherever one of the two is.
template <bool kRectifies>
MILLRACE_INLINE float before(float dy, float x, const Places& places, int64_t i) {
  if (!kRectifies) return dy;
  const float z = normalized(x, places, i);
  return dy * (z > 0 ? 1.0f : z <= 0 ? 0.0f : z);
}

struct Sums {
  double* gradients;
  // Of gradients and the inputs' deviations from their means.
  double* products;
};

// Of `rows` rows of `width` numbers. `part` is scratch for two rows.
template <bool kRectifies>
MILLRACE_INLINE void sum_rows(const float* dy, const float* x, const Places& places, int64_t rows, int64_t width,
                              int64_t at_once, float* part, const Sums& sums) {
  float* gradients = part;
  float* products = part + width;
  for (int64_t begin = 0; begin < rows; begin += at_once) {
    const int64_t number = smaller(at_once, rows - begin);
    for (int64_t i = 0; i < width; i++) gradients[i] = products[i] = 0;
    for (int64_t row = begin; row < begin + number; row++) {
      const float* in = x + row * width;
      const float* given = dy + row * width;
#pragma omp simd
      for (int64_t i = 0; i < width; i++) {
        const float gradient = before<kRectifies>(given[i], in[i], places, i);
        gradients[i] += gradient;
        products[i] += gradient * (in[i] - places.mean[i]);
      }
    }
#pragma omp simd
    for (int64_t i = 0; i < width; i++) {
      sums.gradients[i] += gradients[i];
      sums.products[i] += products[i];
    }
  }
}

template <bool kRectifies>
MILLRACE_INLINE void sum_all(const float* dy, const float* x, const Places& places, const Layout& layout,
                             int64_t at_once, float* part, const Sums& sums) {
  const int64_t end = layout.rows * layout.width;
  sum_rows<kRectifies>(dy, x, places, layout.rows, layout.width, at_once, part, sums);
  sum_rows<kRectifies>(dy + end, x + end, places, layout.rest == 0 ? 0 : 1, layout.rest, at_once, part, sums);
}

MILLRACE_INLINE void sum(bool rectifies, const float* dy, const float* x, const Places& places, const Layout& layout,
                         int64_t at_once, float* part, const Sums& sums) {
  if (rectifies) {
    sum_all<true>(dy, x, places, layout, at_once, part, sums);
  } else {
    sum_all<false>(dy, x, places, layout, at_once, part, sums);
  }
}

// What is taken off a gradient before it is scaled: `constant` + (x − mean)·`slope`.
struct Correction {
  const float* constant;
  const float* slope;
};

template <bool kRectifies>
MILLRACE_INLINE void input_gradient_row(const float* dy, const float* x, const Places& places,
                                        const Correction& correction, int64_t width, float* dx) {
#pragma omp simd
  for (int64_t i = 0; i < width; i++) {
    const float gradient = before<kRectifies>(dy[i], x[i], places, i);
    const float taken = correction.constant[i] + (x[i] - places.mean[i]) * correction.slope[i];
    dx[i] = (gradient - taken) * places.scale[i];
  }
}

// From the end, which the sums have left in the cache.
template <bool kRectifies>
MILLRACE_INLINE void input_gradient_all(const float* dy, const float* x, const Places& places,
                                        const Correction& correction, const Layout& layout, float* dx) {
  const int64_t width = layout.width;
  const int64_t end = layout.rows * width;
  input_gradient_row<kRectifies>(dy + end, x + end, places, correction, layout.rest, dx + end);
  for (int64_t row = layout.rows; row-- > 0;) {
    const int64_t at = row * width;
    input_gradient_row<kRectifies>(dy + at, x + at, places, correction, width, dx + at);
  }
}

MILLRACE_INLINE void input_gradient(bool rectifies, const float* dy, const float* x, const Places& places,
                                    const Correction& correction, const Layout& layout, float* dx) {
  if (rectifies) {
    input_gradient_all<true>(dy, x, places, correction, layout, dx);
  } else {
    input_gradient_all<false>(dy, x, places, correction, layout, dx);
  }
}

}  // namespace millrace

#endif  // MILLRACE_BATCH_NORM_PASSES_H_
