// What the ops of recurrent layers share: gates, activations, and where a time step stands among the others.
#ifndef MILLRACE_RECURRENT_H_
#define MILLRACE_RECURRENT_H_

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <type_traits>

#include "functions.h"
#include "instruction-sets.h"
#include "op.h"

namespace millrace {

enum class Gate { kSigmoid = 0, kHardSigmoid = 1 };
enum class Activation { kTanh = 0, kSigmoid = 1, kRelu = 2, kLinear = 3 };

template <Gate gate>
MILLRACE_INLINE float gated(float z) {
  if (gate == Gate::kSigmoid) return sigmoid(z);
  float y = 0.2f * z + 0.5f;
  y = y < 0 ? 0 : y;
  return y > 1 ? 1 : y;
}

// Derivatives by what the functions give.
template <Gate gate>
MILLRACE_INLINE float gate_slope(float y) {
  if (gate == Gate::kSigmoid) return y * (1.0f - y);
  return y > 0 && y < 1 ? 0.2f : 0.0f;
}

template <Activation activation>
MILLRACE_INLINE float activated(float z) {
  switch (activation) {
    case Activation::kTanh:
      return hyperbolic_tangent(z);
    case Activation::kSigmoid:
      return sigmoid(z);
    case Activation::kRelu:
      return z < 0 ? 0 : z;
    default:
      return z;
  }
}

template <Activation activation>
MILLRACE_INLINE float slope(float y) {
  switch (activation) {
    case Activation::kTanh:
      return 1.0f - y * y;
    case Activation::kSigmoid:
      return y * (1.0f - y);
    case Activation::kRelu:
      return y > 0 ? 1.0f : 0.0f;
    default:
      return 1.0f;
  }
}

// Calls `body`, an inline lambda, with an activation that is known when it is compiled.
template <typename Body>
MILLRACE_INLINE void with_activation(Activation activation, Body body) {
  switch (activation) {
    case Activation::kTanh:
      return body(std::integral_constant<Activation, Activation::kTanh>());
    case Activation::kSigmoid:
      return body(std::integral_constant<Activation, Activation::kSigmoid>());
    case Activation::kRelu:
      return body(std::integral_constant<Activation, Activation::kRelu>());
    default:
      return body(std::integral_constant<Activation, Activation::kLinear>());
  }
}

template <typename Body>
MILLRACE_INLINE void with_gate(Gate gate, Body body) {
  if (gate == Gate::kSigmoid) body(std::integral_constant<Gate, Gate::kSigmoid>());
  else body(std::integral_constant<Gate, Gate::kHardSigmoid>());
}

struct Extent {
  int64_t batch;
  int64_t units;
};

// Where a step stands: `index` in the order of computation, the others in that of time, −1 where there is none.
struct Place {
  explicit Place(const Attributes& attributes)
      : gate(static_cast<Gate>(attributes.integer("gate"))),
        activation(static_cast<Activation>(attributes.integer("activation"))),
        sequences(attributes.flag("sequences")),
        steps(attributes.integer("steps")),
        index(attributes.integer("index")),
        time(time_of(index, attributes.flag("reverse"))),
        before(time_of(index - 1, attributes.flag("reverse"))),
        after(time_of(index + 1, attributes.flag("reverse"))) {}

  const Gate gate;
  const Activation activation;
  const bool sequences;
  const int64_t steps;
  const int64_t index;
  const int64_t time;
  const int64_t before;
  const int64_t after;

 private:
  int64_t time_of(int64_t place, bool is_reverse) const {
    if (place < 0 || place >= steps) return -1;
    return is_reverse ? steps - 1 - place : place;
  }
};

// An op of a step.
class StepOp {
 protected:
  explicit StepOp(const Attributes& attributes) : place_(attributes) {}

  bool is_first() const { return place_.before < 0; }
  bool is_last() const { return place_.after < 0; }

  const Place place_;
};

// Where the gradient of a step's output begins, null where it has none of its own, and how far its rows are apart.
struct OutputGradient {
  OutputGradient() = default;

  OutputGradient(const float* dy, const Place& place, int64_t units) {
    if (place.sequences) {
      begin = dy + place.index * units;
      stride = place.steps * units;
    } else if (place.after < 0) {
      begin = dy;
      stride = units;
    }
  }

  const float* begin = nullptr;
  int64_t stride = 0;
};

MILLRACE_INLINE void copy_row(float* to, const float* from, int64_t count) {
  std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
}

MILLRACE_INLINE void clear(float* row, int64_t count) { std::memset(row, 0, static_cast<size_t>(count) * sizeof(float)); }

// The attributes that `Place` reads.
const std::initializer_list<const char*> kPlaceAttributes = {"gate: int",  "activation: int", "sequences: bool",
                                                             "steps: int", "index: int",      "reverse: bool"};

}  // namespace millrace

#endif  // MILLRACE_RECURRENT_H_
