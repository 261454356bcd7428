// What objects that are not valid now said when they were, kept in the cluster (ConfigMap
// heddle-last-good) so that a heddle-control that starts later serves it too. Pure: text to values
// and back.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "control_plane/ingest/parse.h"

namespace heddle::ingest {

inline constexpr char kLastGoodName[] = "heddle-last-good";
inline constexpr char kLastGoodKey[] = "objects.json";
// An object of the API holds at most 1 MiB and a little.
inline constexpr size_t kMaxLastGood = 900 << 10;

// The value under kLastGoodKey: what fits into `max_bytes`, in the order given; the names of the
// rest in `left_out`.
std::string LastGoodText(const std::vector<Kept>& kept, size_t max_bytes,
                         std::vector<std::string>* left_out);
// That value of a ConfigMap; empty when it has none.
std::string LastGoodOf(absl::string_view config_map);
// Each as it would be read from the object. What is not an object of a kind that is watched, or is
// not valid by itself, is left out.
std::vector<ParsedFile> ReadLastGood(absl::string_view text);

}  // namespace heddle::ingest
