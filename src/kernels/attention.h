#ifndef MILLRACE_ATTENTION_H_
#define MILLRACE_ATTENTION_H_

namespace millrace {
const char* register_attention();
}

#endif  // MILLRACE_ATTENTION_H_
