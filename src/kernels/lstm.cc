// One time step of an LSTM layer (Hochreiter & Schmidhuber 1997), forward and back, without its products:
//
//     i, f, g, o = σ(z₀), σ(z₁), φ(z₂), σ(z₃)      c′ = f·c + i·g      h′ = o·φ(c′)
//
// What all steps make lies in one buffer a kind, which the first step makes and each step hands on to the next. Nobody else reads a
// buffer before the last step has run, and a step that runs again writes what it wrote.
#include "lstm.h"

#include "recurrent.h"

namespace millrace {
namespace {

// Rows of a step: of [batch, units], or for gates of [batch, 4·units]. Null where a step has none.
struct ForwardRows {
  const float* projected;
  const float* recurrent;
  const float* cell_before;
  float* gates;
  float* cell;
  float* state;
  // The state once more where the next step's gradient looks for it.
  float* state_before_next;
  float* y;
  int64_t y_stride;
};

template <Gate gate, Activation activation>
MILLRACE_INLINE void forward_with(const ForwardRows& rows, Extent extent) {
  const int64_t units = extent.units;
  for (int64_t row = 0; row < extent.batch; row++) {
    const float* p = rows.projected + row * 4 * units;
    const float* r = rows.recurrent == nullptr ? nullptr : rows.recurrent + row * 4 * units;
    const float* before = rows.cell_before == nullptr ? nullptr : rows.cell_before + row * units;
    float* gates = rows.gates + row * 4 * units;
    float* cell = rows.cell + row * units;
    float* state = rows.state + row * units;
    if (r == nullptr) {
#pragma omp simd
      for (int64_t i = 0; i < units; i++) {
        const float in = gated<gate>(p[i]);
        const float forget = gated<gate>(p[units + i]);
        const float candidate = activated<activation>(p[2 * units + i]);
        const float out = gated<gate>(p[3 * units + i]);
        const float c = in * candidate;
        gates[i] = in;
        gates[units + i] = forget;
        gates[2 * units + i] = candidate;
        gates[3 * units + i] = out;
        cell[i] = c;
        state[i] = out * activated<activation>(c);
      }
    } else {
#pragma omp simd
      for (int64_t i = 0; i < units; i++) {
        const float in = gated<gate>(p[i] + r[i]);
        const float forget = gated<gate>(p[units + i] + r[units + i]);
        const float candidate = activated<activation>(p[2 * units + i] + r[2 * units + i]);
        const float out = gated<gate>(p[3 * units + i] + r[3 * units + i]);
        const float c = forget * before[i] + in * candidate;
        gates[i] = in;
        gates[units + i] = forget;
        gates[2 * units + i] = candidate;
        gates[3 * units + i] = out;
        cell[i] = c;
        state[i] = out * activated<activation>(c);
      }
    }
    if (rows.state_before_next != nullptr) {
      copy_row(rows.state_before_next + row * units, state, units);
    }
    if (rows.y != nullptr) {
      copy_row(rows.y + row * rows.y_stride, state, units);
    }
  }
}

struct BackwardRows {
  // Null where the output has no gradient of its own at this step.
  OutputGradient dy;
  // What comes from the next step; null at the last one.
  const float* dstate_next;
  const float* dcell_next;
  const float* gates;
  const float* cell;
  const float* cell_before;
  float* dz;
  // dz once more, where the weights' gradients look for it.
  float* dz_kept;
  float* dcell;
};

template <Gate gate, Activation activation>
MILLRACE_INLINE void backward_with(const BackwardRows& rows, Extent extent) {
  const int64_t units = extent.units;
  const auto at = [units](const float* start, int64_t row) { return start == nullptr ? nullptr : start + row * units; };
  for (int64_t row = 0; row < extent.batch; row++) {
    const float* dy = rows.dy.begin == nullptr ? nullptr : rows.dy.begin + row * rows.dy.stride;
    const float* dstate_next = at(rows.dstate_next, row);
    const float* dcell_next = at(rows.dcell_next, row);
    const float* before = at(rows.cell_before, row);
    const float* gates = rows.gates + row * 4 * units;
    const float* cell = rows.cell + row * units;
    float* dz = rows.dz + row * 4 * units;
    float* dcell = rows.dcell + row * units;
    // dcell holds dh until it becomes what its name says.
    if (dy == nullptr) clear(dcell, units);
    else copy_row(dcell, dy, units);
    if (dstate_next != nullptr) {
#pragma omp simd
      for (int64_t i = 0; i < units; i++) dcell[i] += dstate_next[i];
    }
#pragma omp simd
    for (int64_t i = 0; i < units; i++) {
      const float in = gates[i];
      const float candidate = gates[2 * units + i];
      const float out = gates[3 * units + i];
      const float a = activated<activation>(cell[i]);
      const float dh = dcell[i];
      const float dc = dh * out * slope<activation>(a) + (dcell_next == nullptr ? 0.0f : dcell_next[i]);
      dz[i] = dc * candidate * gate_slope<gate>(in);
      dz[2 * units + i] = dc * in * slope<activation>(candidate);
      dz[3 * units + i] = dh * a * gate_slope<gate>(out);
      dcell[i] = dc;
    }
#pragma omp simd
    for (int64_t i = 0; i < units; i++) {
      const float forget = gates[units + i];
      const float dc = dcell[i];
      dz[units + i] = before == nullptr ? 0.0f : dc * before[i] * gate_slope<gate>(forget);
      dcell[i] = dc * forget;
    }
    copy_row(rows.dz_kept + row * 4 * units, dz, 4 * units);
  }
}

MILLRACE_INLINE void forward(const ForwardRows& rows, Extent extent, Gate which, Activation of_state) {
  with_gate(which, [&](auto gate) __attribute__((always_inline)) {
    with_activation(of_state, [&](auto activation) __attribute__((always_inline)) {
      forward_with<gate.value, activation.value>(rows, extent);
    });
  });
}

MILLRACE_INLINE void backward(const BackwardRows& rows, Extent extent, Gate which, Activation of_state) {
  with_gate(which, [&](auto gate) __attribute__((always_inline)) {
    with_activation(of_state, [&](auto activation) __attribute__((always_inline)) {
      backward_with<gate.value, activation.value>(rows, extent);
    });
  });
}

MILLRACE_DISPATCH(forward, (const ForwardRows& rows, Extent extent, Gate gate, Activation activation),
                  (rows, extent, gate, activation))
MILLRACE_DISPATCH(backward, (const BackwardRows& rows, Extent extent, Gate gate, Activation activation),
                  (rows, extent, gate, activation))

class Step : private StepOp {
 public:
  explicit Step(const Attributes& attributes) : StepOp(attributes) {}

