#include "source/xds/no_secret.h"

namespace heddle::xds {
namespace {

class NoSecret final : public net::Transport {
 public:
  net::IoResult Read(int, base::Buffer&, size_t) override { return Failed(); }
  net::IoResult Write(int, base::Buffer&) override { return Failed(); }
  bool ready() const override { return false; }
  void Shutdown(int) override {}
  const net::PeerInfo& peer() const override { return peer_; }
  // Envoy's words.
  absl::string_view error() const override { return "TLS error: Secret is not supplied by SDS"; }

 private:
  static net::IoResult Failed() { return {.outcome = net::IoOutcome::kError}; }
  net::PeerInfo peer_;
};

class NoSecretFactory final : public net::TransportFactory {
 public:
  std::unique_ptr<net::Transport> Create(const Options&) const override {
    return std::make_unique<NoSecret>();
  }
  bool secure() const override { return true; }
};

}  // namespace

std::shared_ptr<const net::TransportFactory> NoSecretTransports() {
  static const auto* const kOne =
      new std::shared_ptr<const net::TransportFactory>(std::make_shared<NoSecretFactory>());
  return *kOne;
}

}  // namespace heddle::xds
