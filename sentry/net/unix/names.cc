#include <map>

#include "platform/base/strings.h"
#include "sentry/net/unix/endpoint.h"

namespace runsc {
namespace {

struct Names {
  Mutex<LockRank::kSocketNames> mu;
  // Not owned: an endpoint leaves when it closes.
  std::map<std::string, UnixEndpoint*> by_name ABSL_GUARDED_BY(mu);
  uint32_t next ABSL_GUARDED_BY(mu) = 0;
};

Names& AllNames() {
  static auto* const names = new Names;
  return *names;
}

}  // namespace

Status BindAbstract(const std::string& name, UnixEndpoint* endpoint) {
  Names& names = AllNames();
  MutexLock l(names.mu);
  return names.by_name.try_emplace(name, endpoint).second ? Ok() : Status(Errno::kAddrinuse);
}

Ref<UnixEndpoint> FindAbstract(const std::string& name) {
  Names& names = AllNames();
  MutexLock l(names.mu);
  auto it = names.by_name.find(name);
  if (it == names.by_name.end() || !it->second->TryIncRef()) return nullptr;
  return Ref<UnixEndpoint>::Adopt(it->second);
}

void UnbindAbstract(const std::string& name, UnixEndpoint* endpoint) {
  Names& names = AllNames();
  MutexLock l(names.mu);
  auto it = names.by_name.find(name);
  if (it != names.by_name.end() && it->second == endpoint) names.by_name.erase(it);
}

ErrnoOr<std::string> AutobindAbstract(UnixEndpoint* endpoint) {
  constexpr uint32_t kAll = 1 << 20;
  Names& names = AllNames();
  MutexLock l(names.mu);
  for (uint32_t tries = 0; tries < kAll; ++tries) {
    std::string name = StrPrintf("%05x", names.next++ % kAll);
    if (names.by_name.try_emplace(name, endpoint).second) return name;
  }
  return Errno::kNospc;
}

}  // namespace runsc
