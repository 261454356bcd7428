// Access logs and their filters.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/access_loggers/stream/v3/stream.pb.h"
#include "source/decode/parts.h"
#include "source/observe/flags.h"
#include "source/observe/format.h"
#include "source/yaml/yaml.h"

namespace heddle::decode {
namespace {

namespace core = envoy::config::core::v3;
namespace log = envoy::config::accesslog::v3;
namespace file = envoy::extensions::access_loggers::file::v3;
namespace stream = envoy::extensions::access_loggers::stream::v3;
using Kind = config::AccessLogFilter::Kind;

constexpr int kMaxFilterDepth = 16;

absl::Status CheckFormat(const config::LogFormat& format, const Path& at) {
  const auto compiled = observe::Formatter::FromConfig(format);
  return compiled.ok() ? absl::OkStatus() : at.Error(compiled.status().message());
}

absl::StatusOr<config::LogFormat> DecodeFormat(const core::SubstitutionFormatString& in,
                                               const Path& at) {
  config::LogFormat out;
  out.omit_empty = in.omit_empty_values();
  switch (in.format_case()) {
    case core::SubstitutionFormatString::kTextFormat:
      out.text = in.text_format();
      break;
    case core::SubstitutionFormatString::kTextFormatSource: {
      HEDDLE_ASSIGN_OR_RETURN(out.text,
                              DecodeData(in.text_format_source(), at.Field("text_format_source")));
      break;
    }
    case core::SubstitutionFormatString::kJsonFormat:
      out.json = yaml::ToJson(in.json_format());
      break;
    case core::SubstitutionFormatString::FORMAT_NOT_SET:
      return at.Error("found nothing, allowed one of text_format_source, text_format, json_format");
  }
  HEDDLE_RETURN_IF_ERROR(CheckFormat(out, at));
  return out;
}

absl::StatusOr<config::AccessLog> DecodeFile(const file::FileAccessLog& in, const Path& at) {
  config::AccessLog out;
  out.sink = config::AccessLog::Sink::kFile;
  out.path = in.path();
  if (out.path.empty()) return at.Field("path").Error("required");
  switch (in.access_log_format_case()) {
    case file::FileAccessLog::kFormat:
      out.format.text = in.format();
      HEDDLE_RETURN_IF_ERROR(CheckFormat(out.format, at.Field("format")));
      break;
    case file::FileAccessLog::kJsonFormat:
      out.format.json = yaml::ToJson(in.json_format());
      HEDDLE_RETURN_IF_ERROR(CheckFormat(out.format, at.Field("json_format")));
      break;
    case file::FileAccessLog::kTypedJsonFormat:
      out.format.json = yaml::ToJson(in.typed_json_format());
      HEDDLE_RETURN_IF_ERROR(CheckFormat(out.format, at.Field("typed_json_format")));
      break;
    case file::FileAccessLog::kLogFormat: {
      HEDDLE_ASSIGN_OR_RETURN(out.format, DecodeFormat(in.log_format(), at.Field("log_format")));
      break;
    }
    case file::FileAccessLog::ACCESS_LOG_FORMAT_NOT_SET:
      break;
  }
  return out;
}

template <typename Message>
absl::StatusOr<config::AccessLog> DecodeStream(const google::protobuf::Any& any,
                                               config::AccessLog::Sink sink, const Path& at,
                                               Context& context) {
  Message in;
  HEDDLE_RETURN_IF_ERROR(Unpack(any, at, context, &in));
  config::AccessLog out;
  out.sink = sink;
  if (in.has_log_format()) {
    HEDDLE_ASSIGN_OR_RETURN(out.format, DecodeFormat(in.log_format(), at.Field("log_format")));
  }
  return out;
}

absl::StatusOr<config::AccessLogFilter> Filter(const log::AccessLogFilter& in, const Path& at,
                                               int depth);

absl::Status Children(const google::protobuf::RepeatedPtrField<log::AccessLogFilter>& in,
                      const Path& at, int depth, config::AccessLogFilter* out) {
  if (in.size() < 2) return at.Error(absl::StrCat("found ", in.size(), ", allowed 2 or more"));
  for (int i = 0; i < in.size(); ++i) {
    HEDDLE_ASSIGN_OR_RETURN(config::AccessLogFilter child,
                            Filter(in[i], at.Index(static_cast<size_t>(i)), depth + 1));
    out->children.push_back(std::move(child));
  }
  return absl::OkStatus();
}

absl::Status Comparison(bool has, const log::ComparisonFilter& in, const Path& at,
                        config::AccessLogFilter* out) {
  using Op = config::AccessLogFilter::Op;
  HEDDLE_RETURN_IF_ERROR(Required(has, at));
  HEDDLE_RETURN_IF_ERROR(Required(in.has_value(), at.Field("value")));
  out->value = in.value().default_value();
  switch (in.op()) {
    case log::ComparisonFilter::EQ:
      out->op = Op::kEq;
      return absl::OkStatus();
    case log::ComparisonFilter::GE:
      out->op = Op::kGe;
      return absl::OkStatus();
    case log::ComparisonFilter::LE:
      out->op = Op::kLe;
      return absl::OkStatus();
    default:
      return BadEnum(log::ComparisonFilter::Op_descriptor(), in.op(), at.Field("op"), "EQ, GE, LE");
  }
}

absl::Status Flags(const log::ResponseFlagFilter& in, const Path& at,
                   config::AccessLogFilter* out) {
  for (int i = 0; i < in.flags_size(); ++i) {
    if (!observe::FlagOf(in.flags(i)).has_value()) {
      std::vector<std::string> names;
      for (const observe::FlagName& name : observe::FlagNames())
        names.emplace_back(name.short_name);
      return at.Index(static_cast<size_t>(i))
          .Error(absl::StrCat("found \"", in.flags(i), "\", allowed ", absl::StrJoin(names, ", ")));
    }
    out->flags.push_back(in.flags(i));
  }
  return absl::OkStatus();
}

absl::StatusOr<config::AccessLogFilter> Filter(const log::AccessLogFilter& in, const Path& at,
                                               int depth) {
  if (depth > kMaxFilterDepth)
    return at.Error(absl::StrCat("nested more than ", kMaxFilterDepth, " deep"));
  config::AccessLogFilter out;
  switch (in.filter_specifier_case()) {
    case log::AccessLogFilter::kStatusCodeFilter: {
      out.kind = Kind::kStatus;
      const Path here = at.Field("status_code_filter");
      HEDDLE_RETURN_IF_ERROR(Comparison(in.status_code_filter().has_comparison(),
                                        in.status_code_filter().comparison(),
                                        here.Field("comparison"), &out));
      return out;
    }
    case log::AccessLogFilter::kDurationFilter: {
      out.kind = Kind::kDuration;
      const Path here = at.Field("duration_filter");
      HEDDLE_RETURN_IF_ERROR(Comparison(in.duration_filter().has_comparison(),
                                        in.duration_filter().comparison(), here.Field("comparison"),
                                        &out));
      return out;
    }
    case log::AccessLogFilter::kNotHealthCheckFilter:
      out.kind = Kind::kNotHealthCheck;
      return out;
    case log::AccessLogFilter::kTraceableFilter:
      out.kind = Kind::kTraceable;
      return out;
    case log::AccessLogFilter::kRuntimeFilter: {
      out.kind = Kind::kRuntime;
      const Path here = at.Field("runtime_filter");
      HEDDLE_ASSIGN_OR_RETURN(out.fraction, DecodeFraction(in.runtime_filter().percent_sampled(),
                                                           here.Field("percent_sampled")));
      return out;
    }
    case log::AccessLogFilter::kAndFilter:
    case log::AccessLogFilter::kOrFilter: {
      const bool all = in.has_and_filter();
      out.kind = all ? Kind::kAnd : Kind::kOr;
      const Path here = at.Field(all ? "and_filter" : "or_filter");
      HEDDLE_RETURN_IF_ERROR(Children(all ? in.and_filter().filters() : in.or_filter().filters(),
                                      here.Field("filters"), depth, &out));
      return out;
    }
    case log::AccessLogFilter::kHeaderFilter: {
      out.kind = Kind::kHeader;
      const Path here = at.Field("header_filter");
      HEDDLE_RETURN_IF_ERROR(Required(in.header_filter().has_header(), here.Field("header")));
      HEDDLE_ASSIGN_OR_RETURN(out.header,
                              DecodeHeader(in.header_filter().header(), here.Field("header")));
      return out;
    }
    case log::AccessLogFilter::kResponseFlagFilter: {
      out.kind = Kind::kResponseFlag;
      const Path here = at.Field("response_flag_filter");
      HEDDLE_RETURN_IF_ERROR(Flags(in.response_flag_filter(), here.Field("flags"), &out));
      return out;
    }
    case log::AccessLogFilter::kGrpcStatusFilter: {
      out.kind = Kind::kGrpcStatus;
      out.exclude = in.grpc_status_filter().exclude();
      for (const int status : in.grpc_status_filter().statuses()) {
        if (!log::GrpcStatusFilter::Status_IsValid(status)) {
          const Path here = at.Field("grpc_status_filter");
          return here.Field("statuses").Error(absl::StrCat("found ", status, ", allowed 0 to 16"));
        }
        out.grpc_statuses.push_back(status);
      }
      return out;
    }
    case log::AccessLogFilter::FILTER_SPECIFIER_NOT_SET:
      break;
  }
  return at.Error("found nothing, or a filter that is not supported");
}

absl::StatusOr<config::AccessLog> One(const log::AccessLog& in, const Path& at, Context& context) {
  const Path here = at.Field("typed_config");
  HEDDLE_RETURN_IF_ERROR(Required(in.has_typed_config(), here));
  const google::protobuf::Any& any = in.typed_config();
  config::AccessLog out;
  if (Is<stream::StdoutAccessLog>(any)) {
    HEDDLE_ASSIGN_OR_RETURN(out, DecodeStream<stream::StdoutAccessLog>(
                                     any, config::AccessLog::Sink::kStdout, here, context));
  } else if (Is<stream::StderrAccessLog>(any)) {
    HEDDLE_ASSIGN_OR_RETURN(out, DecodeStream<stream::StderrAccessLog>(
                                     any, config::AccessLog::Sink::kStderr, here, context));
  } else if (Is<file::FileAccessLog>(any)) {
    file::FileAccessLog message;
    HEDDLE_RETURN_IF_ERROR(Unpack(any, here, context, &message));
    HEDDLE_ASSIGN_OR_RETURN(out, DecodeFile(message, here));
  } else {
    return here.Error(absl::StrCat("found type \"", TypeOf(any),
                                   "\", allowed FileAccessLog, StdoutAccessLog, StderrAccessLog"));
  }
  if (in.has_filter()) {
    HEDDLE_ASSIGN_OR_RETURN(out.filter, Filter(in.filter(), at.Field("filter"), 0));
  }
  return out;
}

}  // namespace

absl::StatusOr<std::vector<config::AccessLog>> DecodeAccessLogs(
    const google::protobuf::RepeatedPtrField<log::AccessLog>& in, const Path& at,
    Context& context) {
  std::vector<config::AccessLog> out;
  for (int i = 0; i < in.size(); ++i) {
    HEDDLE_ASSIGN_OR_RETURN(config::AccessLog one,
                            One(in[i], at.Index(static_cast<size_t>(i)), context));
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace heddle::decode
