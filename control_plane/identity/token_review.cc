#include "control_plane/identity/token_review.h"

#include <openssl/evp.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "control_plane/identity/token.h"
#include "control_plane/kube/json.h"
#include "source/base/status.h"

namespace heddle::identity {
namespace {

using kube::Json;

constexpr size_t kMaxToken = 16 << 10;
constexpr int kMaxWaiting = 16;
constexpr size_t kMaxKnown = 20000;
constexpr absl::Duration kRemember = absl::Seconds(10);
constexpr char kPodName[] = "authentication.kubernetes.io/pod-name";

std::string Sha256(absl::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr);
  return std::string(reinterpret_cast<char*>(digest), size);
}

// The "exp" of a JWT that the API server has vouched for.
absl::Time ExpiryOf(absl::string_view token, absl::Time now) {
  const std::vector<absl::string_view> parts = absl::StrSplit(token, '.');
  std::string claims;
  if (parts.size() != 3 || !absl::WebSafeBase64Unescape(parts[1], &claims))
    return now + absl::Minutes(10);
  const std::optional<Json> json = kube::ParseJson(claims);
  const std::optional<int64_t> seconds =
      json.has_value() ? kube::NumberAt(*json, {"exp"}) : std::nullopt;
  return seconds.has_value() ? absl::FromUnixSeconds(*seconds) : now + absl::Minutes(10);
}

}  // namespace

absl::StatusOr<ReviewedToken> ReadTokenReview(absl::string_view review, absl::string_view token,
                                              absl::string_view trust_domain, absl::Time now) {
  const std::optional<Json> json = kube::ParseJson(review);
  if (!json.has_value()) return absl::InternalError("TokenReview: not JSON");
  if (!kube::BoolAt(*json, {"status", "authenticated"}).value_or(false)) {
    const std::string why = kube::TextAt(*json, {"status", "error"});
    return absl::UnauthenticatedError(absl::StrCat("the API server does not vouch for the token",
                                                   why.empty() ? "" : ": ", why.substr(0, 300)));
  }
  // A server that knows nothing of audiences answers without any: then the token was made for it.
  const Json& audiences = kube::ListAt(*json, {"status", "audiences"});
  if (std::find(audiences.begin(), audiences.end(), Json(kTokenAudience)) == audiences.end())
    return absl::UnauthenticatedError(
        absl::StrCat("the token is not for the audience \"", kTokenAudience, "\""));
  const std::string user = kube::TextAt(*json, {"status", "user", "username"});
  absl::StatusOr<WorkloadId> id = WorkloadId::FromSubject(trust_domain, user);
  if (!id.ok())
    return absl::UnauthenticatedError(
        absl::StrCat("the token is \"", user.substr(0, 300), "\"'s, no service account's"));
  ReviewedToken out{.id = *std::move(id), .pod = {}, .expires = ExpiryOf(token, now)};
  const Json& pods = kube::ListAt(*json, {"status", "user", "extra", kPodName});
  if (pods.size() == 1 && pods[0].is_string()) out.pod = pods[0].get<std::string>();
  return out;
}

absl::StatusOr<ReviewedToken> TokenReviewer::Review(absl::string_view token, absl::Time now) {
  if (token.empty() || token.size() > kMaxToken)
    return absl::UnauthenticatedError("the token is empty or longer than 16 KiB");
  const std::string key = Sha256(token);
  {
    absl::MutexLock lock(&mutex_);
    const auto it = known_.find(key);
    if (it != known_.end() && now < it->second.until) return it->second.token;
    if (waiting_ >= kMaxWaiting)
      return absl::UnavailableError("too many tokens wait for the API server; try again");
    ++waiting_;
  }
  const Json request = {
      {"apiVersion", "authentication.k8s.io/v1"},
      {"kind", "TokenReview"},
      {"spec", {{"token", std::string(token)}, {"audiences", Json::array({kTokenAudience})}}}};
  const absl::StatusOr<std::string> answer =
      client_.Call({.method = "POST",
                    .path = "/apis/authentication.k8s.io/v1/tokenreviews",
                    .body = kube::Dump(request),
                    .timeout = absl::Seconds(5),
                    .max_bytes = 1 << 20});
  absl::MutexLock lock(&mutex_);
  --waiting_;
  if (!answer.ok())
    return absl::UnavailableError(absl::StrCat("TokenReview: ", answer.status().message()));
  HEDDLE_ASSIGN_OR_RETURN(ReviewedToken reviewed,
                          ReadTokenReview(*answer, token, trust_domain_, now));
  if (known_.size() >= kMaxKnown) known_.clear();
  known_[key] = {reviewed, std::min(now + kRemember, reviewed.expires)};
  return reviewed;
}

}  // namespace heddle::identity
