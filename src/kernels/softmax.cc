// The gradient of softmax over the last axis, y·(dy − Σ dy·y), in one pass.
#include "softmax.h"

#include "op.h"

namespace millrace {
namespace {

MILLRACE_INLINE void backward(const float* y, const float* dy, int64_t rows, int64_t width, float* dx) {
  scaled_softmax_gradient(y, dy, rows, width, 1.0f, dx);
}

MILLRACE_DISPATCH(backward, (const float* y, const float* dy, int64_t rows, int64_t width, float* dx),
                  (y, dy, rows, width, dx))

struct Gradient {
  explicit Gradient(const Attributes&) {}

  void run(Context& context) const {
    const int64_t width = context.dimension(0, context.rank(0) - 1);
    const int64_t rows = width == 0 ? 0 : context.size(0) / width;
    backward_best(context.input(0), context.input(1), rows, width, context.output(0, context.shape(0)));
  }
};

}  // namespace

const char* register_softmax() {
  return register_kernel<Gradient>(
      {"MillraceSoftmaxGradient", Effect::kNone, Shapes::kFirstLikeFirstInput, {"y", "dy"}, {"dx"}, {}});
}

}  // namespace millrace
