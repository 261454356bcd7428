#include "source/http/headers.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "source/base/status.h"

namespace heddle::http {
namespace {

constexpr size_t kNames = static_cast<size_t>(HeaderId::kCount);

// In the order of HeaderId.
constexpr std::array<absl::string_view, kNames> kTexts = {
    "",
    "accept",
    "accept-encoding",
    "authorization",
    "b3",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "grpc-message",
    "grpc-status",
    "grpc-timeout",
    "host",
    "http2-settings",
    "keep-alive",
    "location",
    "origin",
    "proxy-connection",
    "referer",
    "retry-after",
    "server",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-degraded",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-immediate-health-check-fail",
    "x-envoy-internal",
    "x-envoy-max-retries",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-envoy-overloaded",
    "x-envoy-ratelimited",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-service-time",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
};

// A perfect hash: the length and three characters, times a seed, give one of 256 slots. After a
// change of the table the static_assert below may ask for another seed (any odd number that it
// accepts).
constexpr size_t kSlots = 256;
constexpr size_t kLongestName = 40;
constexpr uint32_t kSeed = 0xb43ce7fb;

constexpr size_t SlotOf(absl::string_view name) {
  const size_t n = name.size();
  const auto byte = [name](size_t at) {
    return static_cast<uint32_t>(static_cast<unsigned char>(name[at]));
  };
  const uint32_t key =
      byte(n / 2) | byte(n - 1) << 8 | byte(n * 3 / 4) << 16 | static_cast<uint32_t>(n) << 24;
  return key * kSeed >> 24;
}

constexpr std::array<uint8_t, kSlots> BuildLookup() {
  std::array<uint8_t, kSlots> ids{};
  for (size_t i = 1; i < kNames; ++i) ids[SlotOf(kTexts[i])] = static_cast<uint8_t>(i);
  return ids;
}

constexpr std::array<uint8_t, kSlots> kLookup = BuildLookup();

constexpr bool Perfect() {
  for (size_t i = 1; i < kNames; ++i) {
    if (kLookup[SlotOf(kTexts[i])] != i || kTexts[i].size() > kLongestName) return false;
  }
  return true;
}
static_assert(Perfect(), "two names share a slot, or one is too long");

// Block headers are counted in: a first block is one 2 KiB allocation.
constexpr size_t kFirstBlockBytes = 2048;
constexpr size_t kLargestDoubling = 64 * 1024;
constexpr size_t kKeptBlocks = 128;  // per thread: 256 KiB

}  // namespace

HeaderId IdOf(absl::string_view name) {
  if (name.empty() || name.size() > kLongestName) return HeaderId::kOther;
  const uint8_t id = kLookup[SlotOf(name)];
  return kTexts[id] == name ? static_cast<HeaderId>(id) : HeaderId::kOther;
}

absl::string_view NameOf(HeaderId id) { return kTexts[static_cast<size_t>(id)]; }

struct Arena::Block {
  Block* next;
  size_t bytes;  // of the whole allocation
  char* data() { return reinterpret_cast<char*>(this + 1); }
};

namespace {

// First blocks waiting for the next message of this thread.
struct FreeBlocks {
  void* head = nullptr;  // linked through their first word
  size_t count = 0;
  bool dead = false;
  ~FreeBlocks() {
    dead = true;
    while (head != nullptr) {
      void* next = *static_cast<void**>(head);
      std::free(head);
      head = next;
    }
  }
  void* Take() {
    if (head == nullptr) return std::malloc(kFirstBlockBytes);
    void* block = head;
    head = *static_cast<void**>(block);
    --count;
    return block;
  }
  void Give(void* block) {
    if (dead || count >= kKeptBlocks) return std::free(block);
    *static_cast<void**>(block) = head;
    head = block;
    ++count;
  }
};

thread_local FreeBlocks free_blocks;

}  // namespace

Arena::~Arena() {
  while (blocks_ != nullptr) {
    Block* next = blocks_->next;
    if (blocks_->bytes == kFirstBlockBytes) {
      free_blocks.Give(blocks_);
    } else {
      std::free(blocks_);
    }
    blocks_ = next;
  }
}

Arena::Arena(Arena&& other) noexcept
    : blocks_(std::exchange(other.blocks_, nullptr)),
      free_(std::exchange(other.free_, nullptr)),
      room_(std::exchange(other.room_, 0)) {}

Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(blocks_, other.blocks_);
  std::swap(free_, other.free_);
  std::swap(room_, other.room_);
  return *this;
}

char* Arena::Allocate(size_t bytes) {
  if (bytes > room_) {
    size_t wanted =
        blocks_ == nullptr ? kFirstBlockBytes : std::min(2 * blocks_->bytes, kLargestDoubling);
    wanted = std::max(wanted, bytes + sizeof(Block));
    void* memory = wanted == kFirstBlockBytes ? free_blocks.Take() : std::malloc(wanted);
    HEDDLE_CHECK(memory != nullptr) << "out of memory";
    blocks_ = new (memory) Block{blocks_, wanted};
    free_ = blocks_->data();
    room_ = wanted - sizeof(Block);
  }
  char* result = free_;
  free_ += bytes;
  room_ -= bytes;
  return result;
}

