// Batch normalization (Ioffe and Szegedy, arXiv 1502.03167) with a rectifier behind it, over the last axis: two passes over a batch
// forward and two back, which is as few as its statistics and its sums allow. All are bound by memory, so nothing is read that can
// be computed again: which numbers were rectified follows from the input.
//
// Each is an op of its own, since between the two of a direction those who share a batch exchange what they found.
#include "batch-norm.h"

#include <cmath>
#include <vector>

#include "batch-norm-passes.h"
#include "instruction-sets.h"
#include "op.h"

namespace millrace {
namespace {

constexpr int64_t kLargestRegister = 16;
// Sums of fewer numbers at once wait for each other.
constexpr int64_t kLeastWidth = 128;
// Of more, what is left over of a register does not count.
constexpr int64_t kLargeWidth = 512;

// Of input 0.
Layout layout_of(Context& context) {
  const int64_t channels = context.dimension(0, context.rank(0) - 1);
  if (channels == 0) return {0, 0, 0, 0};
  int64_t width = channels;
  while (width < kLargeWidth && (width < kLeastWidth || width % kLargestRegister != 0)) width *= 2;
  const int64_t size = context.size(0);
  return {channels, width, size / width, size % width};
}

// Numbers that are summed in single precision at once, which the first cache holds unless rows are wide: what a sum rounds off grows
// with how many it is of.
constexpr int64_t kNumbersAtOnce = 4096;
constexpr int64_t kLeastRowsAtOnce = 8;

int64_t rows_at_once(const Layout& layout) {
  const int64_t rows = layout.width == 0 ? 0 : kNumbersAtOnce / layout.width;
  return rows < kLeastRowsAtOnce ? kLeastRowsAtOnce : rows;
}

// Mean, and sum of squared deviations from it, of `count` numbers in each place of a row.
struct Moments {
  std::vector<double> count;
  std::vector<double> mean;
  std::vector<double> squares;

  explicit Moments(int64_t width)
      : count(static_cast<size_t>(width)), mean(static_cast<size_t>(width)), squares(static_cast<size_t>(width)) {}
};

MILLRACE_DISPATCH(moments,
                  (const float* x, int64_t rows, int64_t width, int64_t at_once, float* part, double* count,
                   double* mean, double* squares),
                  (x, rows, width, at_once, part, count, mean, squares))
MILLRACE_DISPATCH(normalize,
                  (bool rectifies, const float* x, const Places& places, const Layout& layout, float* y),
                  (rectifies, x, places, layout, y))
MILLRACE_DISPATCH(sum,
                  (bool rectifies, const float* dy, const float* x, const Places& places, const Layout& layout,
                   int64_t at_once, float* part, const Sums& sums),
                  (rectifies, dy, x, places, layout, at_once, part, sums))
MILLRACE_DISPATCH(input_gradient,
                  (bool rectifies, const float* dy, const float* x, const Places& places,
                   const Correction& correction, const Layout& layout, float* dx),
                  (rectifies, dy, x, places, correction, layout, dx))

// A number for each place of a row, of those for each channel.
template <typename Of>
std::vector<float> spread(const Layout& layout, Of of) {
  std::vector<float> row(static_cast<size_t>(layout.width));
  for (int64_t channel = 0; channel < layout.channels; channel++) {
    const float value = of(channel);
    for (int64_t i = channel; i < layout.width; i += layout.channels) row[static_cast<size_t>(i)] = value;
  }
  return row;
}

// The sum over the places of a channel.
double gathered(const std::vector<double>& row, int64_t channel, const Layout& layout) {
  double sum = 0;
  for (int64_t i = channel; i < layout.width; i += layout.channels) sum += row[static_cast<size_t>(i)];
  return sum;
}

// Biased variances, as tfjs keeps them.
struct ChannelMoments {
  explicit ChannelMoments(const Attributes&) {}

  void run(Context& context) const {
    const Layout layout = layout_of(context);
    const float* x = context.input(0);
    float* mean = context.output(0, {layout.channels});
    float* variance = context.output(1, {layout.channels});
    const int64_t at_once = rows_at_once(layout);
    std::vector<float> part(static_cast<size_t>(2 * layout.width));
    Moments found(layout.width);
    double* of[] = {found.count.data(), found.mean.data(), found.squares.data()};
    moments_best(x, layout.rows, layout.width, at_once, part.data(), of[0], of[1], of[2]);
    if (layout.rest > 0) {
      moments_best(x + layout.rows * layout.width, 1, layout.rest, at_once, part.data(), of[0], of[1], of[2]);
    }
    for (int64_t channel = 0; channel < layout.channels; channel++) {
      double whole[] = {0, 0, 0};
      for (int64_t i = channel; i < layout.width && of[0][i] > 0; i += layout.channels) {
        join(of[0][i], of[1][i], of[2][i], 0, whole, whole + 1, whole + 2);
      }
      mean[channel] = static_cast<float>(whole[1]);
      variance[channel] = static_cast<float>(whole[2] / whole[0]);
    }
  }
};

// What the ops share that normalise with given statistics: where its inputs are, and its attributes.
class Normalizing {
 public:
  explicit Normalizing(const Attributes& attributes)
      : epsilon_(attributes.number("epsilon")), rectifies_(attributes.flag("rectifies")) {}

