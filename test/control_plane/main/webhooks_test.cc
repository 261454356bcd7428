// The webhooks as heddle-control keeps them: the patch of the caBundle, and files that change under
// the server.
#include "control_plane/main/webhooks.h"

#include <signal.h>
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control_plane/identity/ca.h"
#include "control_plane/identity/serving.h"

namespace {

using heddle::control::BundlePatch;
using heddle::control::Webhooks;
using nlohmann::json;

std::string TempDir() {
  const char* root = ::getenv("TEST_TMPDIR");
  std::string pattern = absl::StrCat(root != nullptr ? root : "/tmp", "/webhooks.XXXXXX");
  REQUIRE(::mkdtemp(pattern.data()) != nullptr);
  return pattern;
}

json Webhook(const std::string& service, const std::string& ns, const std::string& bundle = "") {
  json out = {{"name", "x"},
              {"clientConfig", {{"service", {{"name", service}, {"namespace", ns}}}}}};
  if (!bundle.empty()) out["clientConfig"]["caBundle"] = bundle;
  return out;
}

SCENARIO("the caBundle is put into every webhook of ours that lacks it, and into no other") {
  const json configuration = {{"metadata", {{"resourceVersion", "7"}}},
                              {"webhooks",
                               {Webhook("heddle-control", "heddle-system"),
                                Webhook("heddle-control", "another"),
                                Webhook("other", "heddle-system"),
                                Webhook("heddle-control", "heddle-system", "T0xE"),
                                Webhook("heddle-control", "heddle-system", "UEVN"),
                                {{"clientConfig", {{"url", "https://x"}}}}}}};
  const auto patch = BundlePatch(configuration.dump(), "PEM", "heddle-system");
  REQUIRE(patch.ok());
  CHECK(json::parse(*patch) ==
        json::parse(R"([{"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "UEVN"},
            {"op": "add", "path": "/webhooks/3/clientConfig/caBundle", "value": "UEVN"}])"));
  json patched = configuration.patch(json::parse(*patch));
  CHECK(*BundlePatch(patched.dump(), "PEM", "heddle-system") == "");

  for (const char* text : {"", "[]", "{}", R"({"webhooks": []})", R"({"webhooks": 1})"})
    CHECK(!BundlePatch(text, "PEM", "heddle-system").ok());
  CHECK(*BundlePatch(R"({"metadata": {"resourceVersion": "1"}, "webhooks": [1, {}]})", "PEM",
                     "x") == "");
}

SCENARIO("settings and certificate are read again, and bad ones change nothing") {
  ::signal(SIGPIPE, SIG_IGN);
  const std::string dir = TempDir();
  auto ca = heddle::identity::CertificateAuthority::Open({.dir = dir}, absl::Now());
  REQUIRE(ca.ok());
  heddle::identity::ServingCertificate serving(**ca, {.dns = {"localhost"}, .ip = {"127.0.0.1"}});
  REQUIRE(serving.Refresh(absl::Now()).ok());
  const std::string settings = dir + "/settings.yaml";
  std::ofstream(settings) << "proxyImage: a:1\n";
  const auto options = [&] {
    heddle::control::WebhookOptions out;
    out.listen = "127.0.0.1:0";
    out.settings_file = settings;
    out.trust_domain = "cluster.local";
    out.system_namespace = "heddle-system";
    out.key_path = serving.key_path();
    out.cert_path = serving.cert_path();
    out.bundle = [&] { return (*ca)->Bundle(); };
    return out;
  };
  auto webhooks = Webhooks::Start(options());
  INFO(webhooks.status());
  REQUIRE(webhooks.ok());
  CHECK((*webhooks)->port() > 0);
  absl::Time now = absl::Now();
  (*webhooks)->Tick(now);
  std::ofstream(settings) << "proxyImage: [\n";
  (*webhooks)->Tick(now += absl::Seconds(2));
  std::ofstream(serving.key_path()) << "no key";
  (*webhooks)->Tick(now += absl::Seconds(2));
  CHECK((*webhooks)->Metrics().empty());

  std::ofstream(settings) << "proxyImages: x\n";
  CHECK(Webhooks::Start(options()).status().message().find("proxyImages: no such setting") !=
        std::string::npos);
  std::ofstream(settings) << "";
  CHECK(!Webhooks::Start(options()).ok());  // by its key
}

}  // namespace
