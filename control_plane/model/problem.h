// What is wrong with what an operator wrote: where and why, in the words that are shown to that
// person.
#pragma once

#include <ostream>
#include <string>

namespace heddle::model {

enum class Severity {
  kError,    // the file changes nothing that is served
  kWarning,  // it is served; something in it has no effect or will surprise
};

struct Problem {
  Severity severity = Severity::kError;
  std::string file;     // as given by the source
  int line = 0;         // 1-based; 0: not known
  std::string object;   // "HTTPRoute bookshop/reviews"; empty when not known
  std::string path;     // "spec.rules[0].backendRefs[1].name"; may be empty
  std::string message;  // "no such Service: bookshop/revews"
  // What a status condition calls it, in the words of the Gateway API ("BackendNotFound"); empty:
  // the object itself is not valid.
  std::string reason = {};

  // "routes.yaml:12: HTTPRoute bookshop/reviews: spec.rules[0].name: no such Service: a/b"
  std::string ToString() const;
  friend bool operator==(const Problem&, const Problem&) = default;
};

inline std::ostream& operator<<(std::ostream& out, const Problem& problem) {
  return out << problem.ToString();
}

}  // namespace heddle::model