 protected:
  // Numbers for each place, from gamma, beta, mean and variance, which are inputs from `first` on.
  struct Parameters {
    std::vector<float> mean;
    std::vector<float> scale;
    std::vector<float> offset;

    Places places() const { return {mean.data(), scale.data(), offset.data()}; }
  };

  float inverse_deviation(float variance) const { return 1.0f / std::sqrt(variance + epsilon_); }

  Parameters parameters(Context& context, int first, const Layout& layout) const {
    const float* gamma = context.input(first);
    const float* beta = context.input(first + 1);
    const float* mean = context.input(first + 2);
    const float* variance = context.input(first + 3);
    return {spread(layout, [=](int64_t channel) { return mean[channel]; }),
            spread(layout, [=](int64_t channel) { return gamma[channel] * inverse_deviation(variance[channel]); }),
            spread(layout, [=](int64_t channel) { return beta[channel]; })};
  }

  const float epsilon_;
  const bool rectifies_;
};

struct Normalize : Normalizing {
  using Normalizing::Normalizing;

  void run(Context& context) const {
    const Layout layout = layout_of(context);
    const Parameters known = parameters(context, 1, layout);
    normalize_best(rectifies_, context.input(0), known.places(), layout, context.output(0, context.shape(0)));
  }
};

// The gradients of gamma and beta, which are also the sums that the gradient of x is made with.
struct WeightGradients : Normalizing {
  using Normalizing::Normalizing;

  void run(Context& context) const {
    const Layout layout = layout_of(context);
    const Parameters known = parameters(context, 2, layout);
    const float* variance = context.input(5);
    float* gamma = context.output(0, {layout.channels});
    float* beta = context.output(1, {layout.channels});
    std::vector<float> part(static_cast<size_t>(2 * layout.width));
    std::vector<double> gradients(static_cast<size_t>(layout.width));
    std::vector<double> products(static_cast<size_t>(layout.width));
    const int64_t at_once = rows_at_once(layout);
    sum_best(rectifies_, context.input(0), context.input(1), known.places(), layout, at_once, part.data(),
             {gradients.data(), products.data()});
    for (int64_t channel = 0; channel < layout.channels; channel++) {
      gamma[channel] = static_cast<float>(gathered(products, channel, layout)) * inverse_deviation(variance[channel]);
      beta[channel] = static_cast<float>(gathered(gradients, channel, layout));
    }
  }
};

// With the normalised n: γ∕σ·(dz − mean(dz) − n·mean(dz·n)). The means are over `count` pixels, of which these may be a part.
struct InputGradient : Normalizing {
  using Normalizing::Normalizing;

  void run(Context& context) const {
    const Layout layout = layout_of(context);
    const Parameters known = parameters(context, 2, layout);
    const float* variance = context.input(5);
    const float* gamma_gradient = context.input(6);
    const float* beta_gradient = context.input(7);
    const float share = 1.0f / context.input(8)[0];
    const std::vector<float> constant =
        spread(layout, [=](int64_t channel) { return beta_gradient[channel] * share; });
    const std::vector<float> slope = spread(
        layout, [=](int64_t channel) { return gamma_gradient[channel] * share * inverse_deviation(variance[channel]); });
    input_gradient_best(rectifies_, context.input(0), context.input(1), known.places(),
                        {constant.data(), slope.data()}, layout, context.output(0, context.shape(0)));
  }
};

}  // namespace

const char* register_batch_norm() {
  const char* failure = register_kernel<ChannelMoments>(
      {"MillraceChannelMoments", Effect::kNone, Shapes::kUnknown, {"x"}, {"mean", "variance"}, {}});
  if (failure != nullptr) return failure;
  failure = register_kernel<Normalize>(
      {"MillraceBatchNorm",
       Effect::kNone,
       Shapes::kFirstLikeFirstInput,
       {"x", "gamma", "beta", "mean", "variance"},
       {"y"},
       {"epsilon: float", "rectifies: bool"}});
  if (failure != nullptr) return failure;
  failure = register_kernel<WeightGradients>(
      {"MillraceBatchNormWeightGradients",
       Effect::kNone,
       Shapes::kUnknown,
       {"dy", "x", "gamma", "beta", "mean", "variance"},
       {"gamma_gradient", "beta_gradient"},
       {"epsilon: float", "rectifies: bool"}});
  if (failure != nullptr) return failure;
  return register_kernel<InputGradient>(
      {"MillraceBatchNormInputGradient",
       Effect::kNone,
       Shapes::kFirstLikeFirstInput,
       {"dy", "x", "gamma", "beta", "mean", "variance", "gamma_gradient", "beta_gradient", "count"},
       {"dx"},
       {"epsilon: float", "rectifies: bool"}});
}

}  // namespace millrace
