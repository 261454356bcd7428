#include "source/xds/last_good.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/util/delimited_message_util.h"
#include "source/base/status.h"

namespace heddle::xds {
namespace {

namespace pb = envoy::service::discovery::v3;

constexpr char kFile[] = "last_good.pb";
constexpr size_t kMaxFile = 256 * 1024 * 1024;

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::InternalError(absl::StrCat("cannot ", what, " ", path, ": ", std::strerror(errno)));
}

absl::Status WriteAll(int fd, const std::string& bytes, const std::string& path) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = write(fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno != EINTR) return Failed("write", path);
    if (n > 0) done += static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status LastGood::WriteFile(const std::string& name, const std::string& bytes) const {
  if (!enabled()) return absl::OkStatus();
  if (mkdir(dir_.c_str(), 0700) != 0 && errno != EEXIST) return Failed("make", dir_);
  const std::string path = absl::StrCat(dir_, "/", name);
  const std::string temporary = absl::StrCat(path, ".tmp");
  const int fd =
      open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Failed("open", temporary);
  absl::Status status = WriteAll(fd, bytes, temporary);
  if (status.ok() && fsync(fd) != 0) status = Failed("sync", temporary);
  close(fd);
  HEDDLE_RETURN_IF_ERROR(status);
  if (rename(temporary.c_str(), path.c_str()) != 0) return Failed("rename", temporary);
  return absl::OkStatus();
}

absl::StatusOr<std::string> LastGood::ReadFile(const std::string& name) const {
  if (!enabled()) return absl::NotFoundError("no state directory");
  const std::string path = absl::StrCat(dir_, "/", name);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT) return absl::NotFoundError(path);
    return Failed("open", path);
  }
  std::string out;
  char chunk[65536];
  ssize_t n;
  while ((n = read(fd, chunk, sizeof(chunk))) > 0 && out.size() < kMaxFile)
    out.append(chunk, static_cast<size_t>(n));
  close(fd);
  if (n < 0) return Failed("read", path);
  return out;
}

absl::Status LastGood::Save(const std::map<Type, std::vector<Resource>>& resources) const {
  if (!enabled()) return absl::OkStatus();
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream out(&bytes);
    for (const auto& [type, list] : resources) {
      if (type == Type::kSecret) continue;
      pb::DeltaDiscoveryResponse message;
      message.set_type_url(std::string(TypeUrl(type)));
      for (const Resource& resource : list) {
        pb::Resource* to = message.add_resources();
        to->set_name(resource.name);
        to->set_version(resource.version);
        to->mutable_resource()->set_type_url(std::string(TypeUrl(type)));
        to->mutable_resource()->set_value(resource.bytes);
      }
      google::protobuf::util::SerializeDelimitedToZeroCopyStream(message, &out);
    }
  }
  return WriteFile(kFile, bytes);
}

absl::StatusOr<std::map<Type, std::vector<Resource>>> LastGood::Load() const {
  std::map<Type, std::vector<Resource>> out;
  const absl::StatusOr<std::string> bytes = ReadFile(kFile);
  if (absl::IsNotFound(bytes.status())) return out;
  HEDDLE_RETURN_IF_ERROR(bytes.status());
  google::protobuf::io::ArrayInputStream in(bytes->data(), static_cast<int>(bytes->size()));
  for (bool clean_eof = false;;) {
    pb::DeltaDiscoveryResponse message;
    if (!google::protobuf::util::ParseDelimitedFromZeroCopyStream(&message, &in, &clean_eof)) {
      if (clean_eof) return out;
      return absl::DataLossError(absl::StrCat(dir_, "/", kFile, " is cut off or broken"));
    }
    const std::optional<Type> type = TypeOf(message.type_url());
    if (!type.has_value()) continue;
    for (pb::Resource& from : *message.mutable_resources()) {
      out[*type].push_back(
          {from.name(), from.version(), std::move(*from.mutable_resource()->mutable_value())});
    }
  }
}

}  // namespace heddle::xds
