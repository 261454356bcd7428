#include "control_plane/inject/patch.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace heddle::inject {
namespace {

using Json = nlohmann::json;

// Aligning two lists costs their product; longer ones are replaced as a whole.
constexpr size_t kMaxProduct = 1 << 20;

std::string Below(const std::string& path, const std::string& key) {
  return absl::StrCat(path, "/", absl::StrReplaceAll(key, {{"~", "~0"}, {"/", "~1"}}));
}

// Whether two items are the same thing, perhaps changed.
bool SameItem(const Json& a, const Json& b) {
  if (!a.is_object() || !b.is_object()) return a == b;
  for (const char* key : {"name", "mountPath", "containerPort", "key"}) {
    const auto left = a.find(key);
    const auto right = b.find(key);
    if (left != a.end() || right != b.end())
      return left != a.end() && right != b.end() && *left == *right;
  }
  return a == b;
}

class Differ {
 public:
  void Compare(const std::string& path, const Json& before, const Json& after) {
    if (before == after) return;
    if (before.is_object() && after.is_object()) {
      Objects(path, before, after);
    } else if (before.is_array() && after.is_array()) {
      Arrays(path, before, after);
    } else {
      out_.push_back({{"op", "replace"}, {"path", path}, {"value", after}});
    }
  }
  Json Take() { return std::move(out_); }

 private:
  void Objects(const std::string& path, const Json& before, const Json& after) {
    for (const auto& [key, value] : before.items())
      if (!after.contains(key)) out_.push_back({{"op", "remove"}, {"path", Below(path, key)}});
    for (const auto& [key, value] : after.items()) {
      const auto old = before.find(key);
      if (old == before.end()) {
        out_.push_back({{"op", "add"}, {"path", Below(path, key)}, {"value", value}});
      } else {
        Compare(Below(path, key), *old, value);
      }
    }
  }

  void Arrays(const std::string& path, const Json& before, const Json& after) {
    size_t head = 0;
    const size_t shorter = std::min(before.size(), after.size());
    while (head < shorter && SameItem(before[head], after[head])) ++head;
    size_t tail = 0;
    while (tail < shorter - head &&
           SameItem(before[before.size() - 1 - tail], after[after.size() - 1 - tail]))
      ++tail;
    const size_t rows = before.size() - head - tail;
    const size_t columns = after.size() - head - tail;
    if (columns > 0 && rows > kMaxProduct / columns) {
      out_.push_back({{"op", "replace"}, {"path", path}, {"value", after}});
      return;
    }
    // longest[i][j]: how many items of before[head+i..] and after[head+j..] can be kept in order.
    std::vector<std::vector<uint32_t>> longest(rows + 1, std::vector<uint32_t>(columns + 1, 0));
    for (size_t i = rows; i-- > 0;)
      for (size_t j = columns; j-- > 0;)
        longest[i][j] = SameItem(before[head + i], after[head + j])
                            ? longest[i + 1][j + 1] + 1
                            : std::max(longest[i + 1][j], longest[i][j + 1]);
    // `at` is the index in the document as it is after the operations so far.
    size_t at = 0;
    const auto keep = [&](const Json& old, const Json& fresh) {
      Compare(absl::StrCat(path, "/", at++), old, fresh);
    };
    for (size_t same = 0; same < head; ++same) keep(before[same], after[same]);
    size_t i = 0, j = 0;
    while (i < rows || j < columns) {
      if (i < rows && j < columns && SameItem(before[head + i], after[head + j])) {
        keep(before[head + i++], after[head + j++]);
      } else if (j == columns || (i < rows && longest[i + 1][j] >= longest[i][j + 1])) {
        out_.push_back({{"op", "remove"}, {"path", absl::StrCat(path, "/", at)}});
        ++i;
      } else {
        out_.push_back(
            {{"op", "add"}, {"path", absl::StrCat(path, "/", at++)}, {"value", after[head + j++]}});
      }
    }
    for (size_t k = tail; k > 0; --k) keep(before[before.size() - k], after[after.size() - k]);
  }

  Json out_ = Json::array();
};

template <typename Document>
absl::Status ApplyTo(const Document& patch, Document* document) {
  // nlohmann's patch reports everything by exceptions; none of them leaves this function.
  try {
    *document = document->patch(patch);
  } catch (const nlohmann::detail::exception& e) {
    return absl::InvalidArgumentError(absl::StrCat("patch: ", e.what()));
  }
  return absl::OkStatus();
}

}  // namespace

Json Diff(const Json& before, const Json& after) {
  Differ differ;
  differ.Compare("", before, after);
  return differ.Take();
}

absl::Status Apply(const Json& patch, Json* document) { return ApplyTo(patch, document); }

absl::Status Apply(const nlohmann::ordered_json& patch, nlohmann::ordered_json* document) {
  return ApplyTo(patch, document);
}

}  // namespace heddle::inject
