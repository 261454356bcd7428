#include "source/xds/identity.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "istio/v1/auth/ca.pb.h"
#include "source/base/log.h"
#include "source/base/status.h"
#include "source/tls/certificate.h"
#include "source/tls/csr.h"
#include "source/xds/tls_options.h"

namespace heddle::xds {
namespace {

constexpr char kPath[] = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
constexpr char kFile[] = "identity.pem";
// Stands between the parts of the stored file; PEM parsers skip it.
constexpr char kRootsMark[] = "# roots\n";
constexpr char kKeyMark[] = "# key\n";

absl::StatusOr<WorkloadCertificate> Read(std::string chain, std::string key, std::string roots) {
  WorkloadCertificate out;
  out.certificate = {.chain_pem = std::move(chain), .key_pem = std::move(key)};
  out.roots_pem = std::move(roots);
  HEDDLE_ASSIGN_OR_RETURN(const tls::CertificateInfo leaf,
                          tls::CheckCertificate(ToTls(out.certificate)));
  out.not_before = leaf.not_before;
  out.not_after = leaf.not_after;
  return out;
}

}  // namespace

Identity::Identity(event::Loop& loop, base::Random& random, const base::Clock& clock,
                   Options options, const LastGood& store, OnCertificate on_certificate)
    : loop_(loop),
      random_(random),
      clock_(clock),
      options_(std::move(options)),
      store_(store),
      on_certificate_(std::move(on_certificate)),
      timer_(loop, [this] { Request(); }) {}

Identity::~Identity() = default;

void Identity::Start() {
  absl::StatusOr<WorkloadCertificate> stored = Load();
  if (stored.ok() && stored->not_after > clock_.WallNow()) {
    HEDDLE_LOG(kInfo, "identity") << "using the stored certificate of " << options_.uri
                                  << ", valid until "
                                  << absl::FormatTime(absl::RFC3339_sec, stored->not_after,
                                                      absl::UTCTimeZone());
    current_ = *std::move(stored);
    on_certificate_(*current_);
    Schedule();
    return;
  }
  Request();
}

absl::StatusOr<WorkloadCertificate> Identity::Load() const {
  HEDDLE_ASSIGN_OR_RETURN(const std::string text, store_.ReadFile(kFile));
  const size_t roots = text.find(kRootsMark), key = text.find(kKeyMark);
  if (roots == std::string::npos || key == std::string::npos || roots > key) {
    return absl::DataLossError("identity.pem is broken");
  }
  return Read(
      text.substr(0, roots), text.substr(key + sizeof(kKeyMark) - 1),
      text.substr(roots + (sizeof(kRootsMark) - 1), key - roots - (sizeof(kRootsMark) - 1)));
}

void Identity::Renew() {
  if (!pending_key_.empty()) {
    again_ = true;
    return;
  }
  timer_.Stop();
  Request();
}

void Identity::Request() {
  const bool usable =
      current_.has_value() && current_->not_after > clock_.WallNow() && !prefer_token_;
  by_certificate_ = usable;
  absl::StatusOr<http::grpc::Client::Options> target =
      options_.connect(usable ? &*current_ : nullptr);
  if (!target.ok()) return Fail(target.status().message());
  absl::StatusOr<tls::KeyAndCsr> made =
      tls::MakeKeyAndCsr({.uri_sans = {options_.uri}, .dns_sans = {}, .common_name = ""});
  if (!made.ok()) return Fail(made.status().message());
  http::grpc::CallOptions call{.path = kPath, .metadata = {}, .timeout = absl::Seconds(10)};
  if (!usable) {
    std::ifstream file(options_.token_file, std::ios::binary);
    const std::string token{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (!file)
      return Fail(absl::StrCat("cannot read the join token in \"", options_.token_file,
                               "\"; make one with heddlectl token"));
    call.metadata.emplace_back("authorization",
                               absl::StrCat("Bearer ", absl::StripAsciiWhitespace(token)));
  }
  istio::v1::auth::IstioCertificateRequest request;
  request.set_csr(made->csr_pem);
  request.set_validity_duration(absl::ToInt64Seconds(options_.lifetime));
  pending_key_ = std::move(made->key_pem);
  client_ = http::grpc::Client::Connect(loop_, *target, this);
  client_->Unary(call, request.SerializeAsString(),
                 [this](const http::grpc::Status& status, const std::string& reply) {
                   OnReply(status, reply);
                 });
}

void Identity::OnReply(const http::grpc::Status& status, const std::string& reply) {
  if (client_ != nullptr) loop_.Destroy(std::move(client_));
  if (!status.ok()) {
    return Fail(absl::StrCat(http::grpc::CodeName(status.code), ": ", status.message));
  }
  if (const absl::Status installed = Install(reply); !installed.ok())
    return Fail(installed.message());
  failed_in_row_ = 0;
  prefer_token_ = false;
  ++renewals_;
  HEDDLE_LOG(kInfo, "identity") << "new certificate for " << options_.uri << ", valid until "
                                << absl::FormatTime(absl::RFC3339_sec, current_->not_after,
                                                    absl::UTCTimeZone());
  on_certificate_(*current_);
  if (again_) {
    again_ = false;
    return Request();
  }
  Schedule();
}

absl::Status Identity::Install(const std::string& reply) {
  istio::v1::auth::IstioCertificateResponse response;
  if (!response.ParseFromString(reply))
    return absl::InvalidArgumentError("the answer is no IstioCertificateResponse");
  if (response.cert_chain_size() < 2)
    return absl::InvalidArgumentError("the answer holds no leaf and root certificate");
  std::string chain;
  for (int i = 0; i + 1 < response.cert_chain_size(); ++i)
    absl::StrAppend(&chain, response.cert_chain(i), "\n");
  const std::string roots = response.cert_chain(response.cert_chain_size() - 1);
  HEDDLE_ASSIGN_OR_RETURN(WorkloadCertificate fresh, Read(chain, std::move(pending_key_), roots));
  pending_key_.clear();
  current_ = std::move(fresh);
  const absl::Status saved = store_.WriteFile(
      kFile, absl::StrCat(chain, kRootsMark, roots, kKeyMark, current_->certificate.key_pem));
  if (!saved.ok())
    HEDDLE_LOG(kWarning, "identity") << saved.message() << "; a restart will need a join token";
  return absl::OkStatus();
}

void Identity::OnClosed(absl::string_view) {
  // Unary's own callback has said why already.
  if (client_ != nullptr) loop_.Destroy(std::move(client_));
}

void Identity::Fail(absl::string_view why) {
  pending_key_.clear();
  ++failures_;
  prefer_token_ = by_certificate_ && !options_.token_file.empty();
  const absl::Duration ceiling =
      std::min(absl::Milliseconds(250) * (1 << std::min(failed_in_row_++, 8u)), absl::Minutes(1));
  const absl::Duration after =
      ceiling / 2 + absl::Microseconds(static_cast<int64_t>(random_.Below(
                        static_cast<uint64_t>(absl::ToInt64Microseconds(ceiling / 2) + 1))));
  if (failed_in_row_ <= 2 || failed_in_row_ % 20 == 0) {
    HEDDLE_LOG(kWarning, "identity")
        << "no certificate from the control plane: " << why << "; trying again in " << after;
  }
  timer_.Start(after);
}

// Half of the life, give or take a tenth of it: a mesh whose proxies started together must not
// renew together.
void Identity::Schedule() {
  const absl::Duration life = current_->not_after - current_->not_before;
  const absl::Duration jitter =
      life * (static_cast<double>(random_.Below(1001)) / 1000.0 - 0.5) * 0.2;
  const absl::Time at = current_->not_before + life / 2 + jitter;
  timer_.Start(std::max(at - clock_.WallNow(), absl::Seconds(1)));
}

}  // namespace heddle::xds
