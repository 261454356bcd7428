#include "control_plane/kube/config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "source/base/status.h"
#include "source/yaml/yaml.h"

namespace heddle::kube {
namespace {

constexpr size_t kMaxFile = 4 << 20;
constexpr size_t kMaxEntries = 10000;
constexpr size_t kMaxToken = 16 << 10;

// Entry `index` of clusters, users or contexts that is called `name`.
absl::StatusOr<std::string> FindEntry(const yaml::Document& document, absl::string_view list,
                                      absl::string_view name, const std::string& path) {
  for (size_t i = 0; i < kMaxEntries; ++i) {
    const std::string at = absl::StrCat(list, "[", i, "]");
    const absl::string_view found = document.TextAt(absl::StrCat(at, ".name"));
    if (found.empty()) break;
    if (found == name) return at;
  }
  return absl::NotFoundError(absl::StrCat(path, ": ", list, ": none is named \"", name, "\""));
}

// "<field>-data" decoded, else the file that "<field>" names, else empty.
absl::StatusOr<std::string> DataOrFile(const yaml::Document& document, const std::string& at,
                                       absl::string_view field, const std::string& path,
                                       const FileReader& read) {
  const std::string data_path = absl::StrCat(at, ".", field, "-data");
  if (const absl::string_view data = document.TextAt(data_path); !data.empty()) {
    std::string out;
    if (!absl::Base64Unescape(data, &out))
      return absl::InvalidArgumentError(absl::StrCat(path, ": ", data_path, ": not base64"));
    return out;
  }
  const absl::string_view file = document.TextAt(absl::StrCat(at, ".", field));
  if (file.empty()) return std::string();
  const std::string folder =
      path.substr(0, path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1);
  return read(file[0] == '/' ? std::string(file) : absl::StrCat(folder, file));
}

absl::Status ReadCluster(const yaml::Document& document, const std::string& at,
                         const std::string& path, const FileReader& read, ClusterConfig* out) {
  out->server = std::string(absl::StripSuffix(document.TextAt(at + ".server"), "/"));
  if (!absl::StartsWith(out->server, "https://") && !absl::StartsWith(out->server, "http://"))
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", at, ".server: \"", out->server, "\": want https://host:port"));
  out->tls_server_name = std::string(document.TextAt(at + ".tls-server-name"));
  out->insecure = document.TextAt(at + ".insecure-skip-tls-verify") == "true";
  HEDDLE_ASSIGN_OR_RETURN(out->ca_pem,
                          DataOrFile(document, at, "certificate-authority", path, read));
  if (!document.TextAt(at + ".proxy-url").empty())
    return absl::UnimplementedError(absl::StrCat(path, ": ", at, ".proxy-url: not supported"));
  return absl::OkStatus();
}

absl::Status ReadUser(const yaml::Document& document, const std::string& at,
                      const std::string& path, const FileReader& read, ClusterConfig* out) {
  for (const char* plugin : {"exec.command", "auth-provider.name"}) {
    if (document.TextAt(absl::StrCat(at, ".", plugin)).empty()) continue;
    return absl::UnimplementedError(absl::StrCat(
        path, ": ", at, ".", plugin,
        ": credential plugins are not run; use a client certificate, a token or a tokenFile, such "
        "as that of `kubectl create token`"));
  }
  if (!document.TextAt(at + ".username").empty())
    return absl::UnimplementedError(
        absl::StrCat(path, ": ", at, ".username: basic authentication is not supported"));
  HEDDLE_ASSIGN_OR_RETURN(out->certificate_pem,
                          DataOrFile(document, at, "client-certificate", path, read));
  HEDDLE_ASSIGN_OR_RETURN(out->key_pem, DataOrFile(document, at, "client-key", path, read));
  if (out->certificate_pem.empty() != out->key_pem.empty())
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": ", at, ": client-certificate and client-key belong together, one is missing"));
  out->token = std::string(document.TextAt(at + ".token"));
  out->token_file = std::string(document.TextAt(at + ".tokenFile"));
  if (!out->token.empty() && !IsToken(out->token))
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", at, ".token: want visible ASCII, at most 16 KiB"));
  return absl::OkStatus();
}

}  // namespace

