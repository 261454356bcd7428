// A copy of a request sent to another cluster, whose answer nobody reads (request_mirror_policies). Lives by itself:
// the stream it copies may end first. Its body is bounded; a mirror that cannot keep up is dropped.
#pragma once

#include <memory>
#include <vector>

#include "source/http/headers.h"
#include "source/base/buffer.h"
#include "source/base/clock.h"

namespace heddle::proxy {

struct Context;
class Mirror;
class EpochPin;

class Mirrors {
 public:
  Mirrors();
  ~Mirrors();
  // Null when the cluster is unknown. `authority` gets "-shadow" behind its host.
  Mirror* Start(Context& context, const http::RequestHead& head, absl::string_view cluster, base::Micros timeout, bool end);
  size_t size() const { return mirrors_.size(); }

 private:
  friend class Mirror;
  void Remove(Context& context, Mirror* mirror);
  std::vector<std::unique_ptr<Mirror>> mirrors_;
};

}  // namespace heddle::proxy
