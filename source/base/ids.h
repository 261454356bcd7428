// Identifiers made on the request path: no allocation, no formatting library, no secret in them.
//
//   char id[base::kUuidChars];
//   base::WriteUuid(random, id);              // x-request-id
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "source/base/clock.h"

namespace heddle::base {

constexpr size_t kUuidChars = 36;

// RFC 4122 version 4, lower case. Writes kUuidChars characters and no terminator.
void WriteUuid(Random& random, char* out);
std::string Uuid(Random& random);

// Lower-case hex of a number, all 16 digits: half a W3C trace id, or a span id.
void WriteHex64(uint64_t value, char* out);
// A number that is never 0, which W3C trace context forbids for ids.
uint64_t NonZero(Random& random);

// Hex of bytes, lower case; and back: false when a digit is wrong or missing.
std::string ToHex(absl::string_view bytes);
bool FromHex(absl::string_view hex, std::string* bytes);

}  // namespace heddle::base
