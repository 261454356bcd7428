#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <map>
#include <sstream>
#include <streambuf>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "source/yaml/node.h"
#include "source/yaml/yaml.h"

namespace heddle::yaml {
namespace {

// Builds nodes from yaml-cpp's events. The only way out of its parser is an exception, so a broken
// limit is thrown as one of yaml-cpp's own, and caught with them in ParseYaml.
class Builder : public YAML::EventHandler {
 public:
  explicit Builder(const Options& options) : options_(options) {}

  void OnDocumentStart(const YAML::Mark&) override {
    stack_.clear();
    anchors_.clear();
    root_ = nullptr;
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(Make(mark, Node::Kind::kNull), anchor, mark);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto found = anchors_.find(anchor);
    if (found == anchors_.end())
      throw YAML::ParserException(mark, "an alias inside its own anchor");
    Add(found->second, 0, mark);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    auto node = Make(mark, Node::Kind::kScalar);
    node->quoted = tag != "?";
    if (!tag.empty() && tag != "?" && tag != "!" && tag != "tag:yaml.org,2002:str") {
      throw YAML::ParserException(mark, "tags are not supported");
    }
    node->text = value;
    Add(std::move(node), anchor, mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Push(mark, Node::Kind::kSequence, anchor);
  }
  void OnSequenceEnd() override { Pop(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Push(mark, Node::Kind::kMap, anchor);
  }
  void OnMapEnd() override { Pop(); }

  NodePtr TakeRoot() { return std::move(root_); }

 private:
  struct Open {
    std::shared_ptr<Node> node;
    YAML::anchor_t anchor = 0;
    bool has_key = false;
    std::string key;
    int key_line = 0;
    absl::flat_hash_set<std::string> keys;
  };

  std::shared_ptr<Node> Make(const YAML::Mark& mark, Node::Kind kind) {
    if (++made_ > options_.max_nodes)
      throw YAML::ParserException(mark, "too many values in one file");
    auto node = std::make_shared<Node>();
    node->kind = kind;
    node->line = mark.line + 1;
    return node;
  }

  void Push(const YAML::Mark& mark, Node::Kind kind, YAML::anchor_t anchor) {
    if (stack_.size() >= static_cast<size_t>(options_.max_depth)) {
      throw YAML::ParserException(mark,
                                  absl::StrCat("nested more than ", options_.max_depth, " deep"));
    }
    stack_.emplace_back();
    stack_.back().node = Make(mark, kind);
    stack_.back().anchor = anchor;
  }

  void Pop() {
    Open top = std::move(stack_.back());
    stack_.pop_back();
    YAML::Mark mark;
    mark.line = top.node->line - 1;
    Add(std::move(top.node), top.anchor, mark);
  }

  void Add(NodePtr node, YAML::anchor_t anchor, const YAML::Mark& mark) {
    if (anchor != 0) anchors_[anchor] = node;
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& top = stack_.back();
    if (top.node->kind == Node::Kind::kMap && !top.has_key) {
      if (node->kind != Node::Kind::kScalar)
        throw YAML::ParserException(mark, "a key must be text");
      if (!top.keys.insert(node->text).second) {
        throw YAML::ParserException(mark, absl::StrCat("duplicate key \"", node->text, "\""));
      }
      top.has_key = true;
      top.key = node->text;
      top.key_line = mark.line + 1;
      return;
    }
    top.node->weight += node->weight;
    if (top.node->weight > options_.max_nodes) {
      throw YAML::ParserException(mark, "too many values when aliases are expanded");
    }
    if (top.node->kind == Node::Kind::kSequence) {
      top.node->items.push_back(std::move(node));
    } else {
      top.node->members.push_back({std::move(top.key), top.key_line, std::move(node)});
      top.has_key = false;
    }
  }

  const Options& options_;
  std::vector<Open> stack_;
  std::map<YAML::anchor_t, NodePtr> anchors_;
  NodePtr root_;
  size_t made_ = 0;
};

// An istream over text that is already there.
class View : public std::streambuf {
 public:
  explicit View(absl::string_view text) {
    char* begin = const_cast<char*>(text.data());
    setg(begin, begin, begin + text.size());
  }
};

}  // namespace

absl::StatusOr<std::vector<NodePtr>> ParseYaml(absl::string_view text, const Options& options) {
  std::vector<NodePtr> documents;
  View view(text);
  std::istream stream(&view);
  try {
    YAML::Parser parser(stream);
    Builder builder(options);
    while (parser.HandleNextDocument(builder)) {
      NodePtr root = builder.TakeRoot();
      if (root != nullptr && root->kind != Node::Kind::kNull) documents.push_back(std::move(root));
    }
  } catch (const YAML::Exception& e) {
    return ErrorAt(options, e.mark.line + 1, absl::StrCat("not YAML: ", e.msg));
  }
  return documents;
}

}  // namespace heddle::yaml
