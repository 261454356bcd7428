// Path changes of HTTPRoute filters in Envoy's terms.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "control_plane/translate/routes.h"
#include "re2/re2.h"

namespace heddle::translate {
namespace {

// A backslash begins a group's number in a substitution.
std::string Literal(const std::string& text) { return absl::StrReplaceAll(text, {{"\\", "\\\\"}}); }

}  // namespace

std::optional<PathRewrite> RewriteOf(const model::PathChange& change,
                                     const model::RouteMatch& match) {
  PathRewrite out;
  if (change.full.has_value()) {
    out.pattern = "^.*$";
    out.substitution = Literal(*change.full);
    return out;
  }
  if (!change.prefix.has_value() || *change.prefix == match.path) return std::nullopt;
  const std::string& to = *change.prefix;
  if (match.path == "/") {
    // Envoy replaces the "/" itself.
    out.prefix = absl::StrCat(to, "/");
  } else if (to == "/") {
    // Replacing "/a" by "/" would make "//b" of "/a/b".
    out.pattern = absl::StrCat("^", RE2::QuoteMeta(match.path), "/?");
    out.substitution = "/";
  } else {
    out.prefix = to;
  }
  return out;
}

}  // namespace heddle::translate
