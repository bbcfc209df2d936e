// Scaled dot-product attention (Vaswani et al., arXiv 1706.03762), head by head:
//
//     P = softmax(scale · q·kᵀ)      y = P·v
//     dv = Pᵀ·dy      dS = scale · P ⊙ (dP − Σ dP·P),  dP = dy·vᵀ      dq = dS·k      dk = dSᵀ·q
//
// Heads lie side by side in a row of q, k, v and y, as a dense layer leaves them, [batch, time, heads, size]. What TensorFlow has for it
// wants them apart, and goes four times over the scores of all heads; here those of some rows stay in the cache.
#include "attention.h"

#include <vector>

#include "functions.h"
#include "instruction-sets.h"
#include "op.h"
#include "small-product.h"
#include "softmax.h"

namespace millrace {
namespace {

struct Size {
  int64_t batch;
  int64_t queries;
  int64_t keys;
  int64_t heads;
  // Numbers a head has of a query, a key or a value.
  int64_t size;

  int64_t stride() const { return heads * size; }
};

// Rows of scores that are worked on at a time.
constexpr int64_t kRowsAtOnce = 32;

MILLRACE_INLINE void scaled_softmax(float* scores, int64_t rows, int64_t width, float scale) {
  for (int64_t row = 0; row < rows; row++) {
    float* s = scores + row * width;
    float largest = s[0] * scale;
#pragma omp simd reduction(max : largest)
    for (int64_t i = 0; i < width; i++) {
      s[i] *= scale;
      largest = s[i] > largest ? s[i] : largest;
    }
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < width; i++) {
      // What single precision does not hold is zero, as in TensorFlow, and not the smallest number: products of those are slow.
      const float below = s[i] - largest;
      s[i] = below < -87.0f ? 0.0f : exponential(below);
      sum += s[i];
    }
    const float share = 1.0f / sum;
#pragma omp simd
    for (int64_t i = 0; i < width; i++) s[i] *= share;
  }
}

// `scratch` takes the keys of a head.
template <int kLanes>
MILLRACE_INLINE void forward(const float* q, const float* k, const float* v, Size size, float scale, float* y,
                             float* probabilities, float* scratch) {
  const int64_t stride = size.stride();
  for (int64_t head = 0; head < size.batch * size.heads; head++) {
    const int64_t sample = head / size.heads;
    const int64_t place = head % size.heads * size.size;
    const float* queries = q + sample * size.queries * stride + place;
    const Rows keys{k + sample * size.keys * stride + place, stride};
    const Rows values{v + sample * size.keys * stride + place, stride};
    float* made = y + sample * size.queries * stride + place;
    float* scores = probabilities + head * size.queries * size.keys;
    transpose_rows(keys, size.keys, size.size, scratch);
    for (int64_t row = 0; row < size.queries; row += kRowsAtOnce) {
      const int64_t rows = size.queries - row < kRowsAtOnce ? size.queries - row : kRowsAtOnce;
      float* own = scores + row * size.keys;
      multiply_small<kLanes>({queries + row * stride, stride, 1}, {scratch, size.keys}, {rows, size.size, size.keys},
                     {own, size.keys});
      scaled_softmax(own, rows, size.keys, scale);
      multiply_small<kLanes>({own, size.keys, 1}, values, {rows, size.keys, size.size}, {made + row * stride, stride});
    }
  }
}

MILLRACE_INLINE void set_zero(const WrittenRows& rows, int64_t count, int64_t columns) {
  for (int64_t row = 0; row < count; row++) {
    for (int64_t column = 0; column < columns; column++) rows.data[row * rows.stride + column] = 0;
  }
}

struct Given {
  const float* q;
  const float* k;
  const float* v;
  const float* probabilities;
  const float* dy;
};

struct Gradients {
  float* q;
  float* k;
  float* v;
};

// `values` takes those of a head, `scores` the gradients of those that are worked on at a time.
template <int kLanes>
MILLRACE_INLINE void backward(const Given& given, Size size, float scale, const Gradients& made, float* values,
                              float* scores) {
  const int64_t stride = size.stride();
  for (int64_t head = 0; head < size.batch * size.heads; head++) {
    const int64_t sample = head / size.heads;
    const int64_t of_queries = sample * size.queries * stride + head % size.heads * size.size;
    const int64_t of_keys = sample * size.keys * stride + head % size.heads * size.size;
    const WrittenRows dk{made.k + of_keys, stride};
    const WrittenRows dv{made.v + of_keys, stride};
    transpose_rows({given.v + of_keys, stride}, size.keys, size.size, values);
    set_zero(dk, size.keys, size.size);
    set_zero(dv, size.keys, size.size);
    for (int64_t row = 0; row < size.queries; row += kRowsAtOnce) {
      const int64_t rows = size.queries - row < kRowsAtOnce ? size.queries - row : kRowsAtOnce;
      const float* probabilities = given.probabilities + (head * size.queries + row) * size.keys;
      const Rows queries{given.q + of_queries + row * stride, stride};
      const Rows dy{given.dy + of_queries + row * stride, stride};
      multiply_small<kLanes>({dy.data, stride, 1}, {values, size.keys}, {rows, size.size, size.keys},
                             {scores, size.keys});
      scaled_softmax_gradient(probabilities, scores, rows, size.keys, scale, scores);
      multiply_small<kLanes>({scores, size.keys, 1}, {given.k + of_keys, stride}, {rows, size.keys, size.size},
                             {made.q + of_queries + row * stride, stride});
      const SmallShape of_keys_shape{size.keys, rows, size.size};
      multiply_small<kLanes, Sum::kAdd>({scores, 1, size.keys}, queries, of_keys_shape, dk);
      multiply_small<kLanes, Sum::kAdd>({probabilities, 1, size.keys}, dy, of_keys_shape, dv);
    }
  }
}

MILLRACE_DISPATCH_LANES(forward,
                  (const float* q, const float* k, const float* v, Size size, float scale, float* y,
                   float* probabilities, float* scratch),
                  (q, k, v, size, scale, y, probabilities, scratch))
MILLRACE_DISPATCH_LANES(backward,
                  (const Given& given, Size size, float scale, const Gradients& made, float* values, float* scores),
                  (given, size, scale, made, values, scores))

// Of inputs 0 to 2, which are q, k and v.
Size size_of(Context& context) {
  if (context.rank(0) != 4) context.refuse("queries are [batch, time, heads, size]");
  const Shape queries = context.shape(0);
  const Shape keys = context.shape(1);
  const bool are_alike = keys.size() == 4 && keys[0] == queries[0] && keys[2] == queries[2] && keys[3] == queries[3];
  if (!are_alike || context.shape(2) != keys) context.refuse("queries, keys and values are not of one size");
  if (keys[1] == 0) context.refuse("attention takes one key or more");
  return {queries[0], queries[1], keys[1], queries[2], queries[3]};
}

Shape scores_of(const Size& size) { return {size.batch, size.heads, size.queries, size.keys}; }

class Forward {
 public:
  explicit Forward(const Attributes& attributes) : scale_(attributes.number("scale")) {}

