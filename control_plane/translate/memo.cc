#include "control_plane/translate/memo.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"

namespace heddle::translate {

ResourceRef Memo::Get(const model::Digest& key, const std::function<ResourceRef()>& make) {
  const auto it = by_arguments_.find(key);
  if (it != by_arguments_.end()) {
    ++reused_;
    return it->second;
  }
  if (by_arguments_.size() >= sweep_at_) Sweep();
  ++made_;
  ResourceRef made = make();
  const std::string content =
      absl::StrCat(static_cast<int>(made->type), "\n", made->name, "\n", made->version);
  made = by_content_.try_emplace(content, std::move(made)).first->second;
  by_arguments_[key] = made;
  return made;
}

void Memo::Sweep() {
  // Held elsewhere when there are more references than the two maps'. Several keys may lead to one
  // resource.
  absl::flat_hash_map<const Resource*, int64_t> own;
  for (const auto& [key, one] : by_arguments_) ++own[one.get()];
  for (const auto& [key, one] : by_content_) ++own[one.get()];
  const auto unused = [&](const auto& entry) {
    return entry.second.use_count() <= own[entry.second.get()];
  };
  std::vector<model::Digest> keys;
  for (const auto& entry : by_arguments_)
    if (unused(entry)) keys.push_back(entry.first);
  std::vector<std::string> contents;
  for (const auto& entry : by_content_)
    if (unused(entry)) contents.push_back(entry.first);
  for (const model::Digest& key : keys) by_arguments_.erase(key);
  for (const std::string& content : contents) by_content_.erase(content);
  sweep_at_ = std::max<size_t>(1024, by_arguments_.size() * 2);
}

Translator::Stats Memo::stats() const {
  return {.made = made_, .reused = reused_, .held = by_content_.size()};
}

}  // namespace heddle::translate