absl::string_view Arena::Copy(absl::string_view text) {
  if (text.empty()) return {};
  char* copy = Allocate(text.size());
  std::memcpy(copy, text.data(), text.size());
  return {copy, text.size()};
}

Headers Headers::Copy() const {
  Headers copy;
  copy.entries_.reserve(entries_.size());
  for (const Entry& e : entries_) {
    copy.AddView(e.id, e.id == HeaderId::kOther ? copy.arena_.Copy(e.name) : NameOf(e.id),
                 copy.arena_.Copy(e.value));
  }
  return copy;
}

void Headers::Add(absl::string_view name, absl::string_view value) {
  const HeaderId id = IdOf(name);
  AddView(id, id == HeaderId::kOther ? arena_.Copy(name) : NameOf(id), arena_.Copy(value));
}

void Headers::Add(HeaderId id, absl::string_view value) {
  AddView(id, NameOf(id), arena_.Copy(value));
}

void Headers::AddLowering(absl::string_view name, absl::string_view value) {
  char* lowered = arena_.Allocate(name.size());
  for (size_t i = 0; i < name.size(); ++i)
    lowered[i] = absl::ascii_tolower(static_cast<unsigned char>(name[i]));
  const absl::string_view text(lowered, name.size());
  AddView(IdOf(text), text, arena_.Copy(value));
}

void Headers::Set(HeaderId id, absl::string_view value) {
  const absl::string_view copy =
      arena_.Copy(value);  // before Remove: `value` may be a view of what goes
  Remove(id);
  AddView(id, NameOf(id), copy);
}

void Headers::Set(absl::string_view name, absl::string_view value) {
  const HeaderId id = IdOf(name);
  if (id != HeaderId::kOther) return Set(id, value);
  const absl::string_view own_name = arena_.Copy(name);
  const absl::string_view copy = arena_.Copy(value);
  Remove(own_name);
  AddView(id, own_name, copy);
}

std::optional<absl::string_view> Headers::Get(HeaderId id) const {
  for (const Entry& e : entries_) {
    if (e.id == id) return e.value;
  }
  return std::nullopt;
}

std::optional<absl::string_view> Headers::Get(absl::string_view name) const {
  if (const HeaderId id = IdOf(name); id != HeaderId::kOther) return Get(id);
  for (const Entry& e : entries_) {
    if (e.id == HeaderId::kOther && e.name == name) return e.value;
  }
  return std::nullopt;
}

std::string Headers::GetAll(absl::string_view name) const {
  std::string all;
  bool first = true;
  for (const Entry& e : entries_) {
    if (e.name != name) continue;
    if (!first) all += ',';
    all.append(e.value.data(), e.value.size());
    first = false;
  }
  return all;
}

namespace {

template <typename Matches>
size_t RemoveWhere(Headers::Entries& entries, Matches matches) {
  const auto end = std::remove_if(entries.begin(), entries.end(), matches);
  const size_t gone = entries.end() - end;
  if (gone != 0) entries.resize(entries.size() - gone);
  return gone;
}

}  // namespace

size_t Headers::Remove(HeaderId id) {
  return RemoveWhere(entries_, [id](const Entry& e) { return e.id == id; });
}

size_t Headers::Remove(absl::string_view name) {
  if (const HeaderId id = IdOf(name); id != HeaderId::kOther) return Remove(id);
  return RemoveWhere(entries_,
                     [name](const Entry& e) { return e.id == HeaderId::kOther && e.name == name; });
}

size_t Headers::bytes() const {
  size_t sum = 0;
  for (const Entry& e : entries_) sum += e.name.size() + e.value.size();
  return sum;
}

absl::string_view ProtocolName(Protocol p) {
  switch (p) {
    case Protocol::kHttp10:
      return "HTTP/1.0";
    case Protocol::kHttp11:
      return "HTTP/1.1";
    case Protocol::kHttp2:
      return "HTTP/2";
  }
  return "";
}

absl::string_view RequestHead::path_without_query() const { return path.substr(0, path.find('?')); }

absl::string_view RequestHead::query() const {
  const size_t mark = path.find('?');
  return mark == absl::string_view::npos ? absl::string_view() : path.substr(mark + 1);
}

bool RequestHead::grpc() const {
  constexpr absl::string_view kGrpc = "application/grpc";
  const std::optional<absl::string_view> type = headers.Get(HeaderId::kContentType);
  if (!type || !absl::StartsWith(*type, kGrpc)) return false;
  return type->size() == kGrpc.size() || (*type)[kGrpc.size()] == '+';
}

RequestHead RequestHead::Copy() const {
  RequestHead copy;
  copy.headers = headers.Copy();
  copy.SetMethod(method);
  copy.SetScheme(scheme);
  copy.SetAuthority(authority);
  copy.SetPath(path);
  copy.protocol = copy.headers.arena().Copy(protocol);
  copy.version = version;
  copy.keep_alive = keep_alive;
  return copy;
}

ResponseHead ResponseHead::Copy() const {
  ResponseHead copy;
  copy.headers = headers.Copy();
  copy.status = status;
  copy.version = version;
  copy.keep_alive = keep_alive;
  return copy;
}

}  // namespace heddle::http
