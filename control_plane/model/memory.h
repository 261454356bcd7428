// What the last build came to, part by part. BuildWorld takes from it what it would make again, and
// leaves in it what it made. Used by the Builder only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "control_plane/model/build.h"

namespace heddle::model {

// One object as its reader understood it. A reading never changes; another one has another id.
struct Reading {
  std::shared_ptr<const google::protobuf::Message> body;
  std::string file;
  Digest digest;   // of the body
  Digest context;  // of what else the reader looked at
  uint64_t id = 0;
  std::vector<Problem> problems;
  std::shared_ptr<const void> parts;  // of the kind's type
  uint64_t used = 0;                  // the last build that looked at it
};

// What a Service says of a port of a Workload.
struct Claim {
  const Workload* workload = nullptr;  // WorkloadPart::base
  uint16_t port = 0;
  size_t index = 0;  // of the Service's port
};

struct WorkloadPart {
  uint64_t reading = 0;
  Digest context;                        // of the policies and of which Services there are
  std::shared_ptr<const Workload> base;  // with its policies
  std::vector<Problem> problems;
  std::shared_ptr<const Workload> full;  // and with what Services say that its ports speak
  std::vector<Problem> spoken_problems;

  const Key& key() const { return base->key; }
};

struct ServicePart {
  Digest inputs;  // all but the Workloads
  std::shared_ptr<const Service> service;
  std::vector<Problem> problems;
  std::vector<Claim> claims;

  const Key& key() const { return service->key; }
};

struct RoutePart {
  Digest inputs;
  std::shared_ptr<const Route> route;

  const Key& key() const { return route->key; }
};

// The parts of the last build beside the names of this one, both in order.
template <typename Part>
class Former {
 public:
  explicit Former(std::vector<Part> parts) : parts_(std::move(parts)) {}

  // The part of that name; null: there was none. `gone` is given each that has no name here.
  template <typename Gone>
  Part* Find(const Key& key, const Gone& gone) {
    while (next_ < parts_.size() && parts_[next_].key() < key) gone(parts_[next_++]);
    return next_ < parts_.size() && parts_[next_].key() == key ? &parts_[next_++] : nullptr;
  }
  template <typename Gone>
  void End(const Gone& gone) {
    while (next_ < parts_.size()) gone(parts_[next_++]);
  }

 private:
  std::vector<Part> parts_;
  size_t next_ = 0;
};

struct Memory {
  uint64_t build = 0;
  uint64_t next_id = 1;
  absl::flat_hash_map<const google::protobuf::Message*, std::unique_ptr<Reading>> readings;
  std::vector<WorkloadPart> workloads;
  std::vector<ServicePart> services;
  std::vector<RoutePart> routes, grpc_routes;
  Digest services_there;  // their names
  // By namespace and patterns; of these Services.
  std::map<std::string, std::shared_ptr<const EgressSet>> egress;
  BuildMemory::Stats stats;
};

}  // namespace heddle::model
