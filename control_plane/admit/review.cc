#include "control_plane/admit/review.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control_plane/ingest/parse.h"
#include "control_plane/inject/inject.h"
#include "control_plane/inject/patch.h"
#include "control_plane/model/check_object.h"

namespace heddle::admit {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 100;
constexpr size_t kMaxWarnings = 20;
constexpr char kFile[] = "admission";  // how the object under review is called among all objects

// Parsing keeps a stack of its own, but printing and comparing use ours.
bool IsTooDeep(absl::string_view json) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

const Json& At(const Json& object, const char* key) {
  static const Json& null = *new Json;
  if (!object.is_object()) return null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

std::string Text(const Json& object, const char* key) {
  const Json& value = At(object, key);
  return value.is_string() ? value.get<std::string>() : "";
}

std::string Print(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// "text/json; charset=utf-8" is not, "application/json; charset=utf-8" is.
bool IsJson(absl::string_view content_type) {
  return absl::EqualsIgnoreCase(
      absl::StripAsciiWhitespace(content_type.substr(0, content_type.find(';'))),
      "application/json");
}

Injection::Object About(const Json& pod, const std::string& name) {
  for (const Json& owner : At(At(pod, "metadata"), "ownerReferences")) {
    if (At(owner, "controller") != true) continue;
    return {.api_version = Text(owner, "apiVersion"),
            .kind = Text(owner, "kind"),
            .name = Text(owner, "name"),
            .uid = Text(owner, "uid")};
  }
  return {.api_version = "v1", .kind = "Pod", .name = name, .uid = ""};
}

// "BackendPolicy shop/web" by its protobuf, for finding the same object among others.
std::string Identity(const model::Object& object) {
  const google::protobuf::Message& body = *object.body;
  const auto* field = body.GetDescriptor()->FindFieldByName("metadata");
  if (field == nullptr) return "";
  const google::protobuf::Message& meta = body.GetReflection()->GetMessage(body, field);
  const auto text = [&](const char* name) -> std::string {
    const auto* of = meta.GetDescriptor()->FindFieldByName(name);
    return of == nullptr ? "" : meta.GetReflection()->GetString(meta, of);
  };
  return absl::StrCat(model::KindName(object.kind), " ", text("namespace"), "/", text("name"));
}

std::string Shown(const model::Problem& problem) {
  return problem.path.empty() ? problem.message : absl::StrCat(problem.path, ": ", problem.message);
}

bool IsPod(const Json& request) {
  const Json& kind = At(request, "kind");
  return Text(kind, "group").empty() && Text(kind, "kind") == "Pod" &&
         Text(request, "operation") == "CREATE" && Text(request, "subResource").empty();
}

}  // namespace

// What one review says and is answered.
struct Reviewer::Parts {
  const Json& request;
  Json response;
  std::vector<std::string> warnings;

  void Refuse(const std::string& message) {
    response["allowed"] = false;
    response["status"] = {{"code", 422}, {"reason", "Invalid"}, {"message", message}};
  }
};

absl::string_view Injection::EventReason() const {
  switch (verdict) {
    case inject::Verdict::kInject:
      return "Injected";
    case inject::Verdict::kSkip:
      return "NotInjected";
    case inject::Verdict::kRefuse:
      return "InjectionRefused";
  }
  return "";
}

Reviewer::Reviewer(inject::Settings settings, ReviewSource source)
    : source_(std::move(source)),
      settings_(std::make_shared<const inject::Settings>(std::move(settings))) {}

void Reviewer::SetSettings(inject::Settings settings) {
  auto fresh = std::make_shared<const inject::Settings>(std::move(settings));
  absl::MutexLock lock(&mutex_);
  settings_ = std::move(fresh);
}

void Reviewer::Count(const std::string& metric, const std::string& labels) {
  absl::MutexLock lock(&mutex_);
  ++counts_[{metric, labels}];
}

void Reviewer::Inject(absl::string_view path, Parts* parts) {
  if (!IsPod(parts->request)) return;
  std::shared_ptr<const inject::Settings> settings;
  {
    absl::MutexLock lock(&mutex_);
    settings = settings_;
  }
  const Json& pod = At(parts->request, "object");
  inject::Namespace ns{.name = Text(parts->request, "namespace"), .labels = {}};
  // By the other two paths the API server has looked at the label, which may be newer than ours.
  if (path == "/inject/namespace") {
    ns.labels[inject::kInjectLabel] = "enabled";
  } else if (path == "/inject" && source_.namespace_labels) {
    ns.labels = source_.namespace_labels(ns.name).value_or(ns.labels);
  }
  inject::Decision decision = inject::Decide(pod, ns, *settings);
  Json after = pod;
  if (decision.verdict == inject::Verdict::kInject) {
    if (const absl::Status status = inject::Inject(*settings, &after, &parts->warnings);
        !status.ok())
      decision = {inject::Verdict::kRefuse, "bad-pod", std::string(status.message())};
  }
  // Asked again about a pod that is as it should be: said already.
  const bool again = decision.verdict == inject::Verdict::kInject && after == pod;
  const char* outcome = "skipped";
  if (decision.verdict == inject::Verdict::kRefuse) {
    outcome = "refused";
    parts->Refuse(absl::StrCat(decision.message, " (heddle.dev: docs/injection.md)"));
  } else if (decision.verdict == inject::Verdict::kInject) {
    outcome = again ? "unchanged" : "injected";
    if (!again) {
      parts->response["patchType"] = "JSONPatch";
      parts->response["patch"] = absl::Base64Escape(Print(inject::Diff(pod, after)));
    }
  }
  parts->response["auditAnnotations"] = {
      {"injection", absl::StrCat(outcome, ": ", decision.message)}};
  Count("heddle_injections_total",
        absl::StrCat("outcome=\"", outcome, "\",reason=\"", decision.reason, "\""));
  if (again || !source_.on_injection || At(parts->request, "dryRun") == true) return;
  Injection said{.verdict = decision.verdict,
                 .reason = std::string(decision.reason),
                 .message = decision.message,
                 .ns = ns.name,
                 .pod = Text(At(pod, "metadata"), "name"),
                 .about = {}};
  if (said.pod.empty()) said.pod = Text(At(pod, "metadata"), "generateName");
  if (!parts->warnings.empty())
    absl::StrAppend(&said.message, "; ", absl::StrJoin(parts->warnings, "; "));
  said.about = About(pod, said.pod);
  source_.on_injection(said);
}

std::vector<std::string> Reviewer::UnresolvedReferences(const model::Object& object) const {
  std::vector<model::Object> all = source_.objects();
  const std::string identity = Identity(object);
  std::erase_if(all, [&](const model::Object& one) {
    return one.kind == object.kind && Identity(one) == identity;
  });
  all.push_back(object);
  std::vector<std::string> out;
  for (const model::Problem& problem : model::BuildWorld(all, source_.world).problems)
    if (problem.file == kFile) out.push_back(Shown(problem));
  return out;
}

void Reviewer::Validate(Parts* parts) {
  Json object = At(parts->request, "object");
  // There is none when something is deleted.
  if (!object.is_object() || !absl::StartsWith(Text(object, "apiVersion"), "heddle.dev/")) return;
  object.erase("status");
  if (object.contains("metadata") && object["metadata"].is_object())
    object["metadata"].erase("managedFields");
  ingest::ParsedFile file = ingest::ParseFile(kFile, Print(object));
  std::vector<model::Problem> problems = std::move(file.problems);
  if (problems.empty() && file.objects.size() == 1)
    problems = model::CheckObject(file.objects[0], source_.world);
  std::vector<std::string> errors;
  for (const model::Problem& problem : problems)
    (problem.severity == model::Severity::kError ? errors : parts->warnings)
        .push_back(Shown(problem));
  if (!errors.empty()) {
    parts->Refuse(absl::StrJoin(errors, "; "));
  } else if (source_.objects && file.objects.size() == 1) {
    parts->warnings = UnresolvedReferences(file.objects[0]);
  }
  Count("heddle_validations_total", absl::StrCat("outcome=\"",
                                                 !errors.empty()            ? "refused"
                                                 : !parts->warnings.empty() ? "warned"
                                                                            : "allowed",
                                                 "\""));
}

Answer Reviewer::Review(absl::string_view path, absl::string_view content_type,
                        absl::string_view body) {
  const auto fail = [&](int code, absl::string_view why) {
    Count("heddle_admission_errors_total", absl::StrCat("code=\"", code, "\""));
    return Answer{.code = code, .body = absl::StrCat(why, "\n")};
  };
  const bool pods = path == "/inject" || path == "/inject/namespace" || path == "/inject/pod";
  if (!pods && path != "/validate")
    return fail(404, "no such path; there are /inject, /inject/namespace, /inject/pod, /validate");
  if (!IsJson(content_type)) return fail(415, "content-type: want application/json");
  if (IsTooDeep(body)) return fail(400, absl::StrCat("JSON nested more than ", kMaxDepth, " deep"));
  const Json review = Json::parse(body.begin(), body.end(), nullptr, false);
  if (review.is_discarded()) return fail(400, "not JSON");
  if (Text(review, "apiVersion") != "admission.k8s.io/v1" ||
      Text(review, "kind") != "AdmissionReview")
    return fail(400, "want an AdmissionReview of admission.k8s.io/v1");
  const Json& request = At(review, "request");
  const std::string uid = Text(request, "uid");
  if (uid.empty() || uid.size() > 200) return fail(400, "request.uid: required");
  Parts parts{.request = request, .response = {{"uid", uid}, {"allowed", true}}, .warnings = {}};
  if (pods) {
    Inject(path, &parts);
  } else {
    Validate(&parts);
  }
  if (parts.warnings.size() > kMaxWarnings) {
    parts.warnings.resize(kMaxWarnings);
    parts.warnings.back() = "more warnings were left out";
  }
  for (std::string& warning : parts.warnings)
    warning = absl::StrCat("heddle: ", warning.substr(0, 250));
  if (!parts.warnings.empty()) parts.response["warnings"] = parts.warnings;
  return {.code = 200,
          .body = Print({{"apiVersion", "admission.k8s.io/v1"},
                         {"kind", "AdmissionReview"},
                         {"response", std::move(parts.response)}})};
}

std::string Reviewer::Metrics() const {
  absl::MutexLock lock(&mutex_);
  std::string out;
  std::string last;
  for (const auto& [key, count] : counts_) {
    if (key.first != last) absl::StrAppend(&out, "# TYPE ", key.first, " counter\n");
    last = key.first;
    absl::StrAppend(&out, key.first, "{", key.second, "} ", count, "\n");
  }
  return out;
}

}  // namespace heddle::admit
