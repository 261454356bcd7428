// A mesh of 2,000 Services with 20,000 endpoints, of which one changes: what that costs.
#include <catch2/catch.hpp>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control_plane/ingest/merge.h"
#include "control_plane/translate/translate.h"
#include "heddle/v1/endpoint_slice.pb.h"
#include "heddle/v1/service.pb.h"
#include "heddle/v1/workload.pb.h"

namespace heddle::ingest {
namespace {

constexpr int kServices = 2000;
constexpr int kEndpoints = 10;  // of each
constexpr int kChanges = 20;

std::string Ns(int service) { return absl::StrCat("n", service / 100); }

ParsedFile File(model::Kind kind, const std::string& name,
                const std::shared_ptr<const google::protobuf::Message>& body) {
  ParsedFile out;
  out.name = name;
  out.objects.push_back({.kind = kind,
                         .file = name,
                         .line_of = nullptr,
                         .body = body,
                         .digest = model::DigestOf(*body)});
  return out;
}

ParsedFile Service(int i) {
  auto body = std::make_shared<v1::Service>();
  body->set_api_version("v1");
  body->mutable_metadata()->set_name(absl::StrCat("s", i % 100));
  body->mutable_metadata()->set_namespace_(Ns(i));
  body->mutable_spec()->set_cluster_ip(absl::StrCat("10.96.", i / 250, ".", i % 250 + 1));
  body->mutable_spec()->add_ports()->set_port(80);
  body->mutable_spec()->mutable_ports(0)->set_name("http");
  return File(model::Kind::kService, absl::StrCat("Service ", Ns(i), "/s", i % 100), body);
}

std::string Address(int service, int endpoint) {
  return absl::StrCat("10.", 128 + service / 250, ".", service % 250, ".", endpoint + 1);
}

ParsedFile Slice(int i, int endpoints, bool pods) {
  auto body = std::make_shared<v1::EndpointSlice>();
  body->set_api_version("discovery.k8s.io/v1");
  body->mutable_metadata()->set_name(absl::StrCat("s", i % 100, "-0"));
  body->mutable_metadata()->set_namespace_(Ns(i));
  (*body->mutable_metadata()->mutable_labels())["kubernetes.io/service-name"] =
      absl::StrCat("s", i % 100);
  body->set_address_type("IPv4");
  body->add_ports()->set_port(8080);
  body->mutable_ports(0)->set_name("http");
  for (int e = 0; e < endpoints; ++e) {
    v1::SliceEndpoint* const one = body->add_endpoints();
    one->add_addresses(Address(i, e));
    if (!pods) continue;
    one->mutable_target_ref()->set_kind("Pod");
    one->mutable_target_ref()->set_name(absl::StrCat("s", i % 100, "-", e));
  }
  return File(model::Kind::kEndpointSlice, absl::StrCat("EndpointSlice ", Ns(i), "/s", i % 100),
              body);
}

ParsedFile Pod(const std::string& ns, const std::string& name, const std::string& address) {
  auto body = std::make_shared<v1::Workload>();
  body->set_api_version("heddle.dev/v1");
  body->mutable_metadata()->set_name(name);
  body->mutable_metadata()->set_namespace_(ns);
  (*body->mutable_metadata()->mutable_labels())["app"] = name;
  body->mutable_spec()->set_address(address);
  return File(model::Kind::kWorkload, absl::StrCat("Pod ", ns, "/", name), body);
}

template <typename What>
double Milliseconds(const What& what) {
  const absl::Time began = absl::Now();
  what();
  return absl::ToDoubleMilliseconds(absl::Now() - began);
}

model::WorldOptions Live() {
  model::WorldOptions out;
  out.live = true;
  return out;
}

// The mesh, and what one sidecar in it is given.
class Mesh {
 public:
  // `pods`: with a sidecar behind each endpoint.
  explicit Mesh(bool pods) : pods_(pods) {
    for (int i = 0; i < kServices; ++i) Add(i);
    merge_.Put(Pod("n0", "client", "10.244.0.50"));
    const double world = Milliseconds([this] { merge_.Apply(); });
    const double translation = Milliseconds([this] { Translate(); });
    std::printf("%d services, %d endpoints%s: the first world %.1f ms, translated in %.1f ms\n",
                kServices, kServices * kEndpoints, pods ? ", each with a sidecar" : "", world,
                translation);
  }

  // One endpoint of that service goes.
  void Change(int service) {
    merge_.Put(Slice(service, kEndpoints - 1, pods_));
    apply_ += Milliseconds([this] { merge_.Apply(); });
    translation_ += Milliseconds([this] { Translate(); });
  }
  void Say() const {
    std::printf("after a change %.2f ms and %.2f ms\n", apply_ / kChanges, translation_ / kChanges);
  }

  model::BuildMemory::Stats made() const { return merge_.made(); }
  size_t resources_made() const { return translator_.stats().made; }
  size_t clusters() const { return clusters_; }

 private:
  void Add(int service) {
    merge_.Put(Service(service));
    merge_.Put(Slice(service, kEndpoints, pods_));
    for (int e = 0; pods_ && e < kEndpoints; ++e)
      merge_.Put(Pod(Ns(service), absl::StrCat("s", service % 100, "-", e), Address(service, e)));
  }
  void Translate() {
    const auto view =
        translate::MakeProxyView(*merge_.world(), {"n0", "client"}, {.intercept = true});
    if (!view.ok()) return;
    clusters_ = translator_.Translate(*merge_.world(), *view)
                    ->Of(translate::ResourceType::kEndpoints)
                    .size();
  }

  const bool pods_;
  Merge merge_{Live()};
  translate::Translator translator_;
  size_t clusters_ = 0;
  double apply_ = 0, translation_ = 0;
};

void Measure(bool pods) {
  Mesh mesh(pods);
  REQUIRE(mesh.clusters() == kServices);
  for (int i = 0; i < kChanges; ++i) {
    const size_t made = mesh.resources_made();
    mesh.Change(i);
    REQUIRE(mesh.made().readings == 1);
    REQUIRE(mesh.made().services == 1);
    REQUIRE(mesh.made().workloads == 0);
    REQUIRE(mesh.resources_made() <= made + 2);  // its cluster's key has the endpoints in it
  }
  mesh.Say();
}

SCENARIO("a change of one Service's endpoints makes only that Service anew") { Measure(false); }

SCENARIO("a change of one Service's endpoints makes only that Service anew, with sidecars") {
  Measure(true);
}

}  // namespace
}  // namespace heddle::ingest
