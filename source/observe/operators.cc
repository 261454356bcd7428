// The access log's operators, one table. To add one: a function that fills a Value, and a line in
// kOperators.
#include <algorithm>
#include <array>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "source/base/status.h"
#include "source/observe/flags.h"
#include "source/observe/format.h"

namespace heddle::observe {
namespace {

void Put(absl::string_view text, Value* out) {
  if (text.empty()) return;
  out->text.assign(text.data(), text.size());
  out->present = true;
}

// One word for a log whose fields are kept apart by spaces.
void PutWord(absl::string_view text, Value* out) {
  Put(text, out);
  std::replace(out->text.begin(), out->text.end(), ' ', '_');
}

void PutNumber(int64_t number, Value* out) {
  out->text = absl::StrCat(number);
  out->present = out->number = true;
}

// Milliseconds from a to b, absent when either did not happen.
void PutSpan(base::Micros from, base::Micros to, Value* out) {
  if (from == 0 || to == 0) return;
  PutNumber(std::max<base::Micros>(to - from, 0) / 1000, out);
}

absl::string_view RequestField(const http::RequestHead& head, absl::string_view name) {
  if (name == ":method") return head.method;
  if (name == ":path") return head.path;
  if (name == ":authority" || name == "host") return head.authority;
  if (name == ":scheme") return head.scheme;
  return head.headers.Get(name).value_or("");
}

void Request(const Operator& op, const AccessRecord& r, Value* out) {
  if (r.request == nullptr) return;
  Put(RequestField(*r.request, op.name), out);
  if (!out->present && !op.alternative.empty()) Put(RequestField(*r.request, op.alternative), out);
}

absl::string_view FieldOf(const http::Headers* headers, absl::string_view name) {
  return headers == nullptr ? absl::string_view() : headers->Get(name).value_or("");
}

void Response(const Operator& op, const AccessRecord& r, Value* out) {
  if (r.response == nullptr) return;
  if (op.name == ":status") return PutNumber(r.response->status, out);
  Put(FieldOf(&r.response->headers, op.name), out);
  if (!out->present && !op.alternative.empty())
    Put(FieldOf(&r.response->headers, op.alternative), out);
}

void Trailer(const Operator& op, const AccessRecord& r, Value* out) {
  Put(FieldOf(r.response_trailers, op.name), out);
  if (!out->present && !op.alternative.empty())
    Put(FieldOf(r.response_trailers, op.alternative), out);
}

void StartTime(const Operator& op, const AccessRecord& r, Value* out) {
  out->present = true;
  if (op.format == "%s") {
    out->text = absl::StrCat(absl::ToUnixSeconds(r.start));
  } else if (op.format.empty()) {
    out->text = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", r.start, absl::UTCTimeZone());
  } else {
    // strftime, with Envoy's %3f and %6f fractions written as Abseil's %E3f.
    std::string format = op.format;
    for (const char* digits : {"1", "2", "3", "4", "5", "6", "7", "8", "9"}) {
      const std::string from = absl::StrCat("%", digits, "f");
      for (size_t at; (at = format.find(from)) != std::string::npos;) {
        format.replace(at, from.size(), absl::StrCat("%E", digits, "f"));
      }
    }
    out->text = absl::FormatTime(format, r.start, absl::UTCTimeZone());
  }
}

void Grpc(const Operator& op, const AccessRecord& r, Value* out) {
  static constexpr std::array<absl::string_view, 17> kNames = {
      "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
      "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
      "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
      "DataLoss", "Unauthenticated"};
  if (r.grpc_status < 0) return;
  const bool named = r.grpc_status < static_cast<int>(kNames.size());
  if (op.format == "NUMBER" || !named) return PutNumber(r.grpc_status, out);
  Put(kNames[r.grpc_status], out);
}

void PutList(const std::vector<std::string>& values, Value* out) {
  Put(absl::StrJoin(values, ","), out);
}

void Protocol(const Operator&, const AccessRecord& r, Value* out) {
  if (r.request != nullptr) Put(http::ProtocolName(r.protocol), out);
}

void AddressText(const net::Address& address, Value* out) {
  if (address.family() != AF_UNSPEC) Put(address.ToString(), out);
}

void AddressIp(const net::Address& address, Value* out) {
  if (address.family() == AF_UNSPEC) return;
  Put(address.is_ip() ? address.ip() : address.ToString(), out);
}

void Metadata(const Operator& op, const AccessRecord& r, Value* out) {
  const auto name_space = r.metadata.find(op.name);
  if (name_space == r.metadata.end()) return;
  const auto value = name_space->second.find(op.alternative);
  if (value != name_space->second.end()) Put(value->second, out);
}

struct Row {
  absl::string_view name;
  Evaluate evaluate;
  enum Arguments : uint8_t { kNone, kHeader, kFormat, kMetadata } arguments;
};

#define FIELD(expression) [](const Operator&, const AccessRecord& r, Value* out) { expression; }

constexpr Row kOperators[] = {
    {"REQ", Request, Row::kHeader},
    {"RESP", Response, Row::kHeader},
    {"TRAILER", Trailer, Row::kHeader},
    {"START_TIME", StartTime, Row::kFormat},
    {"PROTOCOL", Protocol, Row::kNone},
    {"RESPONSE_CODE", FIELD(PutNumber(r.status, out)), Row::kNone},
    {"RESPONSE_CODE_DETAILS", FIELD(Put(r.details, out)), Row::kNone},
    {"RESPONSE_FLAGS", FIELD(Put(FlagsText(r.flags), out)), Row::kNone},
    {"RESPONSE_FLAGS_LONG", FIELD(Put(LongFlagsText(r.flags), out)), Row::kNone},
    {"CONNECTION_TERMINATION_DETAILS", FIELD(Put(r.termination_details, out)), Row::kNone},
    {"GRPC_STATUS", Grpc, Row::kFormat},
    {"GRPC_STATUS_NUMBER", FIELD(if (r.grpc_status >= 0) PutNumber(r.grpc_status, out)),
     Row::kNone},
    {"BYTES_RECEIVED", FIELD(PutNumber(static_cast<int64_t>(r.bytes_received), out)), Row::kNone},
    {"BYTES_SENT", FIELD(PutNumber(static_cast<int64_t>(r.bytes_sent), out)), Row::kNone},
    {"UPSTREAM_WIRE_BYTES_SENT",
     FIELD(PutNumber(static_cast<int64_t>(r.upstream_wire_bytes_sent), out)), Row::kNone},
    {"UPSTREAM_WIRE_BYTES_RECEIVED",
     FIELD(PutNumber(static_cast<int64_t>(r.upstream_wire_bytes_received), out)), Row::kNone},
    {"DURATION", FIELD(PutSpan(r.started, r.finished, out)), Row::kNone},
    {"REQUEST_DURATION", FIELD(PutSpan(r.started, r.request_received, out)), Row::kNone},
    {"REQUEST_TX_DURATION", FIELD(PutSpan(r.started, r.upstream_sent_last, out)), Row::kNone},
    {"RESPONSE_DURATION", FIELD(PutSpan(r.started, r.upstream_head, out)), Row::kNone},
    {"RESPONSE_TX_DURATION", FIELD(PutSpan(r.upstream_head, r.response_sent_last, out)),
     Row::kNone},
    {"UPSTREAM_HOST", FIELD(AddressText(r.upstream_remote, out)), Row::kNone},
    {"UPSTREAM_REMOTE_ADDRESS", FIELD(AddressText(r.upstream_remote, out)), Row::kNone},
    {"UPSTREAM_LOCAL_ADDRESS", FIELD(AddressText(r.upstream_local, out)), Row::kNone},
    {"UPSTREAM_CLUSTER", FIELD(Put(r.cluster, out)), Row::kNone},
    {"UPSTREAM_CLUSTER_RAW", FIELD(Put(r.cluster, out)), Row::kNone},
    {"UPSTREAM_REQUEST_ATTEMPT_COUNT", FIELD(PutNumber(r.attempts, out)), Row::kNone},
    {"UPSTREAM_TRANSPORT_FAILURE_REASON", FIELD(PutWord(r.upstream_failure, out)), Row::kNone},
    {"UPSTREAM_PEER_URI_SAN", FIELD(if (r.upstream_tls) PutList(r.upstream_tls->uri_sans, out)),
     Row::kNone},
    {"UPSTREAM_TLS_VERSION", FIELD(if (r.upstream_tls) Put(r.upstream_tls->tls_version, out)),
     Row::kNone},
    {"UPSTREAM_TLS_CIPHER", FIELD(if (r.upstream_tls) Put(r.upstream_tls->cipher, out)),
     Row::kNone},
    {"DOWNSTREAM_REMOTE_ADDRESS", FIELD(AddressText(r.downstream_remote, out)), Row::kNone},
    {"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", FIELD(AddressIp(r.downstream_remote, out)),
     Row::kNone},
    {"DOWNSTREAM_REMOTE_PORT", FIELD(PutNumber(r.downstream_remote.port(), out)), Row::kNone},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS", FIELD(AddressText(r.downstream_direct_remote, out)),
     Row::kNone},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
     FIELD(AddressIp(r.downstream_direct_remote, out)), Row::kNone},
    {"DOWNSTREAM_LOCAL_ADDRESS", FIELD(AddressText(r.downstream_local, out)), Row::kNone},
    {"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", FIELD(AddressIp(r.downstream_local, out)),
     Row::kNone},
    {"DOWNSTREAM_LOCAL_PORT", FIELD(PutNumber(r.downstream_local.port(), out)), Row::kNone},
    {"DOWNSTREAM_PEER_URI_SAN",
     FIELD(if (r.downstream_tls) PutList(r.downstream_tls->uri_sans, out)), Row::kNone},
    {"DOWNSTREAM_PEER_DNS_SAN",
     FIELD(if (r.downstream_tls) PutList(r.downstream_tls->dns_sans, out)), Row::kNone},
    {"DOWNSTREAM_LOCAL_URI_SAN",
     FIELD(if (r.downstream_tls) PutList(r.downstream_tls->local_uri_sans, out)), Row::kNone},
    {"DOWNSTREAM_PEER_SUBJECT", FIELD(if (r.downstream_tls) Put(r.downstream_tls->subject, out)),
     Row::kNone},
    {"DOWNSTREAM_PEER_FINGERPRINT_256",
     FIELD(if (r.downstream_tls) Put(r.downstream_tls->certificate_sha256, out)), Row::kNone},
    {"DOWNSTREAM_TLS_VERSION", FIELD(if (r.downstream_tls) Put(r.downstream_tls->tls_version, out)),
     Row::kNone},
    {"DOWNSTREAM_TLS_CIPHER", FIELD(if (r.downstream_tls) Put(r.downstream_tls->cipher, out)),
     Row::kNone},
    {"REQUESTED_SERVER_NAME", FIELD(if (r.downstream_tls) Put(r.downstream_tls->sni, out)),
     Row::kNone},
    {"CONNECTION_ID", FIELD(PutNumber(static_cast<int64_t>(r.connection_id), out)), Row::kNone},
    {"ROUTE_NAME", FIELD(Put(r.route, out)), Row::kNone},
    {"VIRTUAL_CLUSTER_NAME", FIELD((void)r; (void)out), Row::kNone},
    {"FILTER_CHAIN_NAME", FIELD(Put(r.filter_chain, out)), Row::kNone},
    {"TRACE_ID", FIELD(Put(r.trace_id, out)), Row::kNone},
    {"SPAN_ID", FIELD(Put(r.span_id, out)), Row::kNone},
    {"DYNAMIC_METADATA", Metadata, Row::kMetadata},
};
#undef FIELD

