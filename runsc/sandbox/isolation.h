#ifndef RUNSC_SANDBOX_ISOLATION_H_
#define RUNSC_SANDBOX_ISOLATION_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "platform/host/error.h"

namespace runsc::sandbox {

// The walls around a sentry or gofer that a host may forbid. Each can be given up by name with
// --unsafe-allow-missing-isolation.
enum class Isolation : uint8_t { kUser, kPid, kMount, kNet, kIpc, kUts, kChroot, kSeccomp, kCount };

// A set of Isolation.
class IsolationSet {
 public:
  bool Has(Isolation i) const { return (bits_ >> static_cast<int>(i) & 1) != 0; }
  void Add(Isolation i) { bits_ |= 1u << static_cast<int>(i); }
  void Remove(Isolation i) { bits_ &= ~(1u << static_cast<int>(i)); }
  bool empty() const { return bits_ == 0; }

 private:
  uint32_t bits_ = 0;
};

// As in the flag: "userns", "pidns", …
const char* IsolationName(Isolation i);
// clone(2) flag; 0 for those that are no namespace.
uint64_t CloneFlag(Isolation i);
// Parses a comma-separated list; the error lists the names there are.
HostOr<IsolationSet> ParseIsolations(std::string_view list);

}  // namespace runsc::sandbox

#endif  // RUNSC_SANDBOX_ISOLATION_H_
