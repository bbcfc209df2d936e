// The optimizers' steps, as tfjs defines them (tfjs-core/src/optimizers), where weight and slots lie: in memory that several threads
// read, or that a variable of TensorFlow's would copy before it is changed.
//
// What does not depend on the element comes as a list of numbers, which the caller has from tfjs's formulas.
#include "optimizers.h"

#include <cmath>

#include "instruction-sets.h"
#include "op.h"

namespace millrace {
namespace {

// Numbers: −rate.
MILLRACE_INLINE void sgd(float* weight, float*, float*, const float* gradient, const float* numbers, int64_t count) {
  const float rate = numbers[0];
#pragma omp simd
  for (int64_t i = 0; i < count; i++) weight[i] += rate * gradient[i];
}

// Numbers: momentum, −rate.
MILLRACE_INLINE void momentum(float* weight, float* sum, float*, const float* gradient, const float* numbers,
                              int64_t count) {
  const float kept = numbers[0], rate = numbers[1];
#pragma omp simd
  for (int64_t i = 0; i < count; i++) {
    sum[i] = kept * sum[i] + gradient[i];
    weight[i] += rate * sum[i];
  }
}

// Numbers: as of momentum.
MILLRACE_INLINE void nesterov(float* weight, float* sum, float*, const float* gradient, const float* numbers,
                              int64_t count) {
  const float kept = numbers[0], rate = numbers[1];
#pragma omp simd
  for (int64_t i = 0; i < count; i++) {
    sum[i] = kept * sum[i] + gradient[i];
    weight[i] += rate * (gradient[i] + kept * sum[i]);
  }
}

// Numbers: −rate, ε.
MILLRACE_INLINE void adagrad(float* weight, float* squares, float*, const float* gradient, const float* numbers,
                             int64_t count) {
  const float rate = numbers[0], epsilon = numbers[1];
#pragma omp simd
  for (int64_t i = 0; i < count; i++) {
    squares[i] += gradient[i] * gradient[i];
    weight[i] += rate * gradient[i] / std::sqrt(squares[i] + epsilon);
  }
}

// Numbers: decay, 1 − decay, momentum, rate, ε.
MILLRACE_INLINE void rmsprop(float* weight, float* squares, float* moment, const float* gradient,
                             const float* numbers, int64_t count) {
  const float decay = numbers[0], rest = numbers[1], kept = numbers[2], rate = numbers[3], epsilon = numbers[4];
#pragma omp simd
  for (int64_t i = 0; i < count; i++) {
    squares[i] = decay * squares[i] + rest * (gradient[i] * gradient[i]);
    moment[i] = kept * moment[i] + rate * gradient[i] / std::sqrt(squares[i] + epsilon);
    weight[i] -= moment[i];
  }
}

// Numbers: β₁, 1 − β₁, β₂, 1 − β₂, −rate / (1 − β₁ᵗ), 1 / √(1 − β₂ᵗ), ε.
MILLRACE_INLINE void adam(float* weight, float* m, float* v, const float* gradient, const float* numbers,
                          int64_t count) {
  const float beta1 = numbers[0], rest1 = numbers[1], beta2 = numbers[2], rest2 = numbers[3];
  const float rate = numbers[4], correction = numbers[5], epsilon = numbers[6];
#pragma omp simd
  for (int64_t i = 0; i < count; i++) {
    m[i] = beta1 * m[i] + rest1 * gradient[i];
    v[i] = beta2 * v[i] + rest2 * (gradient[i] * gradient[i]);
    weight[i] += rate * m[i] / (correction * std::sqrt(v[i]) + epsilon);
  }
}

// Numbers: β₁, 1 − β₁, β₂, −rate / (1 − β₁ᵗ), ε.
MILLRACE_INLINE void adamax(float* weight, float* m, float* norm, const float* gradient, const float* numbers,
                            int64_t count) {
  const float beta1 = numbers[0], rest1 = numbers[1], beta2 = numbers[2], rate = numbers[3], epsilon = numbers[4];
#pragma omp simd
  for (int64_t i = 0; i < count; i++) {
    m[i] = beta1 * m[i] + rest1 * gradient[i];
    const float old = beta2 * norm[i], seen = std::fabs(gradient[i]);
    norm[i] = old > seen ? old : seen;
    weight[i] += rate * m[i] / (norm[i] + epsilon);
  }
}

#define MILLRACE_RULE(name)                                                                                        \
  MILLRACE_DISPATCH(name,                                                                                          \
                    (float* weight, float* first, float* second, const float* gradient, const float* numbers,      \
                     int64_t count),                                                                               \
                    (weight, first, second, gradient, numbers, count))

MILLRACE_RULE(sgd)
MILLRACE_RULE(momentum)
MILLRACE_RULE(nesterov)
MILLRACE_RULE(adagrad)
MILLRACE_RULE(rmsprop)
MILLRACE_RULE(adam)
MILLRACE_RULE(adamax)

using Rule = void(float*, float*, float*, const float*, const float*, int64_t);

// Inputs: the weight, `slots` slots, the gradient, the numbers.
template <Rule* rule, int slots, int64_t number_count>
struct Step {
  explicit Step(const Attributes&) {}

  void run(Context& context) const {
    const int64_t size = context.size(0);
    for (int input = 1; input <= slots + 1; input++) {
      if (context.size(input) != size) context.refuse("a slot or gradient is not of the weight's size");
    }
    if (context.size(slots + 2) != number_count) context.refuse("the rule takes other numbers");
    float* const first = slots > 0 ? context.written(1) : nullptr;
    float* const second = slots > 1 ? context.written(2) : nullptr;
    rule(context.written(0), first, second, context.input(slots + 1), context.input(slots + 2), size);
  }
};

template <Rule* rule, int slots, int64_t number_count>
const char* register_rule(const char* name) {
  static constexpr const char* kInputs[] = {"weight", "first", "second"};
  Signature signature = {name, Effect::kWritesInputs, Shapes::kUnknown, {}, {}, {}};
  signature.inputs.assign(kInputs, kInputs + slots + 1);
  signature.inputs.insert(signature.inputs.end(), {"gradient", "numbers"});
  return register_kernel<Step<rule, slots, number_count>>(signature);
}

}  // namespace

const char* register_optimizers() {
  const char* failure = register_rule<sgd_best, 0, 1>("MillraceSgd");
  if (failure == nullptr) failure = register_rule<momentum_best, 1, 2>("MillraceMomentum");
  if (failure == nullptr) failure = register_rule<nesterov_best, 1, 2>("MillraceNesterov");
  if (failure == nullptr) failure = register_rule<adagrad_best, 1, 2>("MillraceAdagrad");
  if (failure == nullptr) failure = register_rule<rmsprop_best, 2, 5>("MillraceRmsprop");
  if (failure == nullptr) failure = register_rule<adam_best, 2, 7>("MillraceAdam");
  if (failure == nullptr) failure = register_rule<adamax_best, 2, 5>("MillraceAdamax");
  return failure;
}

}  // namespace millrace
