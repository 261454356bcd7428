// A small mesh as an operator writes it, and the way from its text to a World.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "control_plane/ingest/parse.h"
#include "control_plane/model/build.h"

namespace heddle::test {

// web -> catalog -> reviews (v1 twice, v2 once), stock (gRPC), redis (TCP).
inline constexpr char kServices[] = R"(
apiVersion: v1
kind: Service
metadata: {name: web, namespace: bookshop}
spec: {selector: {app: web}, ports: [{name: http, port: 9000}]}
---
apiVersion: v1
kind: Service
metadata: {name: catalog, namespace: bookshop}
spec: {selector: {app: catalog}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: bookshop}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews-v1, namespace: bookshop}
spec: {selector: {app: reviews, version: v1}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews-v2, namespace: bookshop}
spec: {selector: {app: reviews, version: v2}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: stock, namespace: bookshop}
spec: {selector: {app: stock}, clusterIP: 10.96.0.7, ports: [{name: grpc, port: 9090}]}
---
apiVersion: v1
kind: Service
metadata: {name: redis, namespace: bookshop}
spec: {selector: {app: redis}, clusterIP: 10.96.0.8, ports: [{name: redis, port: 6379}]}
)";

inline constexpr char kWorkloads[] = R"(
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: web-a, namespace: bookshop, labels: {app: web}}
spec:
  address: 127.0.1.1
  serviceAccount: web
  ports: [{name: http, port: 9000, appPort: 19000}]
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: catalog-a, namespace: bookshop, labels: {app: catalog}}
spec:
  address: 127.0.1.2
  serviceAccount: catalog
  ports: [{name: http, port: 9080, appPort: 19080}]
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: reviews-v1-a, namespace: bookshop, labels: {app: reviews, version: v1}}
spec:
  address: 127.0.1.3
  serviceAccount: reviews
  ports: [{name: http, port: 9080, appPort: 19080}]
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: reviews-v1-b, namespace: bookshop, labels: {app: reviews, version: v1}}
spec:
  address: 127.0.1.4
  serviceAccount: reviews
  ports: [{name: http, port: 9080, appPort: 19080}]
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: reviews-v2-a, namespace: bookshop, labels: {app: reviews, version: v2}}
spec:
  address: 127.0.1.5
  serviceAccount: reviews
  ports: [{name: http, port: 9080, appPort: 19080}]
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: stock-a, namespace: bookshop, labels: {app: stock}}
spec:
  address: 127.0.1.6
  serviceAccount: stock
  ports: [{name: grpc, port: 9090, appPort: 19090}]
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: redis-a, namespace: bookshop, labels: {app: redis}}
spec:
  address: 127.0.1.7
  serviceAccount: redis
  ports: [{name: redis, port: 6379, appPort: 16379}]
)";

struct NamedText {
  std::string name;
  std::string text;
};

// Problems of parsing come first, and then there is no World.
inline model::BuildResult BuildFiles(const std::vector<NamedText>& files,
                                     const model::WorldOptions& options = {}) {
  std::vector<model::Object> objects;
  model::BuildResult result;
  for (const NamedText& file : files) {
    ingest::ParsedFile parsed = ingest::ParseFile(file.name, file.text);
    for (model::Object& object : parsed.objects) objects.push_back(std::move(object));
    for (model::Problem& problem : parsed.problems) result.problems.push_back(std::move(problem));
  }
  if (!result.problems.empty()) return result;
  return model::BuildWorld(objects, options);
}

// The bookshop with further documents.
inline model::BuildResult BuildBookshop(const std::string& more = "",
                                        const model::WorldOptions& options = {}) {
  return BuildFiles(
      {{"services.yaml", kServices}, {"workloads.yaml", kWorkloads}, {"more.yaml", more}}, options);
}

}  // namespace heddle::test
