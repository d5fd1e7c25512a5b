#ifndef RUNSC_FILTERS_FILTERS_H_
#define RUNSC_FILTERS_FILTERS_H_

#include <span>
#include <string>

#include "platform/host/error.h"
#include "runsc/filters/bpf.h"

namespace runsc::filters {

// What a sentry, process `pid`, may ask of the host: what all need, and what its platform needs.
std::vector<Rule> SentryRules(const std::string& platform, int pid);

struct InstallOptions {
  // A refused call is reported on stderr and in the log, with its arguments, before the process
  // dies. For development.
  bool report = false;
};
// Puts the filter on every thread of this process, for good. Needs no_new_privs.
HostStatus Install(std::span<const Rule> rules, const InstallOptions& options);

}  // namespace runsc::filters

#endif  // RUNSC_FILTERS_FILTERS_H_
