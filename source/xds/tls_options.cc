#include "source/xds/tls_options.h"

#include "absl/strings/str_cat.h"

namespace heddle::xds {
namespace {

tls::Version VersionOf(config::TlsVersion version) {
  switch (version) {
    case config::TlsVersion::kAuto:
      return tls::Version::kAuto;
    case config::TlsVersion::k10:
      return tls::Version::k10;
    case config::TlsVersion::k11:
      return tls::Version::k11;
    case config::TlsVersion::k12:
      return tls::Version::k12;
    case config::TlsVersion::k13:
      return tls::Version::k13;
  }
  return tls::Version::kAuto;
}

tls::SanType TypeOf(config::SanMatcher::Type type) {
  switch (type) {
    case config::SanMatcher::Type::kUri:
      return tls::SanType::kUri;
    case config::SanMatcher::Type::kDns:
      return tls::SanType::kDns;
    case config::SanMatcher::Type::kEmail:
      return tls::SanType::kEmail;
    case config::SanMatcher::Type::kIp:
      return tls::SanType::kIp;
  }
  return tls::SanType::kUri;
}

absl::string_view KindName(config::StringMatcher::Kind kind) {
  switch (kind) {
    case config::StringMatcher::Kind::kExact:
      return "exact";
    case config::StringMatcher::Kind::kPrefix:
      return "prefix";
    case config::StringMatcher::Kind::kSuffix:
      return "suffix";
    case config::StringMatcher::Kind::kContains:
      return "contains";
    case config::StringMatcher::Kind::kRegex:
      return "regex";
  }
  return "";
}

tls::SanMatcher MatcherOf(const config::SanMatcher& in) {
  tls::SanMatcher out;
  out.type = TypeOf(in.type);
  if (in.matcher.kind == config::StringMatcher::Kind::kExact && !in.matcher.ignore_case) {
    out.exact = in.matcher.text;
    return out;
  }
  out.matches = [matcher = in.matcher](absl::string_view name) { return matcher.Matches(name); };
  out.shown =
      absl::StrCat(KindName(in.matcher.kind), " ",
                   in.matcher.regex != nullptr ? in.matcher.regex->pattern() : in.matcher.text);
  return out;
}

tls::CommonOptions CommonOf(const config::CommonTls& in,
                            const std::vector<config::Certificate>& certificates,
                            const std::optional<config::Validation>& validation) {
  tls::CommonOptions out;
  out.min_version = VersionOf(in.min_version);
  out.max_version = VersionOf(in.max_version);
  out.cipher_suites = in.cipher_suites;
  out.curves = in.curves;
  out.alpn = in.alpn;
  for (const config::Certificate& certificate : certificates)
    out.certificates.push_back(ToTls(certificate));
  if (validation.has_value()) out.validation = ToTls(*validation);
  return out;
}

// Texts of any content, kept apart by their sizes.
void Append(absl::string_view text, std::string* out) {
  absl::StrAppend(out, text.size(), ":", text, ",");
}
void Append(const std::vector<std::string>& list, std::string* out) {
  absl::StrAppend(out, list.size(), "[");
  for (const std::string& item : list) Append(item, out);
}
void Append(const std::vector<config::SanMatcher>& sans, std::string* out) {
  absl::StrAppend(out, sans.size(), "[");
  for (const config::SanMatcher& san : sans) {
    absl::StrAppend(out, static_cast<int>(san.type), ",", static_cast<int>(san.matcher.kind), ",",
                    san.matcher.ignore_case ? 1 : 0, ",");
    Append(san.matcher.regex != nullptr ? san.matcher.regex->pattern() : san.matcher.text, out);
  }
}

void Append(const config::Validation& in, bool names, std::string* out) {
  Append(in.trusted_ca_pem, out);
  Append(in.crl_pem, out);
  Append(in.spki_sha256, out);
  Append(in.certificate_sha256, out);
  absl::StrAppend(out, in.max_verify_depth, ",", in.allow_expired ? 1 : 0, ",",
                  in.accept_untrusted ? 1 : 0, ",");
  if (names) Append(in.sans, out);
}

void Append(const config::CommonTls& in, bool names, std::string* out) {
  absl::StrAppend(out, static_cast<int>(in.min_version), ",", static_cast<int>(in.max_version),
                  ",");
  Append(in.cipher_suites, out);
  Append(in.curves, out);
  Append(in.alpn, out);
  absl::StrAppend(out, in.certificates.size(), "[");
  for (const config::Certificate& certificate : in.certificates) {
    Append(certificate.chain_pem, out);
    Append(certificate.key_pem, out);
  }
  absl::StrAppend(out, in.certificate_sds.size(), "[");
  for (const config::SecretSource& source : in.certificate_sds) Append(source.name, out);
  Append(in.validation_sds.name, out);
  if (in.validation.has_value()) Append(*in.validation, names, out);
}

}  // namespace

std::string Fingerprint(const config::TransportSocket& socket) {
  std::string out;
  if (socket.downstream_tls != nullptr) {
    const config::DownstreamTls& in = *socket.downstream_tls;
    absl::StrAppend(&out, "server ", in.require_client_certificate ? 1 : 0, ",",
                    in.session_tickets ? 1 : 0, ",", absl::ToInt64Milliseconds(in.session_timeout),
                    ",", in.full_scan_certs_on_sni_mismatch ? 1 : 0, ",");
    Append(in.common, true, &out);
  } else if (socket.upstream_tls != nullptr) {
    const config::UpstreamTls& in = *socket.upstream_tls;
    absl::StrAppend(&out, "client ", in.max_session_keys, ",");
    Append(in.common, false, &out);
  }
  return out;
}

tls::Certificate ToTls(const config::Certificate& certificate) {
  return {.chain_pem = certificate.chain_pem, .key_pem = certificate.key_pem};
}

tls::Validation ToTls(const config::Validation& in) {
  tls::Validation out;
  out.trusted_ca_pem = in.trusted_ca_pem;
  for (const config::SanMatcher& san : in.sans) out.sans.push_back(MatcherOf(san));
  out.spki_sha256 = in.spki_sha256;
  out.certificate_sha256 = in.certificate_sha256;
  out.crl_pem = in.crl_pem;
  out.max_verify_depth = in.max_verify_depth;
  out.allow_expired = in.allow_expired;
  out.accept_untrusted = in.accept_untrusted;
  return out;
}

tls::ServerOptions ServerOptionsOf(const config::DownstreamTls& config,
                                   const std::vector<config::Certificate>& certificates,
                                   const std::optional<config::Validation>& validation) {
  tls::ServerOptions out;
  out.common = CommonOf(config.common, certificates, validation);
  out.require_client_certificate = config.require_client_certificate;
  out.session_tickets = config.session_tickets;
  out.session_timeout = config.session_timeout;
  return out;
}

tls::ClientOptions ClientOptionsOf(const config::UpstreamTls& config,
                                   const std::vector<config::Certificate>& certificates,
                                   const std::optional<config::Validation>& validation) {
  tls::ClientOptions out;
  out.common = CommonOf(config.common, certificates, validation);
  out.sni = config.sni;
  out.max_session_keys = config.max_session_keys;
  return out;
}

}  // namespace heddle::xds
