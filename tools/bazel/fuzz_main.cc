// Drives a fuzz target without libFuzzer: replays each file or folder named as an argument, then a
// bounded number of mutations of them (bit flips, cuts, splices) from a fixed seed, so that a run
// is repeatable. HEDDLE_FUZZ_RUNS sets the number of mutations (default 2000).
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;

Bytes ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

void Collect(const std::filesystem::path& path, std::vector<Bytes>& corpus) {
  if (!std::filesystem::is_directory(path)) {
    corpus.push_back(ReadFile(path));
    return;
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) corpus.push_back(ReadFile(entry.path()));
  }
}

// One random change of `input`, which may borrow a tail of `other`.
void Mutate(Bytes& input, const Bytes& other, std::mt19937& random) {
  const size_t at = input.empty() ? 0 : random() % input.size();
  switch (random() % 5) {
    case 0:
      if (!input.empty()) input[at] ^= static_cast<uint8_t>(1U << (random() % 8));
      break;
    case 1:
      if (!input.empty()) input[at] = static_cast<uint8_t>(random());
      break;
    case 2:
      input.resize(at);
      break;
    case 3:
      input.insert(input.begin() + static_cast<ptrdiff_t>(at), static_cast<uint8_t>(random()));
      break;
    case 4: {
      const size_t from = other.empty() ? 0 : random() % other.size();
      input.resize(at);
      input.insert(input.end(), other.begin() + static_cast<ptrdiff_t>(from), other.end());
      break;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<Bytes> corpus;
  for (int i = 1; i < argc; ++i) Collect(argv[i], corpus);
  if (corpus.empty()) corpus.emplace_back();
  for (const Bytes& input : corpus) LLVMFuzzerTestOneInput(input.data(), input.size());

  const char* wanted = std::getenv("HEDDLE_FUZZ_RUNS");
  const int runs = wanted != nullptr ? std::atoi(wanted) : 2000;
  std::mt19937 random(1);
  for (int i = 0; i < runs; ++i) {
    Bytes input = corpus[random() % corpus.size()];
    const Bytes& other = corpus[random() % corpus.size()];
    for (size_t n = 1 + random() % 4; n > 0; --n) Mutate(input, other, random);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%zu inputs and %d mutations\n", corpus.size(), runs);
  return 0;
}
