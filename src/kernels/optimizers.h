#ifndef MILLRACE_OPTIMIZERS_H_
#define MILLRACE_OPTIMIZERS_H_

namespace millrace {
const char* register_optimizers();
}

#endif  // MILLRACE_OPTIMIZERS_H_