  void run(Context& context) const {
    const Size size = size_of(context);
    std::vector<float> scratch(static_cast<size_t>(size.keys * size.size));
    float* y = context.output(0, context.shape(0));
    forward_best(context.input(0), context.input(1), context.input(2), size, scale_, y,
                 context.output(1, scores_of(size)), scratch.data());
  }

 private:
  const float scale_;
};

class Gradient {
 public:
  explicit Gradient(const Attributes& attributes) : scale_(attributes.number("scale")) {}

  void run(Context& context) const {
    const Size size = size_of(context);
    if (context.shape(3) != scores_of(size)) context.refuse("probabilities are [batch, heads, queries, keys]");
    if (context.shape(4) != context.shape(0)) context.refuse("the gradient is not of the output's size");
    std::vector<float> values(static_cast<size_t>(size.keys * size.size));
    std::vector<float> scores(static_cast<size_t>(kRowsAtOnce * size.keys));
    const Given given{context.input(0), context.input(1), context.input(2), context.input(3), context.input(4)};
    const Gradients made{context.output(0, context.shape(0)), context.output(1, context.shape(1)),
                         context.output(2, context.shape(2))};
    backward_best(given, size, scale_, made, values.data(), scores.data());
  }

 private:
  const float scale_;
};

}  // namespace

const char* register_attention() {
  const char* failure = register_kernel<Forward>({"MillraceAttention",
                                                  Effect::kNone,
                                                  Shapes::kFirstLikeFirstInput,
                                                  {"q", "k", "v"},
                                                  {"y", "probabilities"},
                                                  {"scale: float"}});
  if (failure != nullptr) return failure;
  return register_kernel<Gradient>({"MillraceAttentionGradient",
                                    Effect::kNone,
                                    Shapes::kFirstLikeFirstInput,
                                    {"q", "k", "v", "probabilities", "dy"},
                                    {"dq", "dk", "dv"},
                                    {"scale: float"}});
}

}  // namespace millrace