const Row* FindRow(absl::string_view name) {
  for (const Row& row : kOperators) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

absl::Status ParseArguments(const Row& row, absl::string_view arguments, Operator* op) {
  switch (row.arguments) {
    case Row::kNone:
      return absl::InvalidArgumentError(absl::StrCat("%", row.name, "% takes no arguments"));
    case Row::kFormat:
      op->format = std::string(arguments);
      return absl::OkStatus();
    case Row::kMetadata: {
      const std::pair<absl::string_view, absl::string_view> parts =
          absl::StrSplit(arguments, absl::MaxSplits(':', 1));
      op->name = std::string(parts.first);
      op->alternative = std::string(parts.second);
      return absl::OkStatus();
    }
    case Row::kHeader: {
      const std::pair<absl::string_view, absl::string_view> parts =
          absl::StrSplit(arguments, absl::MaxSplits('?', 1));
      if (parts.first.empty())
        return absl::InvalidArgumentError(absl::StrCat("%", row.name, "% needs a header name"));
      op->name = absl::AsciiStrToLower(parts.first);
      op->alternative = absl::AsciiStrToLower(parts.second);
      return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

// `text` is what stands behind a '%'. On success *used counts up to and with the closing '%'.
absl::StatusOr<Operator> ParseOne(absl::string_view text, size_t* used) {
  size_t i = 0;
  while (i < text.size() &&
         (absl::ascii_isupper(text[i]) || absl::ascii_isdigit(text[i]) || text[i] == '_'))
    ++i;
  const absl::string_view name = text.substr(0, i);
  const Row* row = FindRow(name);
  if (row == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "unknown operator \"%", name, "%\"; the operators are listed in docs/operating.md"));
  }
  Operator op;
  op.evaluate = row->evaluate;
  if (i < text.size() && text[i] == '(') {
    const size_t close = text.find(')', i);
    if (close == absl::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrCat("%", name, "(: no closing parenthesis"));
    }
    HEDDLE_RETURN_IF_ERROR(ParseArguments(*row, text.substr(i + 1, close - i - 1), &op));
    i = close + 1;
  } else if (row->arguments == Row::kHeader || row->arguments == Row::kMetadata) {
    return absl::InvalidArgumentError(
        absl::StrCat("%", name, "% needs an argument in parentheses"));
  }
  if (i < text.size() && text[i] == ':') {
    const size_t end = text.find('%', i);
    uint64_t length = 0;
    if (end == absl::string_view::npos ||
        !absl::SimpleAtoi(text.substr(i + 1, end - i - 1), &length) || length == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("%", name, "%: the length behind ':' must be a positive number"));
    }
    op.max_length = length;
    i = end;
  }
  if (i >= text.size() || text[i] != '%') {
    return absl::InvalidArgumentError(absl::StrCat("%", name, ": no closing '%'"));
  }
  *used = i + 1;
  return op;
}

void AddLiteral(absl::string_view text, std::vector<Operator>* out) {
  if (out->empty() || out->back().evaluate != nullptr) out->emplace_back();
  out->back().name.append(text.data(), text.size());
}

}  // namespace

absl::StatusOr<std::vector<Operator>> ParseOperators(absl::string_view text) {
  std::vector<Operator> out;
  while (!text.empty()) {
    const size_t percent = text.find('%');
    if (percent != 0) AddLiteral(text.substr(0, percent), &out);
    if (percent == absl::string_view::npos) break;
    text.remove_prefix(percent + 1);
    if (!text.empty() && text[0] == '%') {
      AddLiteral("%", &out);
      text.remove_prefix(1);
      continue;
    }
    size_t used = 0;
    HEDDLE_ASSIGN_OR_RETURN(Operator op, ParseOne(text, &used));
    out.push_back(std::move(op));
    text.remove_prefix(used);
  }
  return out;
}

}  // namespace heddle::observe
