#ifndef MILLRACE_SOFTMAX_H_
#define MILLRACE_SOFTMAX_H_

namespace millrace {
const char* register_softmax();
}

#endif  // MILLRACE_SOFTMAX_H_
