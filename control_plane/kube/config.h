// Where an API server is and how to prove oneself to it: from inside a pod, or from a kubeconfig
// file.
//
//   HEDDLE_ASSIGN_OR_RETURN(ClusterConfig cluster, InCluster());
//   HEDDLE_ASSIGN_OR_RETURN(ClusterConfig cluster, FromKubeconfig(path, /*context=*/""));
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heddle::kube {

struct ClusterConfig {
  std::string server;           // "https://10.96.0.1:443", without a slash at the end
  std::string tls_server_name;  // empty: the host of `server`
  bool insecure = false;        // the server's certificate is not looked at
  std::string ca_pem;           // empty with `ca_file` empty: the system's roots
  std::string ca_file;          // read again every minute; replaces `ca_pem`
  std::string certificate_pem, key_pem;
  std::string token;
  std::string token_file;  // read again every minute: kubelet replaces it; replaces `token`
  std::string ns;          // the pod's own, or the context's; "default" when nothing says
};

struct InClusterPlace {
  std::string host, port;  // KUBERNETES_SERVICE_HOST and _PORT
  std::string directory = "/var/run/secrets/kubernetes.io/serviceaccount";
};
// The place that the environment names. FailedPrecondition outside a pod.
absl::StatusOr<ClusterConfig> InCluster();
absl::StatusOr<ClusterConfig> InCluster(const InClusterPlace& place);

// `context` empty: current-context. File references are read now (tokenFile later again), relative
// ones beside the file. `exec` and `auth-provider` are refused: nothing is ever run.
absl::StatusOr<ClusterConfig> FromKubeconfig(const std::string& path, absl::string_view context);
// The same of text that stands in `path`; `read` gives the files that it names.
using FileReader = std::function<absl::StatusOr<std::string>(const std::string& path)>;
absl::StatusOr<ClusterConfig> ParseKubeconfig(absl::string_view text, const std::string& path,
                                              absl::string_view context, const FileReader& read);
// $KUBECONFIG (its first file that is there), else ~/.kube/config.
std::string DefaultKubeconfigPath();

// What may stand in an Authorization header: visible ASCII, at most 16 KiB.
bool IsToken(absl::string_view text);

// The whole file, at most 4 MiB.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

}  // namespace heddle::kube