  // Inputs: projected x of all steps as rows, recurrent product of this one, and the buffers: gates, cells, states before, y. The first
  // step reads projected x alone, whatever stands in the others' places.
  void run(Context& context) const {
    const Extent extent{context.dimension(0, 0) / place_.steps, context.dimension(0, 1) / 4};
    const int64_t slice = extent.batch * extent.units;
    float* buffers[4];
    if (is_first()) {
      buffers[0] = context.output(0, {place_.steps * extent.batch, 4 * extent.units});
      buffers[1] = context.output(1, {place_.steps, extent.batch, extent.units});
      buffers[2] = context.output(2, {place_.steps * extent.batch, extent.units});
      buffers[3] = context.output(3, place_.sequences ? Shape{extent.batch, place_.steps, extent.units} : Shape{0});
      clear(buffers[2] + place_.time * slice, slice);
    } else {
      for (int buffer = 0; buffer < 4; buffer++) {
        buffers[buffer] = context.pass(buffer, 2 + buffer);
      }
    }
    ForwardRows rows{};
    rows.projected = context.input(0) + place_.time * 4 * slice;
    rows.recurrent = is_first() ? nullptr : context.input(1);
    rows.cell_before = is_first() ? nullptr : buffers[1] + place_.before * slice;
    rows.gates = buffers[0] + place_.time * 4 * slice;
    rows.cell = buffers[1] + place_.time * slice;
    rows.state = context.output(4, {extent.batch, extent.units});
    rows.state_before_next = place_.after < 0 ? nullptr : buffers[2] + place_.after * slice;
    rows.y = place_.sequences ? buffers[3] + place_.index * extent.units : nullptr;
    rows.y_stride = place_.steps * extent.units;
    forward_best(rows, extent, place_.gate, place_.activation);
  }
};

class StepGradient : private StepOp {
 public:
  explicit StepGradient(const Attributes& attributes) : StepOp(attributes) {}

  // Inputs: dy, gates and cells of all steps, and from the next step in the order of computation dh, dc and the buffer of dz. The last
  // one, which comes first here, reads none of those three.
  void run(Context& context) const {
    const Extent extent{context.dimension(2, 1), context.dimension(2, 2)};
    const int64_t slice = extent.batch * extent.units;
    float* kept;
    if (is_last()) {
      kept = context.output(0, {place_.steps * extent.batch, 4 * extent.units});
    } else {
      kept = context.pass(0, 5);
    }
    const float* cells = context.input(2);
    BackwardRows rows{};
    rows.dy = {context.input(0), place_, extent.units};
    rows.dstate_next = is_last() ? nullptr : context.input(3);
    rows.dcell_next = is_last() ? nullptr : context.input(4);
    rows.gates = context.input(1) + place_.time * 4 * slice;
    rows.cell = cells + place_.time * slice;
    rows.cell_before = place_.before < 0 ? nullptr : cells + place_.before * slice;
    rows.dz = context.output(1, {extent.batch, 4 * extent.units});
    rows.dz_kept = kept + place_.time * 4 * slice;
    rows.dcell = context.output(2, {extent.batch, extent.units});
    backward_best(rows, extent, place_.gate, place_.activation);
  }
};

}  // namespace

const char* register_lstm() {
  const char* failure = register_kernel<Step>({"MillraceLstmStep",
                                               Effect::kWritesInputs,
                                               Shapes::kUnknown,
                                               {"projected", "recurrent", "gates", "cells", "states", "y"},
                                               {"gates_out", "cells_out", "states_out", "y_out", "state"},
                                               kPlaceAttributes});
  if (failure != nullptr) return failure;
  return register_kernel<StepGradient>({"MillraceLstmStepGradient",
                                        Effect::kWritesInputs,
                                        Shapes::kUnknown,
                                        {"dy", "gates", "cells", "dstate", "dcell", "kept"},
                                        {"kept_out", "dz", "dcell_out"},
                                        kPlaceAttributes});
}

}  // namespace millrace
