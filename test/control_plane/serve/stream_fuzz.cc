// Any sequence of discovery requests, in both variants, as a hostile client could send them:
// decoded and fed to the stream logic between changes of the configuration. Next must come to an
// end, and nonces must never repeat.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <set>

#include "absl/strings/string_view.h"
#include "control_plane/serve/stream.h"
#include "control_plane/serve/wire.h"

namespace heddle::serve {
namespace {

View MakeView(uint8_t bits) {
  View view;
  for (size_t type = 0; type < kServedTypes; ++type) {
    std::vector<translate::ResourceRef> refs;
    for (const char* name : {"a", "b", "c"}) {
      if (((bits >> refs.size()) & 1) == 0 && type % 2 == 0) continue;
      auto resource = std::make_shared<translate::Resource>();
      resource->name = name;
      resource->version = std::string(1, static_cast<char>('0' + (bits >> 3)));
      refs.push_back(std::move(resource));
    }
    view.sets[type] = TypeSet::Make(std::move(refs));
  }
  return view;
}

void Drain(Stream& stream, const View& view, absl::Time now, std::set<std::string>* nonces) {
  for (int sent = 0; const auto response = stream.Next(view, now); ++sent)
    if (sent > 1000 || !nonces->insert(response->nonce).second) std::abort();
  (void)stream.Settled(view);
  (void)stream.Report();
}

}  // namespace
}  // namespace heddle::serve

// Each message: one byte that changes the configuration, one byte of length, the request.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace heddle::serve;  // NOLINT(google-build-using-namespace)
  DeltaStream delta({.max_names = 20});
  SotwStream sotw({.max_names = 20});
  std::set<std::string> delta_nonces, sotw_nonces;
  absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  while (size >= 2) {
    const View view = MakeView(data[0]);
    const size_t length = std::min<size_t>(data[1], size - 2);
    const absl::string_view bytes(reinterpret_cast<const char*>(data) + 2, length);
    Node node;
    if (const auto request = DecodeDelta(bytes, &node); request.ok())
      (void)delta.OnRequest(*request, view, now);
    if (const auto request = DecodeSotw(bytes, &node); request.ok())
      (void)sotw.OnRequest(*request, view, now);
    Drain(delta, view, now, &delta_nonces);
    Drain(sotw, view, now, &sotw_nonces);
    now += absl::Seconds(2);
    data += 2 + length;
    size -= 2 + length;
  }
  return 0;
}
