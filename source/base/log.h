// The process log: one line each to stderr, `2026-11-22T13:00:00.123Z info xds  text`. Never
// secrets, never request bodies. Levels can be changed at run time for a component (admin
// /logging).
//
//   HEDDLE_LOG(kInfo, "xds") << "connected to " << address;
#pragma once

#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace heddle::base {

enum class LogLevel : int { kTrace = 0, kDebug = 1, kInfo = 2, kWarning = 3, kError = 4, kOff = 5 };

// Whether a line of this level would be printed. Relaxed atomics; callable from any thread.
bool LogEnabled(LogLevel level);
bool LogEnabled(LogLevel level, absl::string_view component);
// The level of all components, and of one. Setting the first forgets what was set for single
// components.
void SetLogLevel(LogLevel level);
void SetLogLevel(absl::string_view component, LogLevel level);
LogLevel GetLogLevel();
// Components with a level of their own, sorted.
std::vector<std::pair<std::string, LogLevel>> ComponentLogLevels();
// "info" -> kInfo. False when the name is unknown (allowed: trace debug info warning error off).
bool ParseLogLevel(absl::string_view name, LogLevel* level);
absl::string_view LogLevelName(LogLevel level);

class LogLine {
 public:
  LogLine(LogLevel level, absl::string_view component) : level_(level), component_(component) {}
  ~LogLine();  // writes the line with one write(2)
  std::ostream& stream() { return text_; }

 private:
  LogLevel level_;
  absl::string_view component_;
  std::ostringstream text_;
};

}  // namespace heddle::base

#define HEDDLE_LOG(level, component)                                                              \
  for (bool heddle_log_ = ::heddle::base::LogEnabled(::heddle::base::LogLevel::level, component); \
       heddle_log_; heddle_log_ = false)                                                          \
  ::heddle::base::LogLine(::heddle::base::LogLevel::level, component).stream()
