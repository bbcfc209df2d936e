#ifndef MILLRACE_BATCH_NORM_H_
#define MILLRACE_BATCH_NORM_H_

namespace millrace {
const char* register_batch_norm();
}

#endif  // MILLRACE_BATCH_NORM_H_
