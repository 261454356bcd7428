#include "source/tls/context.h"

#include <utility>

#include "source/base/status.h"
#include "source/tls/core.h"
#include "source/tls/transport.h"

namespace heddle::tls {

absl::StatusOr<std::shared_ptr<const ServerContext>> ServerContext::Make(
    const ServerOptions& options, const base::Clock& clock) {
  HEDDLE_ASSIGN_OR_RETURN(auto core, Core::Server(options, clock));
  return std::shared_ptr<const ServerContext>(new ServerContext(std::move(core)));
}

ServerContext::ServerContext(std::shared_ptr<Core> core) : core_(std::move(core)) {}
ServerContext::~ServerContext() = default;

std::unique_ptr<net::Transport> ServerContext::Create(const Options& options) const {
  return std::make_unique<TlsTransport>(core_, options);
}
ContextStats ServerContext::stats() const { return core_->stats(); }
const std::vector<CertificateInfo>& ServerContext::certificates() const {
  return core_->certificates();
}

absl::StatusOr<std::shared_ptr<const ClientContext>> ClientContext::Make(
    const ClientOptions& options, const base::Clock& clock) {
  HEDDLE_ASSIGN_OR_RETURN(auto core, Core::Client(options, clock));
  return std::shared_ptr<const ClientContext>(new ClientContext(std::move(core)));
}

ClientContext::ClientContext(std::shared_ptr<Core> core) : core_(std::move(core)) {}
ClientContext::~ClientContext() = default;

std::unique_ptr<net::Transport> ClientContext::Create(const Options& options) const {
  return std::make_unique<TlsTransport>(core_, options);
}
ContextStats ClientContext::stats() const { return core_->stats(); }
const std::vector<CertificateInfo>& ClientContext::certificates() const {
  return core_->certificates();
}

}  // namespace heddle::tls
