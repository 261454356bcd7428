// Whatever a server answers, the reflector goes on asking, and its copy and its sink agree.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/string_view.h"
#include "control_plane/kube/reflector.h"
#include "source/base/clock.h"
#include "source/base/status.h"

namespace {

class Copy : public heddle::kube::Sink {
 public:
  void Put(const heddle::kube::ObjectKey& key, const nlohmann::json&) override { keys.insert(key); }
  void Remove(const heddle::kube::ObjectKey& key) override {
    HEDDLE_CHECK(keys.erase(key) == 1) << key.name;
  }
  void Listed() override {}
  std::set<heddle::kube::ObjectKey> keys;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace heddle;  // NOLINT(google-build-using-namespace)
  Copy copy;
  base::Random random(1);
  kube::Reflector reflector({.path = "/api/v1/pods"}, copy, base::SystemClock(), random);
  absl::string_view rest(reinterpret_cast<const char*>(data), size);
  // Answers stand one behind the other, with a zero byte between.
  for (int i = 0; i < 64 && !rest.empty(); ++i) {
    const absl::string_view piece = rest.substr(0, rest.find('\0'));
    rest.remove_prefix(std::min(rest.size(), piece.size() + 1));
    switch (reflector.Next().kind) {
      case kube::Reflector::Ask::Kind::kList:
        reflector.OnPage(std::string(piece));
        break;
      case kube::Reflector::Ask::Kind::kWatch:
        reflector.OnEnd(reflector.OnBytes(piece));
        break;
      case kube::Reflector::Ask::Kind::kWait:
        reflector.OnWaited();
        break;
    }
    HEDDLE_CHECK(copy.keys.size() == reflector.objects());
  }
  return 0;
}
