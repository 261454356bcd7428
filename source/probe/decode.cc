#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "heddle/proxy/v1/probes.pb.h"
#include "source/base/path.h"
#include "source/base/status.h"
#include "source/probe/probe.h"
#include "source/yaml/yaml.h"

namespace heddle::probe {
namespace {

namespace pb = ::heddle::proxy::v1;

// Bounds: a pod has a handful of containers with three probes each.
constexpr size_t kMaxText = 256 * 1024, kMaxProbes = 300, kMaxHeaders = 100;
constexpr uint32_t kMaxTimeout = 3600;

absl::Status Wrong(const base::Path& at, absl::string_view found, absl::string_view allowed) {
  return at.Error(absl::StrCat("found \"", found, "\", allowed ", allowed));
}

// The application's lifecycle hooks over HTTP come the same way as its probes. A hook has no
// timeout of its own: it may take until the kubelet gives it up.
bool IsHook(absl::string_view path) {
  return absl::EndsWith(path, "/poststart") || absl::EndsWith(path, "/prestop");
}

absl::Status CheckPath(const std::string& path, const base::Path& at) {
  const std::vector<absl::string_view> parts = absl::StrSplit(path, '/');
  static constexpr absl::string_view kLast[] = {"livez", "readyz", "startupz", "poststart",
                                                "prestop"};
  const bool good = parts.size() == 4 && parts[0].empty() && parts[1] == "app-health" &&
                    !parts[2].empty() &&
                    std::find(std::begin(kLast), std::end(kLast), parts[3]) != std::end(kLast);
  return good ? absl::OkStatus()
              : at.Error(absl::StrCat("allowed /app-health/<container>/ and one of ",
                                      absl::StrJoin(kLast, ", ")));
}

absl::Status SetPort(uint32_t port, const base::Path& at, Probe* out) {
  if (port == 0 || port > 65535) return Wrong(at.Field("port"), absl::StrCat(port), "1 to 65535");
  out->port = static_cast<uint16_t>(port);
  return absl::OkStatus();
}

// What may stand in a request's head: nothing that could end a line or the target.
bool Printable(absl::string_view text, bool spaces) {
  return std::all_of(text.begin(), text.end(), [spaces](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && byte != 0x7f ? true : spaces && (c == ' ' || c == '\t');
  });
}

bool Token(absl::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           absl::StrContains("!#$%&'*+-.^_`|~", absl::string_view(&c, 1));
  });
}

absl::Status DecodeHttp(const pb::HttpGet& in, const base::Path& at, Probe* out) {
  out->kind = Probe::Kind::kHttp;
  HEDDLE_RETURN_IF_ERROR(SetPort(in.port(), at, out));
  if (!Printable(in.path(), false))
    return Wrong(at.Field("path"), absl::CHexEscape(in.path()), "no spaces and control characters");
  // A kubelet takes a path without its slash, too.
  out->path = absl::StrCat(absl::StartsWith(in.path(), "/") ? "" : "/", in.path());
  if (!in.scheme().empty() && in.scheme() != "HTTP" && in.scheme() != "HTTPS")
    return Wrong(at.Field("scheme"), in.scheme(), "HTTP, HTTPS");
  out->tls = in.scheme() == "HTTPS";
  const base::Path headers = at.Field("httpHeaders");
  if (in.http_headers_size() > static_cast<int>(kMaxHeaders))
    return headers.Error(absl::StrCat("more than ", kMaxHeaders));
  for (int i = 0; i < in.http_headers_size(); ++i) {
    const base::Path one = headers.Index(static_cast<size_t>(i));
    const pb::HttpHeader& header = in.http_headers(i);
    if (!Token(header.name()))
      return Wrong(one.Field("name"), absl::CHexEscape(header.name()), "the name of a header");
    if (!Printable(header.value(), true))
      return Wrong(one.Field("value"), absl::CHexEscape(header.value()), "no control characters");
    std::string name = absl::AsciiStrToLower(header.name());
    if (name == "host") {
      out->host = header.value();
    } else {
      out->headers.emplace_back(std::move(name), header.value());
    }
  }
  return absl::OkStatus();
}

absl::Status DecodeOne(const pb::AppProbe& in, const base::Path& at, Probe* out) {
  if (in.has_http_get() + in.has_tcp_socket() + in.has_grpc() != 1)
    return at.Error("allowed exactly one of httpGet, tcpSocket, grpc");
  if (in.timeout_seconds() > kMaxTimeout) {
    return Wrong(at.Field("timeoutSeconds"), absl::StrCat(in.timeout_seconds()),
                 absl::StrCat("1 to ", kMaxTimeout));
  }
  if (in.timeout_seconds() != 0) out->timeout = absl::Seconds(in.timeout_seconds());
  if (in.has_http_get()) return DecodeHttp(in.http_get(), at.Field("httpGet"), out);
  if (in.has_tcp_socket()) {
    out->kind = Probe::Kind::kTcp;
    return SetPort(in.tcp_socket().port(), at.Field("tcpSocket"), out);
  }
  out->kind = Probe::Kind::kGrpc;
  out->service = in.grpc().service();
  return SetPort(in.grpc().port(), at.Field("grpc"), out);
}

}  // namespace

absl::StatusOr<Probes> DecodeProbes(absl::string_view text) {
  Probes out;
  if (text.empty()) return out;
  pb::AppProbes in;
  const yaml::Options options{.file = kProbesVariable, .max_bytes = kMaxText};
  HEDDLE_RETURN_IF_ERROR(yaml::Decode(absl::StrCat("{\"probes\": ", text, "}"), &in, options));
  const base::Path root(kProbesVariable);
  if (in.probes().size() > kMaxProbes)
    return root.Error(absl::StrCat("more than ", kMaxProbes, " probes"));
  for (const auto& [path, probe] : in.probes()) {
    const base::Path at = root.Key(path);
    HEDDLE_RETURN_IF_ERROR(CheckPath(path, at));
    if (IsHook(path)) out[path].timeout = absl::Seconds(kMaxTimeout);
    HEDDLE_RETURN_IF_ERROR(DecodeOne(probe, at, &out[path]));
  }
  return out;
}

}  // namespace heddle::probe
