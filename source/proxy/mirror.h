// A copy of a request sent to another cluster, whose answer nobody reads (request_mirror_policies).
// Lives by itself: the stream it copies may end first, which drops the mirror only if its request
// was not whole by then. Bounded in bytes and time; a mirror that cannot keep up is dropped.
//
//   uint64_t id = context.mirrors.Start(context, head, "shadow", timeout, end);   // 0: unknown
//   cluster, no endpoint context.mirrors.SendBody(id, data, end); // copies; ids that are gone are
//   ignored
#pragma once

#include <cstdint>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "source/base/buffer.h"
#include "source/base/clock.h"
#include "source/http/headers.h"

namespace heddle::proxy {

struct Context;
class Mirror;

class Mirrors {
 public:
  Mirrors();
  ~Mirrors();
  // `timeout` in microseconds, 0 = none. The copy's authority gets "-shadow" behind its host.
  uint64_t Start(Context& context, const http::RequestHead& head, absl::string_view cluster,
                 base::Micros timeout, bool end);
  void SendBody(uint64_t id, const base::Buffer& data, bool end);
  // The request is complete (its trailers are not copied).
  void End(uint64_t id);
  // The stream ended; drops the mirror unless its request is complete.
  void Release(uint64_t id);
  size_t size() const { return mirrors_.size(); }

 private:
  friend class Mirror;
  void Remove(Mirror* mirror);
  absl::flat_hash_map<uint64_t, std::unique_ptr<Mirror>> mirrors_;
  uint64_t next_ = 1;
};

}  // namespace heddle::proxy
