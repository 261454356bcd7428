#include <cstdint>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "source/base/status.h"
#include "source/yaml/node.h"
#include "source/yaml/yaml.h"

namespace heddle::yaml {
namespace {

void AppendUtf8(uint32_t c, std::string* out) {
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out->push_back(static_cast<char>(0xC0 | c >> 6));
    out->push_back(static_cast<char>(0x80 | (c & 63)));
  } else if (c < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | c >> 12));
    out->push_back(static_cast<char>(0x80 | (c >> 6 & 63)));
    out->push_back(static_cast<char>(0x80 | (c & 63)));
  } else {
    out->push_back(static_cast<char>(0xF0 | c >> 18));
    out->push_back(static_cast<char>(0x80 | (c >> 12 & 63)));
    out->push_back(static_cast<char>(0x80 | (c >> 6 & 63)));
    out->push_back(static_cast<char>(0x80 | (c & 63)));
  }
}

class JsonParser {
 public:
  JsonParser(absl::string_view text, const Options& options) : in_(text), options_(options) {}

  absl::StatusOr<NodePtr> Document() {
    HEDDLE_ASSIGN_OR_RETURN(NodePtr root, Value(0));
    Space();
    if (at_ != in_.size()) return Error("text after the end of the document");
    return root;
  }

 private:
  absl::Status Error(absl::string_view message) const {
    return ErrorAt(options_, line_, absl::StrCat("not JSON: ", message));
  }
  void Space() {
    for (; at_ < in_.size(); ++at_) {
      if (in_[at_] == '\n') {
        ++line_;
      } else if (in_[at_] != ' ' && in_[at_] != '\t' && in_[at_] != '\r') {
        return;
      }
    }
  }
  bool Take(char c) {
    Space();
    if (at_ >= in_.size() || in_[at_] != c) return false;
    ++at_;
    return true;
  }

  absl::StatusOr<NodePtr> Value(int depth) {
    Space();
    if (at_ >= in_.size()) return Error("ends too early");
    if (depth >= options_.max_depth)
      return Error(absl::StrCat("nested more than ", options_.max_depth, " deep"));
    if (++made_ > options_.max_nodes) return Error("too many values in one file");
    auto node = std::make_shared<Node>();
    node->line = line_;
    switch (in_[at_]) {
      case '{':
        ++at_;
        HEDDLE_RETURN_IF_ERROR(Map(depth, node.get()));
        break;
      case '[':
        ++at_;
        HEDDLE_RETURN_IF_ERROR(Sequence(depth, node.get()));
        break;
      case '"':
        node->kind = Node::Kind::kScalar;
        node->quoted = true;
        HEDDLE_RETURN_IF_ERROR(String(&node->text));
        break;
      default: {
        const size_t begin = at_;
        while (at_ < in_.size() && (absl::ascii_isalnum(static_cast<unsigned char>(in_[at_])) ||
                                    in_[at_] == '-' || in_[at_] == '+' || in_[at_] == '.')) {
          ++at_;
        }
        node->text = std::string(in_.substr(begin, at_ - begin));
        if (node->text == "null") {
          node->text.clear();
          break;  // kNull
        }
        const bool number =
            !node->text.empty() && (node->text[0] == '-' || absl::ascii_isdigit(node->text[0]));
        if (!number && node->text != "true" && node->text != "false") {
          return Error(node->text.empty()
                           ? absl::StrCat("unexpected '", std::string(1, in_[at_]), "'")
                           : absl::StrCat("unexpected ", node->text));
        }
        node->kind = Node::Kind::kScalar;
      }
    }
    return NodePtr(std::move(node));
  }

  absl::Status Map(int depth, Node* node) {
    node->kind = Node::Kind::kMap;
    absl::flat_hash_set<std::string> keys;
    if (Take('}')) return absl::OkStatus();
    do {
      Space();
      Node::Member member;
      member.line = line_;
      if (at_ >= in_.size() || in_[at_] != '"') return Error("a key must be a string");
      HEDDLE_RETURN_IF_ERROR(String(&member.key));
      if (!keys.insert(member.key).second)
        return Error(absl::StrCat("duplicate key \"", member.key, "\""));
      if (!Take(':')) return Error("expected ':'");
      HEDDLE_ASSIGN_OR_RETURN(member.value, Value(depth + 1));
      node->weight += member.value->weight;
      node->members.push_back(std::move(member));
    } while (Take(','));
    return Take('}') ? absl::OkStatus() : Error("expected ',' or '}'");
  }

  absl::Status Sequence(int depth, Node* node) {
    node->kind = Node::Kind::kSequence;
    if (Take(']')) return absl::OkStatus();
    do {
      HEDDLE_ASSIGN_OR_RETURN(NodePtr item, Value(depth + 1));
      node->weight += item->weight;
      node->items.push_back(std::move(item));
    } while (Take(','));
    return Take(']') ? absl::OkStatus() : Error("expected ',' or ']'");
  }

  bool Hex4(uint32_t* out) {
    *out = 0;
    if (in_.size() - at_ < 4) return false;
    for (int i = 0; i < 4; ++i) {
      const char c = in_[at_++];
      if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return false;
      *out = *out * 16 + static_cast<uint32_t>(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return true;
  }

  absl::Status Escape(std::string* out) {
    if (at_ >= in_.size()) return Error("ends inside a string");
    const char c = in_[at_++];
    static constexpr absl::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    if (const size_t i = kFrom.find(c); i != absl::string_view::npos) {
      out->push_back(kTo[i]);
      return absl::OkStatus();
    }
    uint32_t code = 0, low = 0;
    if (c != 'u' || !Hex4(&code)) return Error("bad escape in a string");
    if (code >= 0xD800 && code < 0xE000) {
      const bool pair =
          code < 0xDC00 && in_.size() - at_ >= 2 && in_[at_] == '\\' && in_[at_ + 1] == 'u';
      at_ += pair ? 2 : 0;
      if (!pair || !Hex4(&low) || low < 0xDC00 || low >= 0xE000)
        return Error("half of a surrogate pair in a string");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    AppendUtf8(code, out);
    return absl::OkStatus();
  }

  absl::Status String(std::string* out) {
    ++at_;  // the quote
    while (at_ < in_.size()) {
      const char c = in_[at_++];
      if (c == '"') return absl::OkStatus();
      if (static_cast<unsigned char>(c) < 0x20) return Error("control character in a string");
      if (c == '\\') {
        HEDDLE_RETURN_IF_ERROR(Escape(out));
      } else {
        out->push_back(c);
      }
    }
    return Error("ends inside a string");
  }

  const absl::string_view in_;
  const Options& options_;
  size_t at_ = 0;
  size_t made_ = 0;
  int line_ = 1;
};

}  // namespace

absl::StatusOr<NodePtr> ParseJson(absl::string_view text, const Options& options) {
  const absl::string_view start = absl::StripLeadingAsciiWhitespace(text);
  if (start.empty() || start[0] != '{') return absl::NotFoundError("not JSON");
  return JsonParser(text, options).Document();
}

}  // namespace heddle::yaml
