// YAML in, what the decoder says out. Shared by the tests of this folder.
#pragma once

#include <string>
#include <vector>

#include "google/protobuf/message.h"
#include "source/decode/decode.h"

namespace heddle::test {

// A catalogue of one terminal filter (the router's message), one other (the fault filter's, which
// also takes a configuration on routes) and one network filter (RBAC's).
const decode::Catalogue& FakeCatalogue();

// Reads YAML strictly; the test fails when that does not work.
void Read(const std::string& text, google::protobuf::Message* out);

// "ok", or the error. Warnings of the last call are in LastWarnings.
std::string ListenerError(const std::string& yaml);
std::string ClusterError(const std::string& yaml);
std::string RoutesError(const std::string& yaml);
std::string EndpointsError(const std::string& yaml);
std::string SecretError(const std::string& yaml);
const std::vector<std::string>& LastWarnings();

// The decoded value; the test fails when there is none.
config::Listener GoodListener(const std::string& yaml);
config::Cluster GoodCluster(const std::string& yaml);
config::RouteConfiguration GoodRoutes(const std::string& yaml);

struct Case {
  std::string yaml, error;
};

// PEM that looks right and holds nothing.
extern const char kCertificate[];
extern const char kKey[];

}  // namespace heddle::test
