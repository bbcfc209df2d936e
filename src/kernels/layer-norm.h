#ifndef MILLRACE_LAYER_NORM_H_
#define MILLRACE_LAYER_NORM_H_

namespace millrace {
const char* register_layer_norm();
}

#endif  // MILLRACE_LAYER_NORM_H_
