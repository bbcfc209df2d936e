// What the ops have in common: their registration with TensorFlow, and what a kernel is given at each run.
#ifndef MILLRACE_OP_H_
#define MILLRACE_OP_H_

#include <cstdint>
#include <initializer_list>
#include <new>
#include <vector>

#include "tensorflow.h"

namespace millrace {

using Shape = std::vector<int64_t>;

// Thrown where TensorFlow has been told why a run fails.
struct Failed {};

// Owns what TensorFlow hands out at one run of an op. What TensorFlow refuses, memory for one, ends the run by `Failed`.
class Context {
 public:
  explicit Context(TF_OpKernelContext* context) : context_(context), status_(TF_NewStatus()) {}
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  // All inputs and outputs are of single precision.
  const float* input(int index);
  int64_t dimension(int input, int axis);
  int rank(int input);
  int64_t size(int input);
  Shape shape(int input);

  float* output(int index, const Shape& shape);
  // An input to write into, whoever else holds it: for ops that are `kWritesInputs`.
  float* written(int input);
  // Gives an input out again, in the same memory, whoever else holds it, to write into: for ops that are `kWritesInputs`.
  float* pass(int output, int input);

  // Ends the run, and tells TensorFlow that its inputs do not belong together.
  [[noreturn]] void refuse(const char* reason);
  // Tells TensorFlow that the run fails for want of memory.
  void fail_without_memory();

 private:
  TF_Tensor* tensor(int input);
  void check();
  TF_OpKernelContext* const context_;
  TF_Status* const status_;
  std::vector<TF_Tensor*> inputs_;
  std::vector<TF_Tensor*> outputs_;
};

// An op's attributes, which are read once for each place where it stands.
class Attributes {
 public:
  explicit Attributes(TF_OpKernelConstruction* construction) : construction_(construction) {}
  float number(const char* name) const;
  int32_t integer(const char* name) const;
  bool flag(const char* name) const;

 private:
  TF_OpKernelConstruction* const construction_;
};

enum class Effect {
  kNone,
  // Such an op writes into inputs that were made for it. TensorFlow must not join two of them, or keep what one gives.
  kWritesInputs,
};

// What TensorFlow's graph optimizer is told of the outputs' shapes. Told nothing, it complains of ops that take these outputs.
enum class Shapes { kUnknown, kFirstLikeFirstInput };

struct Signature {
  const char* name;
  Effect effect;
  Shapes shapes;
  std::vector<const char*> inputs;
  std::initializer_list<const char*> outputs;
  // As TensorFlow writes them: "epsilon: float".
  std::initializer_list<const char*> attributes;
};

// Returns null, or what TensorFlow has against it.
const char* register_op(const Signature&, void* (*create)(TF_OpKernelConstruction*),
                        void (*compute)(void*, TF_OpKernelContext*), void (*destroy)(void*));

// Registers `Kernel`, which is made of `Attributes` and run on a `Context`.
template <typename Kernel>
const char* register_kernel(const Signature& signature) {
  return register_op(
      signature, [](TF_OpKernelConstruction* construction) -> void* { return new Kernel(Attributes(construction)); },
      [](void* kernel, TF_OpKernelContext* given) {
        Context context(given);
        try {
          static_cast<const Kernel*>(kernel)->run(context);
        } catch (const Failed&) {
          // TensorFlow knows.
        } catch (const std::bad_alloc&) {
          context.fail_without_memory();
        }
      },
      [](void* kernel) { delete static_cast<Kernel*>(kernel); });
}

}  // namespace millrace

#endif  // MILLRACE_OP_H_
