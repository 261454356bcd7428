// What one ADS stream has asked for of one type, and what it has to say next. Pure: messages in,
// messages out. Delta and state of the world are two small classes behind one interface, because
// the client has both in production. Source: Envoy's xDS protocol
// (docs/root/api-docs/xds_protocol.rst).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "source/xds/types.h"

namespace heddle::xds {

class Subscription {
 public:
  virtual ~Subscription() = default;
  // A new stream: everything asked for is asked for again; what was accepted is remembered.
  virtual void OnStream() = 0;
  // The names wanted from now on (ignored for wildcard types).
  virtual void Want(std::set<std::string> names) = 0;
  // A response was applied (OK) or refused (its message goes back as error_detail).
  virtual void Answer(const Update& update, const absl::Status& status) = 0;
  // The next request, encoded, without the node; none when there is nothing to say. Call until
  // none.
  virtual std::optional<std::string> Next() = 0;
  // Reads a response of this type. InvalidArgument when it is not one.
  virtual absl::StatusOr<Update> Read(const std::string& message) = 0;
  // Accepted resources by name with their version (delta), for the last-good store. Set before the
  // first stream.
  virtual void Remember(std::map<std::string, std::string> versions) = 0;
};

std::unique_ptr<Subscription> MakeSubscription(Type type, bool delta);

// The type of a response; both envelopes keep it in the field type_url. None: not a type we asked
// for.
std::optional<Type> TypeOfResponse(const std::string& message, bool delta);

// Puts the encoded node into an encoded request: sent with the first request of a stream only. Both
// request messages keep it in their first or second field.
std::string WithNode(const std::string& request, const std::string& node, bool delta);

}  // namespace heddle::xds
