// Loops compiled for several instruction sets, of which the processor's best is taken at run time, or the best that
// MILLRACE_INSTRUCTION_SET allows: a build that is carried to another machine still runs there.
//
// The loops stand in inline functions without an instruction set of their own; MILLRACE_DISPATCH makes a function of the same name with
// `_best` behind it. Compilers' own ways (`target_clones`, `-march=native`) differ between GCC and clang, or bind the build to one machine.
#ifndef MILLRACE_INSTRUCTION_SETS_H_
#define MILLRACE_INSTRUCTION_SETS_H_

#include <cstdlib>
#include <cstring>

#define MILLRACE_INLINE static inline __attribute__((always_inline))

namespace millrace {
// Each has what those before it have.
enum class InstructionSet { kBase, kAvx2, kAvx512 };

const char* register_instruction_sets();
}  // namespace millrace

#if defined(__x86_64__)
#define MILLRACE_AVX512 __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")))
#define MILLRACE_AVX2 __attribute__((target("avx2,fma")))

namespace millrace {
inline InstructionSet processors_instruction_set() {
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return has_avx512 ? InstructionSet::kAvx512 : has_avx2 ? InstructionSet::kAvx2 : InstructionSet::kBase;
}

// The names are those of `instruction-sets.ts`, which refuses others.
inline InstructionSet largest_wanted() {
  const char* name = std::getenv("MILLRACE_INSTRUCTION_SET");
  if (name != nullptr && std::strcmp(name, "baseline") == 0) return InstructionSet::kBase;
  if (name != nullptr && std::strcmp(name, "avx2") == 0) return InstructionSet::kAvx2;
  return InstructionSet::kAvx512;
}

inline InstructionSet instruction_set() {
  static const InstructionSet chosen = [] {
    const InstructionSet best = processors_instruction_set();
    const InstructionSet wanted = largest_wanted();
    return wanted < best ? wanted : best;
  }();
  return chosen;
}
}  // namespace millrace

#define MILLRACE_DISPATCH_EACH(name, parameters, arguments, of_avx512, of_avx2, of_base) \
  MILLRACE_AVX512 static void name##_avx512 parameters { of_avx512 arguments; }          \
  MILLRACE_AVX2 static void name##_avx2 parameters { of_avx2 arguments; }                \
  static void name##_best parameters {                                                   \
    switch (millrace::instruction_set()) {                                               \
      case millrace::InstructionSet::kAvx512:                                            \
        return name##_avx512 arguments;                                                  \
      case millrace::InstructionSet::kAvx2:                                              \
        return name##_avx2 arguments;                                                    \
      default:                                                                           \
        of_base arguments;                                                               \
    }                                                                                    \
  }
#else
// ARM's NEON is part of what every build for it assumes.
namespace millrace {
inline InstructionSet instruction_set() { return InstructionSet::kBase; }
}  // namespace millrace

#define MILLRACE_DISPATCH_EACH(name, parameters, arguments, of_avx512, of_avx2, of_base) \
  static void name##_best parameters { of_base arguments; }
#endif

#define MILLRACE_DISPATCH(name, parameters, arguments) \
  MILLRACE_DISPATCH_EACH(name, parameters, arguments, name, name, name)

// The same of functions that are told how many numbers a register holds, as their template's one argument.
#define MILLRACE_DISPATCH_LANES(name, parameters, arguments) \
  MILLRACE_DISPATCH_EACH(name, parameters, arguments, name<16>, name<8>, name<4>)

#endif  // MILLRACE_INSTRUCTION_SETS_H_
