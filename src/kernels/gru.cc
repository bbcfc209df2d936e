// One time step of a GRU layer (Cho et al., arXiv 1406.1078; the reset gate before the product), forward and back, without its products:
//
//     u, r = σ(z₀), σ(z₁)      n = φ(z₂), of which (r·h)·R is a part      h′ = n + u·(h − n)
//
// A product stands in the middle of a step, so there are two ops each way. As in lstm.cc, they hand on buffers that each step fills in part,
// and read in them only what an earlier op has written.
#include "gru.h"

#include "recurrent.h"

namespace millrace {
namespace {

// Rows of a step, of [batch, units] unless something else is said. Null where a step has none.
struct GateRows {
  // [batch, 3·units], all three parts of x·K.
  const float* projected;
  // [batch, 2·units]
  const float* recurrent;
  const float* state_before;
  // [batch, 2·units]
  float* gates;
  float* reset;
  float* reset_kept;
};

MILLRACE_INLINE void gates_forward(const GateRows& rows, Extent extent, Gate which) {
  with_gate(which, [&](auto gate) __attribute__((always_inline)) {
    const int64_t units = extent.units;
    for (int64_t row = 0; row < extent.batch; row++) {
      const float* p = rows.projected + row * 3 * units;
      float* out = rows.gates + row * 2 * units;
      float* reset = rows.reset + row * units;
      if (rows.recurrent == nullptr) {
#pragma omp simd
        for (int64_t i = 0; i < 2 * units; i++) out[i] = gated<gate.value>(p[i]);
        clear(reset, units);
      } else {
        const float* r = rows.recurrent + row * 2 * units;
        const float* before = rows.state_before + row * units;
#pragma omp simd
        for (int64_t i = 0; i < 2 * units; i++) out[i] = gated<gate.value>(p[i] + r[i]);
#pragma omp simd
        for (int64_t i = 0; i < units; i++) reset[i] = out[units + i] * before[i];
      }
      copy_row(rows.reset_kept + row * units, reset, units);
    }
  });
}

struct StateRows {
  const float* projected;
  const float* recurrent;
  const float* gates;
  const float* state_before;
  float* candidate;
  float* state;
  float* state_before_next;
  float* y;
  int64_t y_stride;
};

MILLRACE_INLINE void state_forward(const StateRows& rows, Extent extent, Activation which) {
  with_activation(which, [&](auto activation) __attribute__((always_inline)) {
    const int64_t units = extent.units;
    for (int64_t row = 0; row < extent.batch; row++) {
      const float* p = rows.projected + row * 3 * units + 2 * units;
      const float* r = rows.recurrent == nullptr ? nullptr : rows.recurrent + row * units;
      const float* update = rows.gates + row * 2 * units;
      const float* before = rows.state_before + row * units;
      float* candidate = rows.candidate + row * units;
      float* state = rows.state + row * units;
      if (r == nullptr) {
#pragma omp simd
        for (int64_t i = 0; i < units; i++) candidate[i] = activated<activation.value>(p[i]);
      } else {
#pragma omp simd
        for (int64_t i = 0; i < units; i++) candidate[i] = activated<activation.value>(p[i] + r[i]);
      }
#pragma omp simd
      for (int64_t i = 0; i < units; i++) state[i] = candidate[i] + update[i] * (before[i] - candidate[i]);
      if (rows.state_before_next != nullptr) copy_row(rows.state_before_next + row * units, state, units);
      if (rows.y != nullptr) copy_row(rows.y + row * rows.y_stride, state, units);
    }
  });
}

struct CandidateGradientRows {
  OutputGradient dy;
  // What the next step gives: past its products, and through them. Null at the last one.
  const float* direct_next;
  const float* product_next;
  const float* gates;
  const float* candidate;
  float* dstate;
  float* dcandidate;
};

MILLRACE_INLINE void candidate_backward(const CandidateGradientRows& rows, Extent extent, Activation which) {
  with_activation(which, [&](auto activation) __attribute__((always_inline)) {
    const int64_t units = extent.units;
    for (int64_t row = 0; row < extent.batch; row++) {
      const float* update = rows.gates + row * 2 * units;
      const float* n = rows.candidate + row * units;
      float* dh = rows.dstate + row * units;
      float* dn = rows.dcandidate + row * units;
      if (rows.dy.begin == nullptr) clear(dh, units);
      else copy_row(dh, rows.dy.begin + row * rows.dy.stride, units);
      if (rows.direct_next != nullptr) {
        const float* direct = rows.direct_next + row * units;
        const float* product = rows.product_next + row * units;
#pragma omp simd
        for (int64_t i = 0; i < units; i++) dh[i] += direct[i] + product[i];
      }
#pragma omp simd
      for (int64_t i = 0; i < units; i++) dn[i] = (dh[i] - dh[i] * update[i]) * slope<activation.value>(n[i]);
    }
  });
}

struct GateGradientRows {
  const float* dstate;
  const float* dcandidate;
  const float* dreset;
  const float* gates;
  const float* candidate;
  const float* state_before;
  // [batch, 2·units], for the product with R.
  float* dz;
  // The same, kept for W.
  float* dz_kept;
  // [batch, 3·units], of all three parts, kept for W and the gradient of x.
  float* all_kept;
  float* candidate_kept;
  float* direct;
};

MILLRACE_INLINE void gates_backward(const GateGradientRows& rows, Extent extent, Gate which) {
  with_gate(which, [&](auto gate) __attribute__((always_inline)) {
    const int64_t units = extent.units;
    for (int64_t row = 0; row < extent.batch; row++) {
      const float* dh = rows.dstate + row * units;
      const float* dn = rows.dcandidate + row * units;
      const float* dreset = rows.dreset + row * units;
      const float* gates = rows.gates + row * 2 * units;
      const float* n = rows.candidate + row * units;
      const float* before = rows.state_before + row * units;
      float* dz = rows.dz + row * 2 * units;
      float* direct = rows.direct + row * units;
#pragma omp simd
      for (int64_t i = 0; i < units; i++) {
        const float update = gates[i];
        const float reset = gates[units + i];
        dz[i] = dh[i] * (before[i] - n[i]) * gate_slope<gate.value>(update);
        dz[units + i] = dreset[i] * before[i] * gate_slope<gate.value>(reset);
        direct[i] = dh[i] * update + dreset[i] * reset;
      }
      copy_row(rows.dz_kept + row * 2 * units, dz, 2 * units);
      copy_row(rows.all_kept + row * 3 * units, dz, 2 * units);
      copy_row(rows.all_kept + row * 3 * units + 2 * units, dn, units);
      copy_row(rows.candidate_kept + row * units, dn, units);
    }
  });
}

MILLRACE_DISPATCH(gates_forward, (const GateRows& rows, Extent extent, Gate gate), (rows, extent, gate))
MILLRACE_DISPATCH(state_forward, (const StateRows& rows, Extent extent, Activation activation),
                  (rows, extent, activation))
MILLRACE_DISPATCH(candidate_backward, (const CandidateGradientRows& rows, Extent extent, Activation activation),
                  (rows, extent, activation))
MILLRACE_DISPATCH(gates_backward, (const GateGradientRows& rows, Extent extent, Gate gate), (rows, extent, gate))

class Gates : private StepOp {
 public:
  explicit Gates(const Attributes& attributes) : StepOp(attributes) {}

