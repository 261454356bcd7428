// As much of the Redis protocol as a counter needs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace bookshop {

// INCR key at ip:port; the new value, or none when Redis did not answer. Keeps one connection for
// each thread and tries a fresh one once.
std::optional<int64_t> Increment(const std::string& ip, int port, const std::string& key);

}  // namespace bookshop
