#include "platform/base/strings.h"
#include "sentry/fs/proc/proc_fs.h"

namespace runsc {
namespace {

using ull = unsigned long long;

// Spaces and newlines in names are shown as octal escapes of the newline only, as seq_path does.
std::string Escaped(const std::string& name) {
  std::string out;
  for (char c : name) {
    if (c == '\n') {
      out += "\\012";
    } else {
      out += c;
    }
  }
  return out;
}

std::string MapLine(const VmaInfo& v) {
  constexpr size_t kNameColumn = 73;
  std::string line = StrPrintf(
      "%08llx-%08llx %c%c%c%c %08llx %02x:%02x %llu ", static_cast<ull>(v.range.start),
      static_cast<ull>(v.range.end), v.access.read ? 'r' : '-', v.access.write ? 'w' : '-',
      v.access.exec ? 'x' : '-', v.shared ? 's' : 'p', static_cast<ull>(v.offset),
      v.identity.dev.major, v.identity.dev.minor, static_cast<ull>(v.identity.ino));
  if (!v.identity.name.empty()) {
    if (line.size() < kNameColumn) line.resize(kNameColumn, ' ');
    line += Escaped(v.identity.name);
  }
  return line + "\n";
}

struct Totals {
  uint64_t size = 0, resident = 0, clean_shared = 0, dirty_private = 0, anonymous = 0, locked = 0;
  void Add(const VmaInfo& v) {
    size += v.range.size();
    resident += v.resident;
    dirty_private += v.private_bytes;
    clean_shared += v.resident > v.private_bytes ? v.resident - v.private_bytes : 0;
    anonymous += v.anonymous_bytes;
    if (v.locked) locked += v.resident;
  }
};

std::string UsageLines(const Totals& t, bool rollup) {
  auto kb = [](uint64_t bytes) { return static_cast<ull>(bytes / 1024); };
  std::string out;
  if (!rollup) {
    out = StrPrintf("Size:           %8llu kB\nKernelPageSize:        4 kB\n"
                    "MMUPageSize:           4 kB\n", kb(t.size));
  }
  return out + StrPrintf(
      "Rss:            %8llu kB\nPss:            %8llu kB\nShared_Clean:   %8llu kB\n"
      "Shared_Dirty:          0 kB\nPrivate_Clean:         0 kB\nPrivate_Dirty:  %8llu kB\n"
      "Referenced:     %8llu kB\nAnonymous:      %8llu kB\nSwap:                  0 kB\n"
      "SwapPss:               0 kB\nLocked:         %8llu kB\n",
      kb(t.resident), kb(t.resident), kb(t.clean_shared), kb(t.dirty_private), kb(t.resident),
      kb(t.anonymous), kb(t.locked));
}

std::string FlagLine(const VmaInfo& v) {
  std::string out = "VmFlags:";
  if (v.access.read) out += " rd";
  if (v.access.write) out += " wr";
  if (v.access.exec) out += " ex";
  if (v.shared) out += " sh";
  if (v.max_access.read) out += " mr";
  if (v.max_access.write) out += " mw";
  if (v.max_access.exec) out += " me";
  if (v.grows_down) out += " gd";
  if (v.locked) out += " lo";
  if (v.dont_fork) out += " dc";
  if (v.noreserve) out += " nr";
  if (v.wipe_on_fork) out += " wf";
  return out + " \n";
}

std::vector<VmaInfo> VmasOf(Task& task, bool usage) {
  Ref<MemoryManager> mm = task.SharedMm();
  return mm ? mm->ListVmas(usage) : std::vector<VmaInfo>();
}

}  // namespace

ErrnoOr<std::string> MapsText(const OpContext&, ProcFs&, Task& task) {
  std::string out;
  for (const VmaInfo& v : VmasOf(task, false)) out += MapLine(v);
  return out;
}

ErrnoOr<std::string> SmapsText(const OpContext&, ProcFs&, Task& task) {
  std::string out;
  for (const VmaInfo& v : VmasOf(task, true)) {
    Totals t;
    t.Add(v);
    out += MapLine(v) + UsageLines(t, false) + FlagLine(v);
  }
  return out;
}

ErrnoOr<std::string> SmapsRollupText(const OpContext&, ProcFs&, Task& task) {
  std::vector<VmaInfo> vmas = VmasOf(task, true);
  if (vmas.empty()) return Errno::kSrch;
  Totals t;
  for (const VmaInfo& v : vmas) t.Add(v);
  VmaInfo all;
  all.range = {vmas.front().range.start, vmas.back().range.end};
  all.identity.name = "[rollup]";
  return MapLine(all) + UsageLines(t, true);
}

}  // namespace runsc