  // Inputs: projected x of all steps as rows, the gates' recurrent product, and the buffers of gates, reset states and states before. The
  // first step reads projected x alone.
  void run(Context& context) const {
    const Extent extent{context.dimension(0, 0) / place_.steps, context.dimension(0, 1) / 3};
    const int64_t slice = extent.batch * extent.units;
    float* gates;
    float* kept;
    if (is_first()) {
      gates = context.output(0, {place_.steps * extent.batch, 2 * extent.units});
      kept = context.output(1, {place_.steps * extent.batch, extent.units});
    } else {
      gates = context.pass(0, 2);
      kept = context.pass(1, 3);
    }
    GateRows rows{};
    rows.projected = context.input(0) + place_.time * 3 * slice;
    rows.recurrent = is_first() ? nullptr : context.input(1);
    rows.state_before = is_first() ? nullptr : context.input(4) + place_.time * slice;
    rows.gates = gates + place_.time * 2 * slice;
    rows.reset = context.output(2, {extent.batch, extent.units});
    rows.reset_kept = kept + place_.time * slice;
    gates_forward_best(rows, extent, place_.gate);
  }
};

class State : private StepOp {
 public:
  explicit State(const Attributes& attributes) : StepOp(attributes) {}

  // Inputs: projected x, the candidate's recurrent product, gates, and the buffers of states before, candidates and y. The first step reads
  // projected x and gates alone.
  void run(Context& context) const {
    const Extent extent{context.dimension(0, 0) / place_.steps, context.dimension(0, 1) / 3};
    const int64_t slice = extent.batch * extent.units;
    float* buffers[3];
    if (is_first()) {
      buffers[0] = context.output(0, {place_.steps * extent.batch, extent.units});
      buffers[1] = context.output(1, {place_.steps * extent.batch, extent.units});
      buffers[2] = context.output(2, place_.sequences ? Shape{extent.batch, place_.steps, extent.units} : Shape{0});
      clear(buffers[0] + place_.time * slice, slice);
    } else {
      for (int buffer = 0; buffer < 3; buffer++) {
        buffers[buffer] = context.pass(buffer, 3 + buffer);
      }
    }
    StateRows rows{};
    rows.projected = context.input(0) + place_.time * 3 * slice;
    rows.recurrent = is_first() ? nullptr : context.input(1);
    rows.gates = context.input(2) + place_.time * 2 * slice;
    rows.state_before = buffers[0] + place_.time * slice;
    rows.candidate = buffers[1] + place_.time * slice;
    rows.state = context.output(3, {extent.batch, extent.units});
    rows.state_before_next = place_.after < 0 ? nullptr : buffers[0] + place_.after * slice;
    rows.y = place_.sequences ? buffers[2] + place_.index * extent.units : nullptr;
    rows.y_stride = place_.steps * extent.units;
    state_forward_best(rows, extent, place_.activation);
  }
};

class CandidateGradient : private StepOp {
 public:
  explicit CandidateGradient(const Attributes& attributes) : StepOp(attributes) {}

