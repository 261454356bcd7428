#include "control_plane/kube/watch_decoder.h"

#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "control_plane/kube/answer.h"
#include "control_plane/kube/json.h"
#include "source/base/status.h"

namespace heddle::kube {

absl::Status WatchDecoder::Line(
    absl::string_view line, const std::function<absl::Status(const WatchEvent&)>& on_event) const {
  if (absl::StripAsciiWhitespace(line).empty()) return absl::OkStatus();
  const std::optional<Json> event = ParseJson(line);
  if (!event.has_value()) return absl::InternalError("watch: a line that is not JSON");
  const Json* object = Find(*event, {"object"});
  if (object == nullptr || !object->is_object())
    return absl::InternalError("watch: an event without an object");
  const std::string type = TextAt(*event, {"type"});
  if (type == "ADDED") return on_event({WatchEvent::Type::kAdded, object});
  if (type == "MODIFIED") return on_event({WatchEvent::Type::kModified, object});
  if (type == "DELETED") return on_event({WatchEvent::Type::kDeleted, object});
  if (type == "BOOKMARK") return on_event({WatchEvent::Type::kBookmark, object});
  if (type == "ERROR") return StatusOf("watch", Dump(*object));
  return absl::InternalError(absl::StrCat("watch: an event of type \"", type.substr(0, 40), "\""));
}

absl::Status WatchDecoder::Feed(absl::string_view bytes,
                                const std::function<absl::Status(const WatchEvent&)>& on_event) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const absl::string_view piece = bytes.substr(0, end);
    if (rest_.size() + piece.size() > max_line_)
      return absl::ResourceExhaustedError(
          absl::StrCat("watch: an event of more than ", max_line_, " bytes"));
    if (end == absl::string_view::npos) {
      rest_.append(piece.data(), piece.size());
      return absl::OkStatus();
    }
    if (rest_.empty()) {
      HEDDLE_RETURN_IF_ERROR(Line(piece, on_event));
    } else {
      rest_.append(piece.data(), piece.size());
      std::string line;
      line.swap(rest_);
      HEDDLE_RETURN_IF_ERROR(Line(line, on_event));
    }
    bytes.remove_prefix(end + 1);
  }
  return absl::OkStatus();
}

}  // namespace heddle::kube
