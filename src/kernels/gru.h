#ifndef MILLRACE_GRU_H_
#define MILLRACE_GRU_H_

namespace millrace {
const char* register_gru();
}

#endif  // MILLRACE_GRU_H_
