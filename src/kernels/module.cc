// The kernels as a module for Node: loading it adds the ops to the TensorFlow that it is linked to. It uses nothing of Node's, so none of
// Node's headers are needed; the name of the function is what Node looks for.
#include "attention.h"
#include "batch-norm.h"
#include "gru.h"
#include "instruction-sets.h"
#include "layer-norm.h"
#include "lstm.h"
#include "optimizers.h"
#include "softmax.h"

#include <cstdio>
#include <initializer_list>

namespace {

// Once in a process, however many threads load the module.
const char* register_all() {
  static const char* const failure = [] {
    for (const auto register_kernels :
         {millrace::register_attention, millrace::register_batch_norm, millrace::register_gru,
          millrace::register_instruction_sets, millrace::register_layer_norm, millrace::register_lstm,
          millrace::register_optimizers, millrace::register_softmax}) {
      const char* reason = register_kernels();
      if (reason != nullptr) return reason;
    }
    return static_cast<const char*>(nullptr);
  }();
  return failure;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void* napi_register_module_v1(void*, void* exports) {
  const char* failure = register_all();
  // Whoever loads the module tries an op before relying on it.
  if (failure != nullptr) std::fprintf(stderr, "millrace: TensorFlow does not take an op: %s\n", failure);
  return exports;
}
