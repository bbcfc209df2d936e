#ifndef MILLRACE_LSTM_H_
#define MILLRACE_LSTM_H_

namespace millrace {
const char* register_lstm();
}

#endif  // MILLRACE_LSTM_H_