bool IsToken(absl::string_view text) {
  return !text.empty() && text.size() <= kMaxToken &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const std::string why = absl::StrCat(path, ": ", std::strerror(errno));
    return errno == ENOENT ? absl::NotFoundError(why) : absl::UnavailableError(why);
  }
  std::string out;
  char chunk[16384];
  ssize_t got = 0;
  while ((got = ::read(fd, chunk, sizeof(chunk))) > 0 && out.size() <= kMaxFile)
    out.append(chunk, static_cast<size_t>(got));
  const int error = errno;
  ::close(fd);
  if (got < 0) return absl::UnavailableError(absl::StrCat(path, ": ", std::strerror(error)));
  if (out.size() > kMaxFile)
    return absl::ResourceExhaustedError(absl::StrCat(path, ": larger than 4 MiB"));
  return out;
}

absl::StatusOr<ClusterConfig> InCluster() {
  const char* host = ::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = ::getenv("KUBERNETES_SERVICE_PORT");
  return InCluster({.host = host == nullptr ? "" : host, .port = port == nullptr ? "" : port});
}

absl::StatusOr<ClusterConfig> InCluster(const InClusterPlace& place) {
  if (place.host.empty() || place.port.empty())
    return absl::FailedPreconditionError(
        "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod; give "
        "--kubeconfig FILE");
  ClusterConfig out;
  const bool v6 = absl::StrContains(place.host, ':');
  out.server = absl::StrCat("https://", v6 ? "[" : "", place.host, v6 ? "]" : "", ":", place.port);
  out.token_file = place.directory + "/token";
  out.ca_file = place.directory + "/ca.crt";
  HEDDLE_ASSIGN_OR_RETURN(out.token, ReadTextFile(out.token_file));
  HEDDLE_ASSIGN_OR_RETURN(out.ca_pem, ReadTextFile(out.ca_file));
  const absl::StatusOr<std::string> ns = ReadTextFile(place.directory + "/namespace");
  out.ns = ns.ok() ? std::string(absl::StripAsciiWhitespace(*ns)) : "default";
  return out;
}

absl::StatusOr<ClusterConfig> FromKubeconfig(const std::string& path, absl::string_view context) {
  HEDDLE_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  return ParseKubeconfig(text, path, context, &ReadTextFile);
}

absl::StatusOr<ClusterConfig> ParseKubeconfig(absl::string_view text, const std::string& path,
                                              absl::string_view context, const FileReader& read) {
  HEDDLE_ASSIGN_OR_RETURN(const std::vector<yaml::Document> documents,
                          yaml::Parse(text, {.file = path}));
  if (documents.size() != 1)
    return absl::InvalidArgumentError(absl::StrCat(path, ": want one YAML document"));
  const yaml::Document& document = documents.front();
  const std::string wanted(context.empty() ? document.Text("current-context") : context);
  if (wanted.empty())
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": current-context: required unless --context names one"));
  HEDDLE_ASSIGN_OR_RETURN(const std::string at, FindEntry(document, "contexts", wanted, path));
  HEDDLE_ASSIGN_OR_RETURN(
      const std::string cluster,
      FindEntry(document, "clusters", document.TextAt(at + ".context.cluster"), path));
  ClusterConfig out;
  HEDDLE_RETURN_IF_ERROR(ReadCluster(document, cluster + ".cluster", path, read, &out));
  if (const absl::string_view user = document.TextAt(at + ".context.user"); !user.empty()) {
    HEDDLE_ASSIGN_OR_RETURN(const std::string entry, FindEntry(document, "users", user, path));
    HEDDLE_RETURN_IF_ERROR(ReadUser(document, entry + ".user", path, read, &out));
  }
  const absl::string_view ns = document.TextAt(at + ".context.namespace");
  out.ns = ns.empty() ? "default" : std::string(ns);
  return out;
}

std::string DefaultKubeconfigPath() {
  if (const char* list = ::getenv("KUBECONFIG"); list != nullptr && *list != '\0') {
    const std::vector<std::string> paths = absl::StrSplit(list, ':', absl::SkipEmpty());
    struct stat there;
    for (const std::string& path : paths)
      if (::stat(path.c_str(), &there) == 0) return path;
    if (!paths.empty()) return paths.front();
  }
  const char* home = ::getenv("HOME");
  return absl::StrCat(home == nullptr ? "" : home, "/.kube/config");
}

}  // namespace heddle::kube
