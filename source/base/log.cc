#include "source/base/log.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <map>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace heddle::base {
namespace {

constexpr std::array<absl::string_view, 6> kNames = {"trace",   "debug", "info",
                                                     "warning", "error", "off"};

std::atomic<LogLevel> g_level{LogLevel::kInfo};
// Lowest level that any component prints: what most disabled lines are decided by.
std::atomic<LogLevel> g_lowest{LogLevel::kInfo};
std::atomic<bool> g_has_components{false};

struct Components {
  std::mutex mutex;
  std::map<std::string, LogLevel> levels;  // guarded by mutex
};
Components& GetComponents() {
  static auto* const components = new Components;
  return *components;
}

}  // namespace

bool LogEnabled(LogLevel level) { return level >= g_level.load(std::memory_order_relaxed); }

bool LogEnabled(LogLevel level, absl::string_view component) {
  if (level < g_lowest.load(std::memory_order_relaxed)) return false;
  if (!g_has_components.load(std::memory_order_relaxed)) return LogEnabled(level);
  Components& components = GetComponents();
  const std::lock_guard<std::mutex> lock(components.mutex);
  const auto it = components.levels.find(std::string(component));
  return it == components.levels.end() ? LogEnabled(level) : level >= it->second;
}

void SetLogLevel(LogLevel level) {
  Components& components = GetComponents();
  const std::lock_guard<std::mutex> lock(components.mutex);
  components.levels.clear();
  g_has_components = false;
  g_level = level;
  g_lowest = level;
}

void SetLogLevel(absl::string_view component, LogLevel level) {
  Components& components = GetComponents();
  const std::lock_guard<std::mutex> lock(components.mutex);
  components.levels[std::string(component)] = level;
  LogLevel lowest = g_level;
  for (const auto& [name, own] : components.levels) lowest = std::min(lowest, own);
  g_lowest = lowest;
  g_has_components = true;
}

LogLevel GetLogLevel() { return g_level.load(std::memory_order_relaxed); }

std::vector<std::pair<std::string, LogLevel>> ComponentLogLevels() {
  Components& components = GetComponents();
  const std::lock_guard<std::mutex> lock(components.mutex);
  return {components.levels.begin(), components.levels.end()};
}

bool ParseLogLevel(absl::string_view name, LogLevel* level) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (name != kNames[i]) continue;
    *level = static_cast<LogLevel>(i);
    return true;
  }
  return false;
}

absl::string_view LogLevelName(LogLevel level) { return kNames[static_cast<size_t>(level)]; }

LogLine::~LogLine() {
  std::string line =
      absl::StrCat(absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone()), " ",
                   LogLevelName(level_), " ", component_, "  ", text_.str());
  // What a peer sent must not be able to start a line of its own, nor to drive a terminal.
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  line.push_back('\n');
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace heddle::base
