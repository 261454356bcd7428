#include "source/tls/context.h"

#include <utility>

#include "source/base/status.h"
#include "source/tls/core.h"
#include "source/tls/transport.h"

namespace heddle::tls {
namespace {

std::vector<SanMatcher> SansOf(const CommonOptions& options) {
  return options.validation.has_value() ? options.validation->sans : std::vector<SanMatcher>();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const ServerContext>> ServerContext::Make(
    const ServerOptions& options, const base::Clock& clock) {
  HEDDLE_ASSIGN_OR_RETURN(auto core, Core::Server(options, clock));
  HEDDLE_ASSIGN_OR_RETURN(auto expected, core->Expect("", SansOf(options.common)));
  return std::shared_ptr<const ServerContext>(
      new ServerContext(std::move(core), std::move(expected)));
}

ServerContext::ServerContext(std::shared_ptr<Core> core, std::shared_ptr<const Expected> expected)
    : core_(std::move(core)), expected_(std::move(expected)) {}
ServerContext::~ServerContext() = default;

std::unique_ptr<net::Transport> ServerContext::Create(const Options& options) const {
  return std::make_unique<TlsTransport>(core_, expected_, options);
}
ContextStats ServerContext::stats() const { return core_->stats(); }
const std::vector<CertificateInfo>& ServerContext::certificates() const {
  return core_->certificates();
}

absl::StatusOr<std::shared_ptr<const ClientContext>> ClientContext::Make(
    const ClientOptions& options, const base::Clock& clock) {
  HEDDLE_ASSIGN_OR_RETURN(auto core, Core::Client(options, clock));
  HEDDLE_ASSIGN_OR_RETURN(auto expected, core->Expect(options.sni, SansOf(options.common)));
  return std::shared_ptr<const ClientContext>(
      new ClientContext(std::move(core), std::move(expected)));
}

absl::StatusOr<std::shared_ptr<const ClientContext>> ClientContext::For(
    std::string sni, std::vector<SanMatcher> sans) const {
  HEDDLE_ASSIGN_OR_RETURN(auto expected, core_->Expect(std::move(sni), std::move(sans)));
  return std::shared_ptr<const ClientContext>(new ClientContext(core_, std::move(expected)));
}

ClientContext::ClientContext(std::shared_ptr<Core> core, std::shared_ptr<const Expected> expected)
    : core_(std::move(core)), expected_(std::move(expected)) {}
ClientContext::~ClientContext() = default;

std::unique_ptr<net::Transport> ClientContext::Create(const Options& options) const {
  return std::make_unique<TlsTransport>(core_, expected_, options);
}
ContextStats ClientContext::stats() const { return core_->stats(); }
const std::vector<CertificateInfo>& ClientContext::certificates() const {
  return core_->certificates();
}

}  // namespace heddle::tls
