// A steady load on the bookshop, counting what callers see.
#pragma once

#include <string>

namespace bookshop {

struct Load {
  std::string url = "http://127.0.1.1:9000/books/1";
  std::string host = "web:9000";
  int connections = 4;
  int rate = 100;      // requests a second, all connections together
  double seconds = 5;  // ends earlier on SIGTERM
};

// Prints one JSON object: requests, failed, status counts, p50_us, p99_us, versions of reviews
// seen, first failure. Returns 0 whatever the answers were.
int RunLoad(const Load& load);

}  // namespace bookshop
