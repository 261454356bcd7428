#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "source/base/status.h"
#include "source/yaml/node.h"
#include "source/yaml/yaml.h"

namespace heddle::yaml {
namespace {

// "port_value" and "portValue" are one name.
bool SameField(absl::string_view a, absl::string_view b) {
  size_t i = 0, j = 0;
  while (true) {
    while (i < a.size() && a[i] == '_') ++i;
    while (j < b.size() && b[j] == '_') ++j;
    if (i == a.size() || j == b.size()) return i == a.size() && j == b.size();
    if (absl::ascii_tolower(a[i++]) != absl::ascii_tolower(b[j++])) return false;
  }
}

const Node::Member* Find(const Node& node, absl::string_view key) {
  for (const Node::Member& member : node.members) {
    if (member.key == key) return &member;
  }
  for (const Node::Member& member : node.members) {
    if (SameField(member.key, key)) return &member;
  }
  return nullptr;
}

// Takes the next step off "a.b[2][\"key\"]". False at the end.
bool NextStep(absl::string_view* path, absl::string_view* name, size_t* index, bool* is_index) {
  if (path->empty()) return false;
  *is_index = false;
  if ((*path)[0] == '[') {
    const size_t close = path->find(path->size() > 1 && (*path)[1] == '"' ? "\"]" : "]");
    if (close == absl::string_view::npos) return false;
    if ((*path)[1] == '"') {
      *name = path->substr(2, close - 2);
      path->remove_prefix(close + 2);
    } else {
      *is_index = true;
      if (!absl::SimpleAtoi(path->substr(1, close - 1), index)) return false;
      path->remove_prefix(close + 1);
    }
  } else {
    const size_t end = std::min(path->find_first_of(".["), path->size());
    *name = path->substr(0, end);
    path->remove_prefix(end);
  }
  if (!path->empty() && (*path)[0] == '.') path->remove_prefix(1);
  return true;
}

// The node at the path, or the nearest around it (`exact` false then). `line` is that of its key.
const Node* Walk(const Node* node, absl::string_view path, int* line, bool* exact) {
  absl::string_view name;
  size_t index = 0;
  bool is_index = false;
  *line = node->line;
  *exact = true;
  while (NextStep(&path, &name, &index, &is_index)) {
    if (is_index) {
      if (index >= node->items.size()) break;
      node = node->items[index].get();
      *line = node->line;
      continue;
    }
    const Node::Member* member = Find(*node, name);
    if (member == nullptr) {
      *exact = false;
      return node;
    }
    *line = member->line;
    node = member->value.get();
  }
  *exact = path.empty();
  return node;
}

}  // namespace

absl::Status ErrorAt(const Options& options, int line, absl::string_view message) {
  if (options.file.empty())
    return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", message));
  return absl::InvalidArgumentError(absl::StrCat(options.file, ":", line, ": ", message));
}

absl::string_view Document::Text(absl::string_view field) const {
  for (const Node::Member& member : root_->members) {
    if (member.key == field && member.value->kind == Node::Kind::kScalar) return member.value->text;
  }
  return {};
}

absl::string_view Document::TextAt(absl::string_view path) const {
  int line = 0;
  bool exact = false;
  const Node* node = Walk(root_.get(), path, &line, &exact);
  return exact && node->kind == Node::Kind::kScalar ? absl::string_view(node->text)
                                                    : absl::string_view();
}

int Document::line() const { return root_->line; }

int Document::Line(absl::string_view path) const {
  int line = 0;
  bool exact = false;
  Walk(root_.get(), path, &line, &exact);
  return line;
}

absl::StatusOr<std::vector<Document>> Parse(absl::string_view text, const Options& options) {
  if (text.size() > options.max_bytes) {
    return ErrorAt(options, 1,
                   absl::StrCat("found ", text.size(), " bytes, allowed ", options.max_bytes));
  }
  std::vector<Document> documents;
  absl::StatusOr<NodePtr> json = ParseJson(text, options);
  if (json.ok()) {
    documents.push_back(Document(*std::move(json)));
    return documents;
  }
  // A flow map of YAML begins like JSON too.
  absl::StatusOr<std::vector<NodePtr>> nodes = ParseYaml(text, options);
  if (!nodes.ok()) return absl::IsNotFound(json.status()) ? nodes.status() : json.status();
  for (NodePtr& node : *nodes) documents.push_back(Document(std::move(node)));
  return documents;
}

absl::Status Decode(absl::string_view text, google::protobuf::Message* out,
                    const Options& options) {
  HEDDLE_ASSIGN_OR_RETURN(const std::vector<Document> documents, Parse(text, options));
  if (documents.size() != 1) {
    return ErrorAt(options, documents.empty() ? 1 : documents[1].line(),
                   absl::StrCat("found ", documents.size(), " documents, allowed 1"));
  }
  return documents[0].Decode(out, options);
}

}  // namespace heddle::yaml
