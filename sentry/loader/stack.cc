#include "sentry/loader/stack.h"

#include <elf.h>

#include <algorithm>

#include "platform/arch/auxv.h"

namespace runsc {
namespace {

constexpr uint64_t kMaxString = 128 << 10;     // MAX_ARG_STRLEN, NUL included
constexpr uint64_t kMinStringSpace = 128 << 10;  // ARG_MAX
constexpr uint64_t kMaxStringSpace = 6 << 20;
constexpr uint64_t kStackRoom = 128 << 10;     // mapped below the strings from the start

uint64_t StringBytes(const std::vector<std::string>& strings) {
  uint64_t bytes = 0;
  for (const std::string& s : strings) bytes += s.size() + 1;
  return bytes;
}

// All strings of one vector, NUL-terminated; `addresses` gets where each begins if the block is
// stored at `base`.
std::string Pack(const std::vector<std::string>& strings, uint64_t base,
                 std::vector<uint64_t>& addresses) {
  std::string block;
  block.reserve(StringBytes(strings));
  for (const std::string& s : strings) {
    addresses.push_back(base + block.size());
    block.append(s.c_str(), s.size() + 1);
  }
  return block;
}

}  // namespace

Status CheckStrings(const ProgramStrings& s, uint64_t stack_limit) {
  uint64_t limit = std::min(kMaxStringSpace, stack_limit / 4);
  limit = std::max(limit, kMinStringSpace);
  uint64_t used = (std::max<uint64_t>(s.argv.size(), 1) + s.envv.size()) * sizeof(uint64_t);
  if (used >= limit) return Errno::k2big;
  for (const auto* strings : {&s.argv, &s.envv}) {
    for (const std::string& one : *strings) {
      if (one.size() >= kMaxString) return Errno::k2big;
      used += one.size() + 1;
    }
  }
  used += s.filename.size() + 1;
  return used > limit ? Status(Errno::k2big) : Ok();
}

ErrnoOr<StackBuilder> StackBuilder::Create(MemoryManager& mm, const ProgramStrings& strings,
                                           UserAddr top, bool executable,
                                           const MemoryLimits& limits) {
  StackBuilder b;
  b.p_ = top.value - sizeof(uint64_t);  // stays zero
  b.p_ -= strings.filename.size() + 1;
  b.filename_ = b.p_;
  b.env_end_ = b.p_;
  b.env_start_ = b.arg_end_ = b.p_ -= StringBytes(strings.envv);
  b.arg_start_ = b.p_ -= StringBytes(strings.argv);

  const uint64_t used = PageUp(top.value - b.p_);
  const uint64_t size = std::max(used, std::min(used + kStackRoom, PageDown(limits.stack)));
  MMapRequest r;
  r.addr = top - size;
  r.length = size;
  r.access = {.read = true, .write = true, .exec = executable};
  r.fixed_noreplace = true;
  r.stack = true;
  r.name = "[stack]";
  TRY(mm.MMap(r, limits));
  const std::string args = Pack(strings.argv, b.arg_start_, b.argv_);
  const std::string envs = Pack(strings.envv, b.env_start_, b.envv_);
  const std::string all = args + envs + strings.filename + '\0';
  TRY(mm.CopyOut(UserAddr(b.p_), all.data(), all.size()));
  return b;
}

ErrnoOr<UserAddr> StackBuilder::Finish(MemoryManager& mm, AuxVector aux, const Random& random,
                                       ImageLayout& layout) {
  uint64_t p = (p_ - random.shift) & ~uint64_t{15};
  p -= sizeof(arch::kPlatformName);
  const uint64_t platform = p;
  TRY(mm.CopyOut(UserAddr(p), arch::kPlatformName, sizeof(arch::kPlatformName)));
  p -= random.bytes.size();
  const uint64_t random_at = p;
  TRY(mm.CopyOut(UserAddr(p), random.bytes.data(), random.bytes.size()));

  std::vector<uint64_t> words;
  words.push_back(argv_.size());
  words.insert(words.end(), argv_.begin(), argv_.end());
  words.push_back(0);
  words.insert(words.end(), envv_.begin(), envv_.end());
  words.push_back(0);
  const size_t aux_at = words.size();
  aux.emplace_back(AT_NULL, 0);
  for (auto [key, value] : aux) {
    if (key == AT_RANDOM) value = random_at;
    if (key == AT_EXECFN) value = filename_;
    if (key == AT_PLATFORM) value = platform;
    words.push_back(key);
    words.push_back(value);
  }
  p = (p - words.size() * sizeof(uint64_t)) & ~uint64_t{15};
  TRY(mm.CopyOut(UserAddr(p), words.data(), words.size() * sizeof(uint64_t)));

  layout.start_stack = p;
  layout.arg_start = arg_start_;
  layout.arg_end = arg_end_;
  layout.env_start = env_start_;
  layout.env_end = env_end_;
  layout.auxv.assign(words.begin() + static_cast<int64_t>(aux_at), words.end());
  return UserAddr(p);
}

}  // namespace runsc
