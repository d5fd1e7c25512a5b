#include "runsc/sandbox/isolation.h"

#include <linux/sched.h>

namespace runsc::sandbox {
namespace {

struct Row {
  const char* name;
  uint64_t flag;
};
constexpr Row kRows[] = {
    {"userns", CLONE_NEWUSER}, {"pidns", CLONE_NEWPID}, {"mountns", CLONE_NEWNS},
    {"netns", CLONE_NEWNET},   {"ipcns", CLONE_NEWIPC}, {"utsns", CLONE_NEWUTS},
    {"chroot", 0},             {"seccomp", 0},
};
static_assert(sizeof(kRows) / sizeof(Row) == static_cast<size_t>(Isolation::kCount));

HostOr<Isolation> Find(std::string_view name) {
  for (size_t i = 0; i < static_cast<size_t>(Isolation::kCount); ++i) {
    if (name == kRows[i].name) return static_cast<Isolation>(i);
  }
  std::string names;
  for (const Row& row : kRows) names += std::string(names.empty() ? "" : ", ") + row.name;
  return TextError("unknown isolation \"%.*s\"; there are: %s", static_cast<int>(name.size()),
                   name.data(), names.c_str());
}

}  // namespace

const char* IsolationName(Isolation i) { return kRows[static_cast<size_t>(i)].name; }
uint64_t CloneFlag(Isolation i) { return kRows[static_cast<size_t>(i)].flag; }

HostOr<IsolationSet> ParseIsolations(std::string_view list) {
  IsolationSet set;
  while (!list.empty()) {
    size_t comma = list.find(',');
    set.Add(TRY(Find(list.substr(0, comma))));
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
  }
  return set;
}

}  // namespace runsc::sandbox
