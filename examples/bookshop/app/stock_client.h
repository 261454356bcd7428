// Asking the stock service over gRPC.
#pragma once

#include <memory>
#include <string>

#include "examples/bookshop/app/http.h"

namespace bookshop {

class StockClient {
 public:
  // Connects to `address`; `authority` is the service's name, by which a sidecar finds it.
  StockClient(const std::string& address, const std::string& authority);
  ~StockClient();

  struct Answer {
    bool ok = false;
    int copies = 0;
    std::string caller, error;  // error: "PERMISSION_DENIED: RBAC: access denied"
  };
  Answer Ask(const std::string& book, const Headers& trace, int timeout_ms) const;

 private:
  struct Stub;
  std::unique_ptr<Stub> stub_;
};

}  // namespace bookshop
