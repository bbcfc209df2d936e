// Layer normalization over the last axis (Ba et al., arXiv 1607.06450): a pass forward, one for the gradient of x, one for that of
// gamma. A row stays in the cache between its loops.
#include "layer-norm.h"

#include <cmath>
#include <vector>

#include "instruction-sets.h"
#include "op.h"

namespace millrace {
namespace {

struct Size {
  int64_t rows;
  int64_t width;
};

MILLRACE_INLINE void forward(const float* x, const float* gamma, const float* beta, float epsilon, Size size, float* y,
                             float* mean, float* scale) {
  const float share = 1.0f / static_cast<float>(size.width);
  for (int64_t row = 0; row < size.rows; row++) {
    const float* in = x + row * size.width;
    float* out = y + row * size.width;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < size.width; i++) sum += in[i];
    const float middle = sum * share;
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t i = 0; i < size.width; i++) {
      const float centred = in[i] - middle;
      squares += centred * centred;
    }
    const float factor = 1.0f / std::sqrt(squares * share + epsilon);
    mean[row] = middle;
    scale[row] = factor;
#pragma omp simd
    for (int64_t i = 0; i < size.width; i++) out[i] = (in[i] - middle) * factor * gamma[i] + beta[i];
  }
}

// With g = gamma·dy and the normalised n: (g − mean(g) − n·mean(g·n))·scale.
MILLRACE_INLINE void backward(const float* dy, const float* x, const float* gamma, const float* mean,
                              const float* scale, Size size, float* dx) {
  const float share = 1.0f / static_cast<float>(size.width);
  for (int64_t row = 0; row < size.rows; row++) {
    const float* in = x + row * size.width;
    const float* given = dy + row * size.width;
    float* out = dx + row * size.width;
    const float middle = mean[row];
    const float factor = scale[row];
    float sum = 0;
    float along = 0;
#pragma omp simd reduction(+ : sum, along)
    for (int64_t i = 0; i < size.width; i++) {
      const float g = given[i] * gamma[i];
      out[i] = g;
      sum += g;
      along += g * ((in[i] - middle) * factor);
    }
    sum *= share;
    along *= share;
#pragma omp simd
    for (int64_t i = 0; i < size.width; i++) {
      out[i] = (out[i] - sum - (in[i] - middle) * factor * along) * factor;
    }
  }
}

// Sums over many rows are sums of sums: what a single one rounds off grows with the number of rows.
constexpr int64_t kRowsAtOnce = 64;

// Of gamma, Σ dy·n over the rows. `part` is scratch for a row.
MILLRACE_INLINE void of_gamma(const float* dy, const float* x, const float* mean, const float* scale, Size size,
                              float* part, float* gamma) {
  for (int64_t i = 0; i < size.width; i++) gamma[i] = 0;
  for (int64_t begin = 0; begin < size.rows; begin += kRowsAtOnce) {
    const int64_t end = begin + kRowsAtOnce < size.rows ? begin + kRowsAtOnce : size.rows;
    for (int64_t i = 0; i < size.width; i++) part[i] = 0;
    for (int64_t row = begin; row < end; row++) {
      const float* in = x + row * size.width;
      const float* given = dy + row * size.width;
      const float middle = mean[row];
      const float factor = scale[row];
#pragma omp simd
      for (int64_t i = 0; i < size.width; i++) part[i] += given[i] * ((in[i] - middle) * factor);
    }
#pragma omp simd
    for (int64_t i = 0; i < size.width; i++) gamma[i] += part[i];
  }
}

MILLRACE_DISPATCH(forward,
                  (const float* x, const float* gamma, const float* beta, float epsilon, Size size, float* y,
                   float* mean, float* scale),
                  (x, gamma, beta, epsilon, size, y, mean, scale))
MILLRACE_DISPATCH(backward,
                  (const float* dy, const float* x, const float* gamma, const float* mean, const float* scale,
                   Size size, float* dx),
                  (dy, x, gamma, mean, scale, size, dx))
MILLRACE_DISPATCH(of_gamma,
                  (const float* dy, const float* x, const float* mean, const float* scale, Size size, float* part,
                   float* gamma),
                  (dy, x, mean, scale, size, part, gamma))

Size size_of(Context& context, int input) {
  const int64_t width = context.dimension(input, context.rank(input) - 1);
  return {width == 0 ? 0 : context.size(input) / width, width};
}

class Forward {
 public:
  explicit Forward(const Attributes& attributes) : epsilon_(attributes.number("epsilon")) {}

  void run(Context& context) const {
    const Size size = size_of(context, 0);
    float* y = context.output(0, context.shape(0));
    float* mean = context.output(1, {size.rows});
    float* scale = context.output(2, {size.rows});
    forward_best(context.input(0), context.input(1), context.input(2), epsilon_, size, y, mean, scale);
  }

 private:
  const float epsilon_;
};

struct InputGradient {
  explicit InputGradient(const Attributes&) {}

  void run(Context& context) const {
    backward_best(context.input(0), context.input(1), context.input(2), context.input(3), context.input(4),
                  size_of(context, 0), context.output(0, context.shape(0)));
  }
};

struct GammaGradient {
  explicit GammaGradient(const Attributes&) {}

  void run(Context& context) const {
    const Size size = size_of(context, 0);
    std::vector<float> part(static_cast<size_t>(size.width));
    of_gamma_best(context.input(0), context.input(1), context.input(2), context.input(3), size, part.data(),
                  context.output(0, {size.width}));
  }
};

}  // namespace

const char* register_layer_norm() {
  const char* failure = register_kernel<Forward>(
      {"MillraceLayerNorm",
       Effect::kNone,
       Shapes::kFirstLikeFirstInput,
       {"x", "gamma", "beta"},
       {"y", "mean", "scale"},
       {"epsilon: float"}});
  if (failure != nullptr) return failure;
  failure = register_kernel<InputGradient>(
      {"MillraceLayerNormInputGradient",
       Effect::kNone,
       Shapes::kFirstLikeFirstInput,
       {"dy", "x", "gamma", "mean", "scale"},
       {"dx"},
       {}});
  if (failure != nullptr) return failure;
  return register_kernel<GammaGradient>(
      {"MillraceLayerNormGammaGradient",
       Effect::kNone,
       Shapes::kUnknown,
       {"dy", "x", "mean", "scale"},
       {"gamma"},
       {}});
}

}  // namespace millrace