  // Inputs: dy, gates and candidates of all steps, and from the next step in the order of computation what goes past its products and what
  // goes through them. The last one, which comes first here, reads neither.
  void run(Context& context) const {
    const Extent extent{context.dimension(2, 0) / place_.steps, context.dimension(2, 1)};
    const int64_t slice = extent.batch * extent.units;
    CandidateGradientRows rows{};
    rows.dy = {context.input(0), place_, extent.units};
    rows.direct_next = is_last() ? nullptr : context.input(3);
    rows.product_next = is_last() ? nullptr : context.input(4);
    rows.gates = context.input(1) + place_.time * 2 * slice;
    rows.candidate = context.input(2) + place_.time * slice;
    rows.dstate = context.output(0, {extent.batch, extent.units});
    rows.dcandidate = context.output(1, {extent.batch, extent.units});
    candidate_backward_best(rows, extent, place_.activation);
  }
};

class GateGradient : private StepOp {
 public:
  explicit GateGradient(const Attributes& attributes) : StepOp(attributes) {}

  // Inputs: of this step dh, dn and what comes through the reset state; gates, candidates and states before of all; and the buffers of the
  // gates' dz, of all three parts, and of the candidate's, which the last step does not read.
  void run(Context& context) const {
    const Extent extent{context.dimension(0, 0), context.dimension(0, 1)};
    const int64_t slice = extent.batch * extent.units;
    const int64_t widths[3] = {2, 3, 1};
    float* kept[3];
    for (int buffer = 0; buffer < 3; buffer++) {
      if (is_last()) {
        kept[buffer] = context.output(buffer, {place_.steps * extent.batch, widths[buffer] * extent.units});
      } else {
        kept[buffer] = context.pass(buffer, 6 + buffer);
      }
    }
    GateGradientRows rows{};
    rows.dstate = context.input(0);
    rows.dcandidate = context.input(1);
    rows.dreset = context.input(2);
    rows.gates = context.input(3) + place_.time * 2 * slice;
    rows.candidate = context.input(4) + place_.time * slice;
    rows.state_before = context.input(5) + place_.time * slice;
    rows.dz_kept = kept[0] + place_.time * 2 * slice;
    rows.all_kept = kept[1] + place_.time * 3 * slice;
    rows.candidate_kept = kept[2] + place_.time * slice;
    rows.dz = context.output(3, {extent.batch, 2 * extent.units});
    rows.direct = context.output(4, {extent.batch, extent.units});
    gates_backward_best(rows, extent, place_.gate);
  }
};

}  // namespace

const char* register_gru() {
  const char* failure = register_kernel<Gates>({"MillraceGruGates",
                                                Effect::kWritesInputs,
                                                Shapes::kUnknown,
                                                {"projected", "recurrent", "gates", "kept", "states"},
                                                {"gates_out", "kept_out", "reset"},
                                                kPlaceAttributes});
  if (failure != nullptr) return failure;
  failure = register_kernel<State>({"MillraceGruState",
                                    Effect::kWritesInputs,
                                    Shapes::kUnknown,
                                    {"projected", "recurrent", "gates", "states", "candidates", "y"},
                                    {"states_out", "candidates_out", "y_out", "state"},
                                    kPlaceAttributes});
  if (failure != nullptr) return failure;
  failure = register_kernel<CandidateGradient>({"MillraceGruCandidateGradient",
                                                Effect::kNone,
                                                Shapes::kUnknown,
                                                {"dy", "gates", "candidates", "direct", "product"},
                                                {"dstate", "dcandidate"},
                                                kPlaceAttributes});
  if (failure != nullptr) return failure;
  return register_kernel<GateGradient>({"MillraceGruGateGradient",
                                        Effect::kWritesInputs,
                                        Shapes::kUnknown,
                                        {"dstate", "dcandidate", "dreset", "gates", "candidates", "states", "ofgates",
                                         "all", "ofcandidate"},
                                        {"ofgates_out", "all_out", "ofcandidate_out", "dz", "direct_out"},
                                        kPlaceAttributes});
}

}  // namespace millrace
