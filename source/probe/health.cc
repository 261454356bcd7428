#include "source/probe/health.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "source/base/status.h"

namespace heddle::probe {

absl::StatusOr<std::unique_ptr<HealthServer>> HealthServer::Start(event::Loop& loop,
                                                                  Options options) {
  HEDDLE_ASSIGN_OR_RETURN(std::unique_ptr<Prober> prober, Prober::Create(loop, options.host));
  const net::Address address = options.address;
  std::unique_ptr<HealthServer> out(new HealthServer(std::move(options), std::move(prober)));
  HEDDLE_ASSIGN_OR_RETURN(
      out->server_,
      admin::AdminServer::StartOpen(loop, address,
                                    [raw = out.get()](const admin::Request& request,
                                                      std::function<void(admin::Reply)> answer) {
                                      return raw->Answer(request, std::move(answer));
                                    }));
  return out;
}

std::unique_ptr<event::Destroyable> HealthServer::Answer(
    const admin::Request& request, std::function<void(admin::Reply)> answer) const {
  if (request.method != "GET" && request.method != "HEAD") {
    answer({.status = 405, .body = "only GET and HEAD here\n"});
    return nullptr;
  }
  if (request.path == "/healthz/ready") {
    answer(options_.admin({.method = "GET", .path = "/ready", .query = {}}));
    return nullptr;
  }
  if (request.path == "/stats/prometheus") {
    answer(options_.admin(request));
    return nullptr;
  }
  const auto found = options_.probes.find(request.path);
  if (found == options_.probes.end()) {
    answer({.status = 404, .body = absl::StrCat("no page ", request.path, "\n")});
    return nullptr;
  }
  return prober_->Start(found->second, [answer = std::move(answer)](const absl::Status& health) {
    if (health.ok()) return answer({.status = 200, .body = "ok\n"});
    answer({.status = 503, .body = absl::StrCat(health.message(), "\n")});
  });
}

}  // namespace heddle::probe
