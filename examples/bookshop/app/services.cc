#include "examples/bookshop/app/services.h"

#include "examples/bookshop/app/behaviour.h"
#include "examples/bookshop/app/http.h"
#include "examples/bookshop/app/redis.h"
#include "examples/bookshop/app/stock_client.h"

namespace bookshop {
namespace {

constexpr int kTimeoutMs = 5000;

// Through the sidecar the name is in the Host header; directly it is in the URL.
Response Call(const Service& service, const std::string& direct, const std::string& host,
              const std::string& path, const Headers& trace) {
  const std::string where = service.mesh.empty() ? direct : service.mesh;
  return Get("http://" + where + path, host, trace, kTimeoutMs);
}

// Handles /behave and /healthz, then asks `serve`.
template <typename Handle>
int Run(const Service& service, Behaviour& behaviour, Handle handle) {
  const Handler handler = [&](const Request& request) -> Response {
    if (request.path == "/behave") return behaviour.Set(request);
    if (request.path == "/healthz") return {.status = 200, .body = "ok\n", .error = ""};
    if (behaviour.ShouldFail())
      return {.status = 503, .body = "{\"error\": \"told to fail\"}\n", .error = ""};
    return handle(request);
  };
  return Serve(service.ip, service.port, service.threads, handler) ? 0 : 1;
}

}  // namespace

int RunReviews(const Service& service) {
  Behaviour behaviour;
  const int stars = service.version == "v1" ? 4 : 5;
  return Run(service, behaviour, [&](const Request& request) -> Response {
    return {.status = 200,
            .body = "{\"version\": " + Quoted(service.version) + ", \"replica\": " +
                    Quoted(service.name) + ", \"stars\": " + std::to_string(stars) +
                    ", \"caller\": " + Quoted(CallerOf(request.headers)) + "}",
            .error = ""};
  });
}

int RunCatalog(const Service& service) {
  Behaviour behaviour;
  StockClient stock(service.mesh.empty() ? service.stock : service.mesh, "stock:9090");
  return Run(service, behaviour, [&](const Request& request) -> Response {
    const Headers trace = TraceOf(request.headers);
    const Response reviews = Call(service, service.reviews, "reviews:9080", "/reviews/1", trace);
    if (reviews.status != 200) {
      return {
          .status = 502,
          .body = "{\"error\": \"reviews\", \"status\": " + std::to_string(reviews.status) + "}",
          .error = ""};
    }
    const StockClient::Answer copies = stock.Ask("1", trace, kTimeoutMs);
    if (!copies.ok)
      return {.status = 502, .body = "{\"error\": \"stock: " + copies.error + "\"}", .error = ""};
    const auto views = Increment(service.redis_ip, service.redis_port, "views");
    if (!views.has_value()) return {.status = 502, .body = "{\"error\": \"redis\"}", .error = ""};
    return {.status = 200,
            .body = "{\"title\": \"Looms and Heddles\", \"views\": " + std::to_string(*views) +
                    ", \"caller\": " + Quoted(CallerOf(request.headers)) +
                    ", \"stock\": {\"copies\": " + std::to_string(copies.copies) +
                    ", \"caller\": " + Quoted(copies.caller) + "}, \"reviews\": " + reviews.body +
                    "}",
            .error = ""};
  });
}

int RunWeb(const Service& service) {
  Behaviour behaviour;
  StockClient stock(service.mesh.empty() ? service.stock : service.mesh, "stock:9090");
  return Run(service, behaviour, [&](const Request& request) -> Response {
    const Headers trace = TraceOf(request.headers);
    // What web should not be allowed to do: the bookshop's policy says that only catalog asks for
    // stock.
    if (request.path == "/forbidden") {
      const StockClient::Answer answer = stock.Ask("1", trace, kTimeoutMs);
      return {.status = answer.ok ? 200 : 403,
              .body = "{\"stock\": " + Quoted(answer.ok ? "answered" : answer.error) + "}",
              .error = ""};
    }
    const Response catalog = Call(service, service.catalog, "catalog:9080", "/books/1", trace);
    if (catalog.status != 200) {
      return {.status = 502,
              .body = "{\"error\": \"catalog\", \"status\": " + std::to_string(catalog.status) +
                      ", \"detail\": " +
                      Quoted(catalog.status == 0 ? catalog.error : catalog.body) + "}",
              .error = ""};
    }
    return {.status = 200, .body = "{\"catalog\": " + catalog.body + "}\n", .error = ""};
  });
}

}  // namespace bookshop
